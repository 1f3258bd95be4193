//! What a pipeline's ends cost: CSV into Parquet, Parquet into PostgreSQL and out of it again, beside the same jobs done with the crates beneath, all in one run. And what seven checks of quality
//! cost in the pass over a Parquet file that makes them all, and what one of keys of texts and numbers costs, beside the pass without them.
//!
//! `FLOWKIT_ROWS=10000000 FLOWKIT_TEST_POSTGRES=postgres://… cargo bench -p flowkit-etl --features csv,parquet,postgres,quality`. A million rows unless said otherwise; without a server, only files. Each job runs in a
//! process of its own, whose peak of memory is its own, three times by turns; the shortest time counts.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "it measures, and says so"
)]

mod ours;
mod plain;
mod season;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is measured: each job by us and by the crates beneath.
const JOBS: [&str; 5] = [
    "csv-to-parquet",
    "quality-of-parquet",
    "keys-of-parquet",
    "parquet-to-postgres",
    "postgres-to-parquet",
];
const TURNS: usize = 3;
/// The job that a child is to do.
const JOB: &str = "FLOWKIT_BENCH_JOB";

/// Where the files and tables of a run are.
pub(crate) struct Places {
    pub(crate) csv: PathBuf,
    pub(crate) parquet: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) postgres: String,
}

impl Places {
    fn within(directory: &Path) -> Self {
        Self {
            csv: directory.join("season.csv"),
            parquet: directory.join("season.parquet"),
            out: directory.join("out.parquet"),
            postgres: std::env::var("FLOWKIT_TEST_POSTGRES").unwrap_or_default(),
        }
    }
}

#[tokio::main]
async fn main() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("throughput");
    std::fs::create_dir_all(&directory).unwrap();
    let places = Places::within(&directory);
    if let Ok(job) = std::env::var(JOB) {
        let began = Instant::now();
        match job.as_str() {
            "ours csv-to-parquet" => ours::csv_to_parquet(&places).await,
            "plain csv-to-parquet" => plain::csv_to_parquet(&places),
            "ours quality-of-parquet" => ours::parquet_with_checks(&places).await,
            "ours keys-of-parquet" => ours::parquet_with_keys(&places).await,
            "plain quality-of-parquet" | "plain keys-of-parquet" => {
                ours::parquet_without_checks(&places).await;
            }
            "ours parquet-to-postgres" => ours::parquet_to_postgres(&places).await,
            "plain parquet-to-postgres" => plain::parquet_to_postgres(&places).await,
            "ours postgres-to-parquet" => ours::postgres_to_parquet(&places).await,
            "plain postgres-to-parquet" => plain::postgres_to_parquet(&places).await,
            other => panic!("there is no job {other}"),
        }
        println!("{} {}", began.elapsed().as_micros(), peak());
        return;
    }
    let rows: usize = std::env::var("FLOWKIT_ROWS")
        .map_or(1_000_000, |rows| rows.parse().expect("FLOWKIT_ROWS is a number"));
    season::write(&places.csv, rows);
    plain::csv_to_parquet(&places);
    std::fs::rename(&places.out, &places.parquet).unwrap();
    println!(
        "{rows} rows of 8 columns, {} MB of CSV",
        std::fs::metadata(&places.csv).unwrap().len() / 1_000_000
    );
    println!(
        "{:<22}{:>12}{:>12}{:>8}{:>12}{:>12}",
        "job", "rows/s", "plain", "ratio", "peak MB", "plain MB"
    );
    for job in JOBS {
        if job.contains("postgres") && places.postgres.is_empty() {
            println!("{job:<22}not measured: FLOWKIT_TEST_POSTGRES names no server");
            continue;
        }
        let (mut ours, mut plain) = ((Duration::MAX, 0), (Duration::MAX, 0));
        for _ in 0..TURNS {
            ours = better(ours, child(&format!("ours {job}")));
            plain = better(plain, child(&format!("plain {job}")));
        }
        let rate = |time: Duration| rows as f64 / time.as_secs_f64();
        let ratio = ours.0.as_secs_f64() / plain.0.as_secs_f64();
        println!(
            "{job:<22}{:>12.0}{:>12.0}{ratio:>8.2}{:>12}{:>12}",
            rate(ours.0),
            rate(plain.0),
            ours.1 / 1024,
            plain.1 / 1024
        );
    }
    if !places.postgres.is_empty() {
        let database = flowkit_etl::sql::Database::new(&places.postgres).unwrap();
        let tables = "DROP TABLE IF EXISTS flowkit_bench_ours, flowkit_bench_plain, flowkit_bench_loads";
        database.execute(tables, &[]).await.unwrap();
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// The shorter time, and the higher peak.
fn better(one: (Duration, u64), other: (Duration, u64)) -> (Duration, u64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// Does a job in a process of its own: how long it took, and its peak of memory in KiB.
fn child(job: &str) -> (Duration, u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(JOB, job)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{job}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text
        .split_whitespace()
        .map(|number| number.parse::<u64>().unwrap());
    (
        Duration::from_micros(numbers.next().unwrap()),
        numbers.next().unwrap(),
    )
}

/// The most memory that this process has held, in KiB, where the system tells; else 0.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}
