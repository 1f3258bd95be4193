//! A task brings a type of its own name, which would stand for the one of the language in all that is around it.

use flowkit::prelude::*;

#[task]
async fn f64(text: String) -> Result<u64> {
    Ok(text.parse()?)
}

#[flow]
async fn str() -> Result<()> {
    Ok(())
}

fn main() {
    let _sum: f64 = [1.0].iter().sum::<f64>();
}
