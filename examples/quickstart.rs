//! The smallest flow: `cargo run --example quickstart`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use flowkit::prelude::*;

/// How many letters a word has.
#[task]
async fn letters(word: &str) -> usize {
    word.chars().count()
}

#[task]
async fn total(counts: &[usize]) -> usize {
    counts.iter().sum()
}

#[flow]
async fn count(words: Vec<String>) -> Result<usize> {
    let counts = words.iter().map(letters).submit_all(); // all at once
    Ok(total(&counts).await?) // waits for them
}

#[tokio::main]
async fn main() -> Result<()> {
    let words = ["a", "flow", "is", "a", "function"].map(String::from).to_vec();
    let run = count(words).run().await;
    println!("{}", run.graph().to_mermaid());
    println!("{} letters", run.into_result()?);
    Ok(())
}
