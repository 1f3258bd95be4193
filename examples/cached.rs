//! Results that are kept: `cargo run --example cached`, twice. The second run is served from `.flowkit/`.
//!
//! Change the body of `measure`, and it runs again: the code is part of the key. After ten seconds it does too.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use flowkit::prelude::*;

/// Something slow.
#[task(cache, cache_expiration = "10s")]
async fn measure(sample: u32) -> u32 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    sample * sample
}

#[flow]
async fn survey(samples: u32) -> Result<u32> {
    Ok((0..samples).map(measure).submit_all().await?.iter().sum())
}

#[tokio::main]
async fn main() -> Result<()> {
    let run = survey(3u32).run().await;
    let counts = run.counts();
    println!(
        "{} computed, {} from the cache, in {:?}",
        counts.completed,
        counts.cached,
        run.elapsed()
    );

    // Within one run, equal calls at one time are computed once.
    let (a, b) = (measure(7u32).submit(), measure(7u32).submit());
    println!("{} = {}", a.await?, b.await?);

    println!("refreshed: {}", measure(2u32).refresh_cache().await?);
    println!("sum of squares: {}", run.into_result()?);
    Ok(())
}
