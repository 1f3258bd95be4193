use flowkit::prelude::*;

#[task(run_name = "extract-{source")]
async fn unclosed(source: &str) -> usize {
    source.len()
}

#[task(run_name = "extract-source}")]
async fn unopened(source: &str) -> usize {
    source.len()
}

fn main() {
    let _ = (unclosed("a"), unopened("a"));
}
