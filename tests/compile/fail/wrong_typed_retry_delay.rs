use flowkit::prelude::*;

#[task(retries = 1, retry_delay = 5)]
async fn number(n: u8) -> u8 {
    n
}

#[task(retries = 2, retry_delay = ["1s", 5])]
async fn in_a_list(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (number(1), in_a_list(1));
}
