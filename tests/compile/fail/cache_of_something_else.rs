use flowkit::prelude::*;

#[task(cache = "inputs")]
async fn text(n: u8) -> u8 {
    n
}

#[task(cache = outputs)]
async fn outputs(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (text(1), outputs(1));
}
