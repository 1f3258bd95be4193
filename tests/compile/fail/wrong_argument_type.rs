use flowkit::prelude::*;

#[task]
async fn fetch(url: &str, retries: u8) -> String {
    format!("{url}{retries}")
}

#[task]
async fn count(pages: &[String]) -> usize {
    pages.len()
}

fn main() {
    let page = fetch("a", "b").submit();
    let _ = count(page);
}
