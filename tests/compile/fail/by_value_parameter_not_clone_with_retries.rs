use flowkit::prelude::*;

struct Connection;

#[task(retries = 3)]
async fn send(connection: Connection, text: String) {
    let _ = (connection, text);
}

impl Connection {
    #[task(retries = 3)]
    async fn close(self) {}
}

fn main() {
    let _ = (send(Connection, "a"), Connection.close());
}
