use flowkit::prelude::*;

#[task(timeout = "0s")]
async fn zero(n: u8) -> u8 {
    n
}

#[task(timeout = "1m", total_timeout = "30s")]
async fn total_below_one(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (zero(1), total_below_one(1));
}
