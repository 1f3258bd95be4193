use flowkit::prelude::*;

const LIMIT: u64 = 10;

#[task(timeout = LIMIT)]
async fn fetch(n: u8) -> u8 {
    n
}

fn main() {
    let _ = fetch(1);
}
