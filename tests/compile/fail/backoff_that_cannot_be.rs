use flowkit::prelude::*;

#[task(retries = 3, retry_delay = ["1s", "5s"], retry_backoff = 2.0)]
async fn of_a_list(n: u8) -> u8 {
    n
}

#[task(retries = 3, retry_delay = "1s", retry_backoff = 0.5)]
async fn that_shrinks(n: u8) -> u8 {
    n
}

#[task(retries = 3, retry_backoff = 2.0)]
async fn of_nothing(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (of_a_list(1), that_shrinks(1), of_nothing(1));
}
