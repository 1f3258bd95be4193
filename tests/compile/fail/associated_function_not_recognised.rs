use flowkit::prelude::*;

struct Loader;

impl Loader {
    #[task]
    async fn load(n: u8) -> u8 {
        n
    }
}

fn main() {
    let _ = Loader::load(1);
}
