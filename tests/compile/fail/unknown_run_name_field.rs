use flowkit::prelude::*;

#[task(run_name = "extract-{sauce}")]
async fn unknown(source: &str, n: u8) -> usize {
    source.len() + usize::from(n)
}

#[task(run_name = "extract-{}")]
async fn positional(source: &str) -> usize {
    source.len()
}

fn main() {
    let _ = (unknown("a", 1), positional("a"));
}
