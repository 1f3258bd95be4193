use flowkit::prelude::*;

#[task(cache_expiration = "1h")]
async fn expiration(n: u8) -> u8 {
    n
}

#[task(cache_exclude(n))]
async fn exclude(n: u8) -> u8 {
    n
}

#[task(cache_includes(TABLE))]
async fn includes(n: u8) -> u8 {
    n
}

#[task(cache_durable)]
async fn durable(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (expiration(1), exclude(1), includes(1), durable(1));
}
