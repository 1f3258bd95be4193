//! Load raw, then transform in the database: `cargo run --features etl --example elt -- --source season.csv --warehouse ADDRESS`.
//!
//! The warehouse is a SQLite file unless said otherwise; `postgres://` and `mysql://` do as well, and `WAREHOUSE` in the environment keeps a password out of the command line. The load goes by
//! the digest of the file: one that was loaded before is not loaded again, and another one beside it. Where both have a day of a plant, that of the later load counts.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::PathBuf;

use flowkit::prelude::*;
use flowkit_etl::sink::LoadId;
use flowkit_etl::sql::Database;
use flowkit_examples::{Progress, warehouse};
use lexopt::prelude::*;

const HELP: &str = "\
Loads a season of measurements raw, and transforms it in the database.

Usage: cargo run --features etl --example elt -- --source FILE [--warehouse ADDRESS]

Options:
  --source FILE        measurements, as CSV; the example `plant_phenotyping`
                       writes a season to target/plant_phenotyping/season.csv
  --warehouse ADDRESS  sqlite:FILE, postgres://... or mysql://...
                       [default: WAREHOUSE in the environment, or
                       sqlite:target/warehouse.db]
  -h, --help           show this
";

/// Reads the command line: the file, and the warehouse. Nothing, if it asks for help.
fn arguments() -> Result<Option<(PathBuf, Database)>> {
    let mut parser = lexopt::Parser::from_env();
    let (mut source, mut address) = (None, std::env::var("WAREHOUSE").ok());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("source") => source = Some(PathBuf::from(parser.value()?)),
            Long("warehouse") => address = Some(parser.value()?.string()?),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let source = source.ok_or("--source FILE says which measurements are loaded")?;
    let address = address.unwrap_or_else(|| "sqlite:target/warehouse.db".to_owned());
    Ok(Some((source, Database::new(&address)?)))
}

#[tokio::main]
async fn main() -> Result<()> {
    let Some((source, database)) = arguments()? else {
        print!("{HELP}");
        return Ok(());
    };
    let read = std::fs::read(&source).map_err(|error| flowkit_etl::Error::io("read", &source, error))?;
    let load = LoadId::new(blake3::hash(&read).to_hex().as_str())?;
    let runtime = Runtime::builder()
        .resource(database.clone())
        .observe(Progress::default())
        .build()
        .await?;
    let run = runtime.run(warehouse::fill(source, load)).await;
    let (loaded, models, summary) = run.into_result()?;
    println!("warehouse {database}");
    warehouse::show(&loaded, &models, &summary);
    Ok(())
}
