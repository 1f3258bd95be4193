use flowkit::prelude::*;

#[flow(cache)]
async fn pipeline(n: u8) -> u8 {
    n
}

#[flowkit::fingerprint(version = "1")]
fn helper() {}

fn main() {
    helper();
    let _ = pipeline(1);
}
