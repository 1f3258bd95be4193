use flowkit::prelude::*;

#[task]
const fn constant(n: u8) -> u8 {
    n
}

#[task]
async unsafe fn dangerous(n: u8) -> u8 {
    n
}

#[task]
extern "C" fn foreign(n: u8) -> u8 {
    n
}

fn main() {
    let _ = (constant(1).submit(), dangerous(1).submit(), foreign(1));
}
