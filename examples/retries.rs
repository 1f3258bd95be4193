//! Failures that pass, and one that does not: `cargo run --example retries`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt;

use flowkit::current_run;
use flowkit::prelude::*;
use flowkit_examples::Progress;

/// What a service answers when it does not serve.
#[derive(Debug)]
struct Status(u16);

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the service answered {}", self.0)
    }
}

impl std::error::Error for Status {}

/// Worth another attempt.
fn is_transient(status: &Status) -> bool {
    status.0 >= 500
}

/// Answers at the third attempt; what is not there is not asked for twice.
#[task(retries = 4, retry_delay = "100ms", retry_backoff = 2.0, retry_jitter = 0.2, retry_if = is_transient, timeout = "1s")]
async fn fetch(page: &str) -> Result<String, Status> {
    let attempt = current_run().map_or(1, |run| run.attempt());
    match page {
        "missing" => Err(Status(404)),
        _ if attempt < 3 => Err(Status(503)),
        page => Ok(format!("<{page}>")),
    }
}

#[flow]
async fn visit() -> Result<String> {
    let page = fetch("index").await?;
    if let Err(error) = fetch("missing").await {
        println!("after {} attempt: {error:?}", error.attempts());
    }
    Ok(page)
}

#[tokio::main]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().observe(Progress::default()).build().await?;
    let run = runtime.run(visit()).await;
    let retries = run.counts().retries;
    println!("{} after {retries} retries", run.into_result()?);
    Ok(())
}
