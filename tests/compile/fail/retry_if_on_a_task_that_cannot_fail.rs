use flowkit::prelude::*;

#[task(retries = 3, retry_if = is_transient)]
async fn fetch(n: u8) -> u8 {
    n
}

fn is_transient(_: &std::io::Error) -> bool {
    true
}

fn main() {
    let _ = (fetch(1), is_transient);
}
