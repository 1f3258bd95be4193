use flowkit::prelude::*;

#[task("fetch")]
async fn text(n: u8) -> u8 {
    n
}

#[task(retries: 3)]
async fn colon(n: u8) -> u8 {
    n
}

#[task(retries = 3 cache)]
async fn no_comma(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (text(1), colon(1), no_comma(1));
}
