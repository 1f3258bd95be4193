//! What a data pipeline needs around its tasks: sources, sinks, and checks of what passes between them. Plain async functions and types that go into
//! flowkit's `#[task]`s, or are used without them.
//!
//! Data are Arrow record batches, one after the other: a [`BatchStream`]. A [`Source`](source::Source) makes one, a [`Sink`](sink::Sink) takes one, and what is larger
//! than memory passes through. Typed rows are converted by [`BatchStream::from_rows`] and [`BatchStream::collect_rows`].
//!
#![cfg_attr(all(feature = "csv", feature = "parquet"), doc = "```")]
#![cfg_attr(not(all(feature = "csv", feature = "parquet")), doc = "```ignore")]
//! use flowkit::prelude::*;
//! use flowkit_etl::sink::{DatasetSink, LoadId, Loaded, Sink};
//! use flowkit_etl::source::{CsvSource, Source};
//! use std::path::PathBuf;
//!
//! /// A day's file into the lake, once: repeated, it changes nothing.
//! #[task(retries = 3, retry_delay = "1s", retry_if = flowkit_etl::Error::is_transient)]
//! async fn load(file: PathBuf, lake: PathBuf, day: &str) -> Result<Loaded, flowkit_etl::Error> {
//!     let batches = CsvSource::new(file).open().await?;
//!     DatasetSink::parquet(lake).partition_by(["scenario"]).load(&LoadId::new(day)?, batches).await
//! }
//!
//! #[flow]
//! async fn daily(file: PathBuf, lake: PathBuf) -> Result<u64> {
//!     Ok(load(file, lake, "2013-02-04").await?.rows)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let (file, lake) = (directory.path().join("plants.csv"), directory.path().join("lake"));
//! # std::fs::write(&file, "plant,scenario,height\na,WW,140.3\nb,WD,151.2\n")?;
//! assert_eq!(daily(file, lake).await?, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! None is on by default; each brings only what it needs.
//!
//! | feature | brings |
//! |---|---|
//! | `data` | [`BatchStream`], typed rows, the traits [`Source`](source::Source) and [`Sink`](sink::Sink) |
//! | `csv`, `json`, `parquet` | files of that format, in and out; each brings `data` and [`DatasetSink`](sink::DatasetSink) |
//! | `compression` | text files that are compressed by gzip or zstd |
//! | `sqlite`, `postgres`, `mysql` | databases of that kind, in and out: [`SqlSource`](source::SqlSource), [`SqlSink`](sink::SqlSink) |
//! | `pipeline` | [`pipeline`]: stages wired beforehand and run as one flow. It brings flowkit and `parquet` |
//! | `sensors` | [`sensor`]: waits for files, times of day, databases (with their features) and any predicate, without a slot |
//! | `http` | [`http`] and [`HttpSource`](source::HttpSource): the records of APIs, page after page; with the features of formats, files at addresses |
//! | `objects` | [`object`]: files and data sets in S3, Google Cloud Storage and Azure. It brings `parquet` |
//! | `validation` | [`validation`]: checks of records by their type, by a JSON Schema, by their columns |
//! | `query` | [`query`]: SQL over batches, by DataFusion, which is many crates |
//! | `quality` | [`quality`]: figures about data, measured in one pass and held against thresholds |
//! | `monitor` | [`monitor`]: what runs do, in figures, from the engine's events alone |
//! | `prometheus`, `prometheus-listener` | those figures as Prometheus reads them, for your HTTP server or by one of its own |
//! | `otel` | those figures and the spans of runs, sent to a collector of OpenTelemetry |
//! | `alerts` | [`alerts`]: rules about runs and quality, told by email and webhooks |

#[cfg(feature = "alerts")]
pub mod alerts;
#[cfg(any(
    feature = "files",
    feature = "sensors",
    feature = "sql",
    feature = "validation",
    feature = "quality"
))]
mod blocking;
#[cfg(feature = "data")]
mod dead_letters;
#[cfg(any(feature = "files", feature = "alerts"))]
mod durable;
mod error;
#[cfg(any(
    feature = "csv",
    feature = "json",
    feature = "http",
    feature = "sql",
    feature = "validation",
    feature = "quality"
))]
mod exact;
#[cfg(feature = "http")]
pub mod http;
#[cfg(any(feature = "data", feature = "monitor"))]
mod in_run;
#[cfg(any(feature = "files", feature = "sensors"))]
mod matching;
#[cfg(feature = "monitor")]
pub mod monitor;
#[cfg(any(feature = "monitor", feature = "alerts"))]
mod names;
#[cfg(any(feature = "validation", feature = "quality", feature = "sql"))]
mod nanos;
#[cfg(feature = "objects")]
pub mod object;
#[cfg(feature = "pipeline")]
pub mod pipeline;
#[cfg(feature = "quality")]
pub mod quality;
#[cfg(feature = "query")]
pub mod query;
#[cfg(any(feature = "validation", feature = "quality"))]
mod records;
#[cfg(any(feature = "http", feature = "alerts"))]
mod refusal;
#[cfg(feature = "data")]
mod reject;
#[cfg(all(feature = "remote", feature = "files"))]
mod remote;
#[cfg(feature = "data")]
mod rows;
#[cfg(any(feature = "monitor", feature = "alerts"))]
mod said;
#[cfg(feature = "sensors")]
pub mod sensor;
#[cfg(feature = "data")]
mod since;
#[cfg(feature = "data")]
pub mod sink;
#[cfg(feature = "data")]
pub mod source;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "data")]
mod stream;
#[cfg(any(feature = "data", feature = "alerts"))]
mod text;
#[cfg(any(feature = "http", feature = "otel", feature = "alerts"))]
mod tls;
#[cfg(any(feature = "data", feature = "monitor"))]
mod traffic;
#[cfg(feature = "validation")]
pub mod validation;
#[cfg(feature = "data")]
mod value;

#[cfg(feature = "data")]
pub use arrow_array;
#[cfg(feature = "data")]
pub use arrow_schema;

#[cfg(feature = "data")]
pub use dead_letters::DeadLetter;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "data")]
pub use reject::{DEFAULT_KEPT, Reject, Rejects, Tolerance, Violation};
#[cfg(feature = "data")]
pub use rows::{batch_of, rows_of, schema_of};
#[cfg(feature = "data")]
pub use since::Since;
#[cfg(feature = "data")]
pub use stream::{BatchStream, DEFAULT_BATCH_ROWS};
#[cfg(any(feature = "data", feature = "monitor"))]
pub use traffic::Traffic;
#[cfg(feature = "data")]
pub use value::Value;
