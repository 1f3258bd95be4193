use flowkit::prelude::*;

#[task(retries = 1, timeout = "1s", retries = 2)]
async fn fetch(n: u8) -> u8 {
    n
}

fn main() {
    let _ = fetch(1);
}
