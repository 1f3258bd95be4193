use flowkit::prelude::*;

#[task(cache_key = |sauce| sauce.len())]
async fn unknown(source: &str, n: u8) -> usize {
    source.len() + usize::from(n)
}

#[task(cache_key = my_key)]
async fn no_closure(source: &str) -> usize {
    source.len()
}

fn my_key(source: &str) -> usize {
    source.len()
}

fn main() {
    let _ = (unknown("a", 1), no_closure("a"), my_key("a"));
}
