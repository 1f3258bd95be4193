use flowkit::prelude::*;

#[flow]
fn pipeline(n: u8) -> u8 {
    n
}

fn main() {
    let _ = pipeline(1).submit();
}
