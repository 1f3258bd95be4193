//! What belongs to a task has its name, and would stand for the type of the language in all that is around it.

use flowkit::prelude::*;

#[task]
async fn f64(text: String) -> Result<u64> {
    Ok(text.parse()?)
}

#[flow]
async fn str() -> Result<()> {
    Ok(())
}

#[flowkit::fingerprint]
fn u8() -> u64 {
    1
}

fn main() {
    let _sum: f64 = [1.0].iter().sum::<f64>();
}
