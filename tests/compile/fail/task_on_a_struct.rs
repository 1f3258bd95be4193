use flowkit::prelude::*;

#[task]
struct Fetch {
    n: u8,
}

fn main() {
    let _ = Fetch { n: 1 }.n;
}
