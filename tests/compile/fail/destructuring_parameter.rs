use flowkit::prelude::*;

#[task]
async fn add((a, b): (u8, u8), c: u8) -> u8 {
    a + b + c
}

fn main() {
    let _ = add((1, 2), 3).submit();
    let _ = add::NAME;
}
