use flowkit::prelude::*;

#[task]
async fn elided(name: Option<&str>) -> usize {
    name.map_or(0, str::len)
}

#[task]
async fn named<'a>(names: Vec<&'a str>) -> usize {
    names.len()
}

fn main() {
    let _ = (elided(Some("a")).submit(), named(vec!["a"]).submit());
}
