use flowkit::prelude::*;

struct Options;

#[task(run_name = "with-{options}")]
async fn fetch(options: &Options) -> u8 {
    let _ = options;
    1
}

fn main() {
    let _ = fetch(Options);
}
