use flowkit::prelude::*;

#[task(cache, cache_exclude(sauce))]
async fn unknown(source: &str, n: u8) -> usize {
    source.len() + usize::from(n)
}

struct Pool;

#[task(cache, cache_exclude(pool))]
async fn resource(n: u8, #[resource] pool: &Pool) -> u8 {
    let _ = pool;
    n
}

fn main() {
    let _ = (unknown("a", 1), resource(1));
}
