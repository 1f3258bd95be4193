use flowkit::prelude::*;

#[task(timeout = "10 parsecs")]
async fn far(n: u8) -> u8 {
    n
}

#[task(timeout = "10")]
async fn bare(n: u8) -> u8 {
    n
}

#[task(timeout = 10)]
async fn number(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (far(1), bare(1), number(1));
}
