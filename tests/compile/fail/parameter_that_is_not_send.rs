use flowkit::prelude::*;

use std::rc::Rc;

#[task]
async fn fetch(n: u8, shared: Rc<u8>) -> u8 {
    n + *shared
}

#[task]
async fn share(n: u8) -> Rc<u8> {
    Rc::new(n)
}

fn main() {
    let _ = (fetch(1, Rc::new(1)), share(1));
}
