//! A thousand inputs, a few of which fail and are tolerated: `cargo run --example fan_out`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::num::NonZeroUsize;
use std::time::Duration;

use flowkit::prelude::*;
use flowkit_examples::Progress;

/// One in two hundred readings is broken.
#[task]
async fn reading(sensor: u32) -> Result<f64> {
    tokio::time::sleep(Duration::from_millis(u64::from(sensor % 7))).await;
    if sensor % 200 == 13 {
        return Err(format!("sensor {sensor} does not answer").into());
    }
    Ok(f64::from(sensor % 50) / 2.0)
}

#[task]
async fn mean(readings: &[f64]) -> f64 {
    readings.iter().sum::<f64>() / readings.len() as f64
}

#[flow]
async fn survey(sensors: u32) -> Result<f64> {
    let at_once = NonZeroUsize::new(64).ok_or("no concurrency")?;
    let readings = (0..sensors).map(reading).concurrency(at_once).submit_all();
    let outcomes = readings.tolerate(10).await?;
    for (sensor, error) in outcomes.failures() {
        println!("without sensor {sensor}: {error:#}");
    }
    Ok(mean(outcomes.into_values()).await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().observe(Progress::default()).build().await?;
    let run = runtime.run(survey(1_000u32)).await;
    println!(
        "{} readings, mean {:.2}",
        run.counts().completed - 1,
        run.into_result()?
    );
    Ok(())
}
