//! A program that is operated from the command line, whose flows are run, watched, cancelled and resumed:
//! `cargo run --features operate --example operate -- list`. The README tells the story.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use flowkit::cli::Cli;
use flowkit::prelude::*;
use flowkit::{Runtime, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In which unit a harvest is told.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Kilograms,
    Pounds,
}

/// What a plot yields, in kilograms. Scales are slow, and a plot is weighed once a year.
#[task(cache)]
async fn weigh(plot: &str, year: u32) -> f64 {
    flowkit::sleep(Duration::from_millis(50)).await;
    let letters = plot
        .chars()
        .map(|letter| f64::from(u32::from(letter) % 17))
        .sum::<f64>();
    let kilograms = letters + f64::from(year % 10);
    tracing::info!(plot, year, kilograms, "weighed");
    kilograms
}

#[task]
async fn total(weights: &[f64], unit: Unit) -> f64 {
    let kilograms: f64 = weights.iter().sum();
    match unit {
        Unit::Kilograms => kilograms,
        Unit::Pounds => kilograms * 2.204_622_621_8,
    }
}

/// Weighs what the plots of a year yielded, all at once.
#[flow]
async fn harvest(plots: Vec<String>, year: u32, unit: Option<Unit>) -> Result<f64> {
    let weights = plots.iter().map(|plot| weigh(plot, year)).submit_all();
    Ok(total(&weights, unit.unwrap_or_default()).await?)
}

#[task]
async fn fetch(rows: u32) -> Vec<u32> {
    tracing::info!(rows, "fetched");
    (1..=rows).collect()
}

#[task]
async fn clean(rows: &[u32]) -> Vec<u32> {
    rows.iter().filter(|row| *row % 3 != 0).copied().collect()
}

/// The warehouse takes two loads at a time, while it is open.
#[task(limit = "warehouse", retries = 1, retry_delay = "50ms")]
async fn load(rows: &[u32], warehouse: PathBuf) -> Result<usize> {
    if !warehouse.exists() {
        tracing::warn!("the warehouse is closed");
        return Err(format!(
            "the warehouse is closed until there is a file `{}`",
            warehouse.display()
        )
        .into());
    }
    Ok(rows.len())
}

/// Brings rows into the warehouse. While that is closed it fails half-way, and can be resumed when it is open: what was fetched and cleaned is kept.
#[flow(tags("import"))]
async fn import(rows: u32, warehouse: PathBuf) -> Result<usize> {
    let cleaned = clean(fetch(rows));
    Ok(load(cleaned, warehouse).await?)
}

#[task]
async fn turn(bed: u32, pause_ms: u64) -> u32 {
    flowkit::sleep(Duration::from_millis(pause_ms)).await;
    tracing::info!(bed, "watered");
    bed
}

/// Waters one bed after the other, which takes a while: to be looked at, cancelled or killed meanwhile.
#[flow]
async fn water(beds: u32, pause_ms: Option<u64>) -> Result<u32> {
    let mut watered = 0;
    for bed in 1..=beds {
        turn(bed, pause_ms.unwrap_or(1000)).await?;
        watered += 1;
    }
    Ok(watered)
}

/// A neighbour knows who tells something by a token.
#[task]
async fn hear(news: &str, token: &Secret<String>) -> Result<usize> {
    if token.expose_secret().len() < 8 {
        return Err("the neighbours do not know this token".into());
    }
    Ok(news.len())
}

/// Tells the neighbours what is new. They know us by a token, which is a secret: `--token-env` and `--token-file` keep it from whoever lists processes.
#[flow]
async fn tell(news: String, token: Secret<String>) -> Result<String> {
    let letters = hear(news, token).await?;
    Ok(format!("{letters} letters were heard"))
}

fn main() -> ExitCode {
    // What bodies log goes into the journal, where `logs` finds it, since this program has no subscriber of its own.
    Cli::new()
        .runtime(|| Runtime::builder().limit("warehouse", 2))
        .main()
}
