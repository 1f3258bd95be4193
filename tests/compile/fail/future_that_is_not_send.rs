use flowkit::prelude::*;

use std::rc::Rc;

#[task]
async fn fetch(n: u8) -> u8 {
    let shared = Rc::new(n);
    tokio::task::yield_now().await;
    *shared
}

fn main() {
    let _ = fetch(1);
}
