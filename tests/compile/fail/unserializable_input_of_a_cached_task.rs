use flowkit::prelude::*;

struct Client;

#[task(cache)]
async fn fetch(client: &Client, url: &str, more: Vec<Client>) -> usize {
    let _ = client;
    url.len() + more.len()
}

fn main() {
    let _ = fetch(Client, "a", vec![]);
}
