use flowkit::prelude::*;

#[task]
#[flow]
async fn fetch(n: u8) -> u8 {
    n
}

fn main() {
    let _ = fetch(1);
}
