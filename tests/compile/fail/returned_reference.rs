use flowkit::prelude::*;

#[task]
async fn first(names: &[String]) -> Option<&str> {
    names.first().map(String::as_str)
}

#[task]
async fn shown(n: u8) -> impl std::fmt::Display {
    n
}

fn main() {
    let _ = (first(&[]), shown(1));
}
