use flowkit::prelude::*;

#[task(retries = 3, retry_delay = "1m", retry_max_delay = "10s")]
async fn fetch(n: u8) -> u8 {
    n
}

fn main() {
    let _ = fetch(1);
}
