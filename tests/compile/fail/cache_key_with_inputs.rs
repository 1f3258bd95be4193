use flowkit::prelude::*;

#[task(cache_key = |n| *n, cache = inputs)]
async fn with_inputs(n: u8) -> u8 {
    n
}

#[task(cache_exclude(n), cache_key = |n| *n)]
async fn with_exclude(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (with_inputs(1), with_exclude(1));
}
