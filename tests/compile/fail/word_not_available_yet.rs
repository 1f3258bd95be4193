use flowkit::prelude::*;

#[task]
async fn load(n: u8) -> u8 {
    n
}

#[flow(limit = "nightly")]
async fn pipeline(n: u8) -> u8 {
    n
}

fn main() {
    let _ = pipeline(load(1).submit());
}
