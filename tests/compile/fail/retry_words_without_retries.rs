use flowkit::prelude::*;

#[task(retry_delay = "1s", retry_backoff = 2.0)]
async fn fetch(n: u8) -> u8 {
    n
}

#[task(retries = 0, retry_jitter = 0.5)]
async fn zero(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (fetch(1), zero(1));
}
