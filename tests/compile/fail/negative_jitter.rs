use flowkit::prelude::*;

#[task(retries = 3, retry_delay = "1s", retry_jitter = -0.1)]
async fn negative(n: u8) -> u8 {
    n
}

#[task(retries = 3, retry_delay = "1s", retry_jitter = 2)]
async fn more_than_all(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (negative(1), more_than_all(1));
}
