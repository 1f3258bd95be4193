use flowkit::prelude::*;

#[task(cache = none, cache_expiration = "1h", cache_durable)]
async fn fetch(n: u8) -> u8 {
    n
}

#[task(cache_key = |n| *n, cache = none)]
async fn keyed(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (fetch(1), keyed(1));
}
