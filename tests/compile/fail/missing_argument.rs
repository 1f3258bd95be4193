use flowkit::prelude::*;

#[task]
async fn fetch(url: &str, n: u8) -> String {
    format!("{url}{n}")
}

fn main() {
    let _ = fetch("a");
}
