use flowkit::prelude::*;

#[derive(Debug)]
struct Problem;

#[task]
async fn fetch(n: u8) -> Result<u8, Problem> {
    Ok(n)
}

#[task(retries = 1, retry_if = |_| true)]
fn read(n: u8) -> Result<u8, Problem> {
    Ok(n)
}

#[flow]
async fn pipeline(n: u8) -> Result<u8, std::rc::Rc<str>> {
    Ok(n)
}

fn main() {
    let _ = (fetch(1), read(1), pipeline(1));
}
