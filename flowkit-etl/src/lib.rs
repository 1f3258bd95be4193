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
//! | `quality` | [`quality`]: figures about data, measured in one pass and held against thresholds |

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
mod error;
#[cfg(feature = "http")]
pub mod http;
#[cfg(any(feature = "files", feature = "sensors"))]
mod matching;
#[cfg(feature = "objects")]
pub mod object;
#[cfg(feature = "pipeline")]
pub mod pipeline;
#[cfg(feature = "quality")]
pub mod quality;
#[cfg(any(feature = "validation", feature = "quality"))]
mod records;
#[cfg(feature = "data")]
mod reject;
#[cfg(all(feature = "remote", feature = "files"))]
mod remote;
#[cfg(feature = "data")]
mod rows;
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
#[cfg(feature = "data")]
pub use value::Value;
