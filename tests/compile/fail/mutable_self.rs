use flowkit::prelude::*;

#[derive(Clone)]
struct Counter(u8);

impl Counter {
    #[task]
    async fn count(&mut self, n: u8) -> u8 {
        self.0 += n;
        self.0
    }
}

fn main() {
    let _ = Counter(0).count(1).submit();
}
