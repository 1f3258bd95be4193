use flowkit::prelude::*;

trait Source {
    #[task]
    async fn fetch(&self) -> u8;
}

fn main() {}
