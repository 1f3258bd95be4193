//! Wait for a file and for a row in a database, and then fill the warehouse: `cargo run --features etl --example watch -- --incoming 'incoming/*.csv' --warehouse ADDRESS`.
//!
//! The file must not change any more for a while, and somebody must have released the day: a row in the table `releases`. Neither sensor holds a slot while it waits. With `--demo FILE` the
//! example plays the others too: it writes FILE bit by bit to where it is waited for, and then releases the day. Each file is loaded once, beside those before it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit_etl::sensor::{Files, Sensor, SqlCondition};
use flowkit_etl::sink::LoadId;
use flowkit_etl::sql::Database;
use flowkit_etl::{Error, Value};
use flowkit_examples::{Progress, warehouse};
use lexopt::prelude::*;

const HELP: &str = "\
Waits for a file and for a row in a database, and then fills the warehouse.

Usage: cargo run --features etl --example watch -- [OPTIONS]

Options:
  --incoming PATTERN    the files to wait for [default: target/incoming/*.csv]
  --stable-for SECONDS  how long a file must not change any more [default: 10]
  --day DAY             the day to be released: INSERT INTO releases (day)
                        VALUES ('DAY') in the warehouse [default: today]
  --timeout SECONDS     how long to wait for either [default: 3600]
  --warehouse ADDRESS   sqlite:FILE, postgres://... or mysql://...
                        [default: WAREHOUSE in the environment, or
                        sqlite:target/warehouse.db]
  --demo FILE           write FILE to where it is waited for, and release the day
  -h, --help            show this
";

/// The files that arrived, once nobody writes to them any more.
#[task(limit = "warehouse")]
async fn arrived(
    pattern: &Path,
    stable_for: Duration,
    timeout: Duration,
) -> Result<Option<Vec<PathBuf>>, Error> {
    let files = Files::matching(pattern).stable_for(stable_for);
    Sensor::new(files)
        .poke_interval(Duration::from_secs(10))
        .timeout(timeout)
        .wait_or_skip()
        .await
}

/// Whether somebody released the day.
#[task(limit = "warehouse")]
async fn released(
    day: &str,
    timeout: Duration,
    #[resource] warehouse: &Database,
) -> Result<Option<Value>, Error> {
    let listens = warehouse.to_string().starts_with("postgres");
    let place = warehouse::first_parameter(warehouse);
    let query = format!("SELECT COUNT(*) FROM releases WHERE day = {place}");
    let condition = SqlCondition::new(warehouse, query).bind(day);
    let condition = if listens {
        condition.listen("releases")
    } else {
        condition
    };
    Sensor::new(condition)
        .poke_interval(Duration::from_millis(500))
        .backoff(1.5, Duration::from_secs(30))
        .timeout(timeout)
        .wait_or_skip()
        .await
}

#[flow]
async fn watch(pattern: PathBuf, day: String, stable_for: Duration, timeout: Duration) -> Result<bool> {
    let files = arrived(&pattern, stable_for, timeout).submit();
    let release = released(&day, timeout).submit();
    let (Some(files), Some(_)) = (files.await?, release.await?) else {
        println!("nothing came, so there is nothing to do");
        return Ok(false);
    };
    for file in files {
        let load = LoadId::new(blake3::hash(&std::fs::read(&file)?).to_hex().as_str())?;
        let (loaded, models, summary) = warehouse::fill(file, load).await?;
        warehouse::show(&loaded, &models, &summary);
    }
    Ok(true)
}

/// Plays those who write the file and release the day.
async fn others(text: Vec<u8>, pattern: PathBuf, day: String, database: Database) -> Result<()> {
    let incoming = pattern.parent().ok_or("the pattern has no directory")?;
    let mut target = tokio::fs::File::create(incoming.join("arrived.csv")).await?;
    for part in text.chunks(text.len() / 4 + 1) {
        tokio::io::AsyncWriteExt::write_all(&mut target, part).await?;
        tokio::io::AsyncWriteExt::flush(&mut target).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!("the file is written; the day is released");
    let statement = format!(
        "INSERT INTO releases (day) VALUES ({})",
        warehouse::first_parameter(&database)
    );
    database.execute(&statement, &[day.into()]).await?;
    if database.to_string().starts_with("postgres") {
        database.execute("NOTIFY releases", &[]).await?;
    }
    Ok(())
}

fn read(file: PathBuf) -> Result<Vec<u8>> {
    std::fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let (mut pattern, mut demo) = (PathBuf::from("target/incoming/*.csv"), None);
    let (mut day, mut timeout, mut stable_for) = (
        "today".to_owned(),
        Duration::from_secs(3600),
        Duration::from_secs(10),
    );
    let mut address = std::env::var("WAREHOUSE").unwrap_or_else(|_| "sqlite:target/warehouse.db".to_owned());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("incoming") => pattern = PathBuf::from(parser.value()?),
            Long("warehouse") => address = parser.value()?.string()?,
            Long("day") => day = parser.value()?.string()?,
            Long("timeout") => timeout = Duration::from_secs(parser.value()?.parse()?),
            Long("stable-for") => stable_for = Duration::from_secs(parser.value()?.parse()?),
            Long("demo") => demo = Some(read(parser.value()?.into())?),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let database = Database::new(&address)?;
    if let Some(incoming) = pattern.parent() {
        std::fs::create_dir_all(incoming)?;
    }
    database
        .execute("CREATE TABLE IF NOT EXISTS releases (day VARCHAR(40))", &[])
        .await?;
    let runtime = Runtime::builder()
        .limit("warehouse", 1)
        .resource(database.clone())
        .observe(Progress::default())
        .build()
        .await?;
    let watching = async {
        let run = runtime
            .run(watch(pattern.clone(), day.clone(), stable_for, timeout))
            .await;
        run.into_result().map_err(Into::into)
    };
    match demo {
        // If the others cannot do their part, there is nothing to wait for.
        Some(text) => {
            tokio::try_join!(watching, others(text, pattern.clone(), day.clone(), database)).map(drop)
        }
        None => watching.await.map(drop),
    }
}
