use flowkit::prelude::*;

#[task(timeuot = "1s")]
async fn near(n: u8) -> u8 {
    n
}

#[flow(colour = "red")]
async fn far(n: u8) -> u8 {
    n
}

fn main() {
    let _ = far(near(1).submit());
}
