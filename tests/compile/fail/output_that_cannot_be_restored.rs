use flowkit::prelude::*;

#[derive(serde::Serialize)]
struct Page;

#[task(cache)]
async fn fetch(n: u8) -> Result<Vec<Page>> {
    let _ = n;
    Ok(vec![])
}

#[task(cache)]
async fn plain(n: u8) -> Page {
    let _ = n;
    Page
}

fn main() {
    let _ = (fetch(1), plain(1));
}
