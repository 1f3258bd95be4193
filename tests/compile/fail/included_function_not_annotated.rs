use flowkit::prelude::*;

#[task(cache, cache_includes(helper))]
async fn fetch(n: u8) -> u8 {
    helper(n)
}

fn helper(n: u8) -> u8 {
    n
}

fn main() {
    let _ = fetch(1);
}
