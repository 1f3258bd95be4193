use flowkit::prelude::*;

#[task(name)]
async fn name(n: u8) -> u8 {
    n
}

#[task(tags("io", 1))]
async fn tags(n: u8) -> u8 {
    n
}

#[task(cache, cache_durable = true)]
async fn durable(n: u8) -> u8 {
    n
}

#[task(cache, cache_exclude = n)]
async fn exclude(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (name(1), tags(1), durable(1), exclude(1));
}
