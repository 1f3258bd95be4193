use flowkit::prelude::*;

struct Connection;

impl Connection {
    #[task]
    async fn ping(&self) {}
}

fn main() {
    let _ = Connection.ping();
}
