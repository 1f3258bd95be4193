use flowkit::prelude::*;

#[task(retries = "3")]
async fn text(n: u8) -> u8 {
    n
}

#[task(retries = -1)]
async fn negative(n: u8) -> u8 {
    n
}

const MANY: i64 = 3;

#[task(retries = MANY)]
async fn constant(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (text(1), negative(1), constant(1));
}
