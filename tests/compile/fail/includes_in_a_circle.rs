use flowkit::prelude::*;

#[flowkit::fingerprint(cache_includes(odd))]
fn even(n: u8) -> bool {
    n == 0 || odd(n - 1)
}

#[flowkit::fingerprint(cache_includes(even))]
fn odd(n: u8) -> bool {
    n != 0 && even(n - 1)
}

#[task(cache, cache_includes(even))]
async fn check(n: u8) -> bool {
    even(n)
}

fn main() {
    let _ = check(1);
}
