//! Where data comes from: the contract of a source, and the sources in a file each.

#[cfg(any(
    feature = "csv",
    feature = "json",
    all(feature = "parquet", feature = "remote")
))]
mod bytes;
#[cfg(feature = "csv")]
pub(crate) mod csv;
#[cfg(feature = "csv")]
mod csv_records;
#[cfg(feature = "csv")]
mod csv_times;
#[cfg(feature = "files")]
mod dataset;
#[cfg(feature = "files")]
mod file;
#[cfg(feature = "files")]
mod files;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "files")]
mod input;
#[cfg(any(feature = "json", feature = "http"))]
mod json;
#[cfg(any(feature = "json", feature = "http"))]
mod json_inferred;
#[cfg(feature = "json")]
mod json_lines;
#[cfg(any(feature = "json", feature = "http"))]
mod json_watch;
#[cfg(feature = "files")]
mod loads;
#[cfg(feature = "files")]
mod location;
#[cfg(feature = "objects")]
mod objects;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(all(feature = "parquet", feature = "remote"))]
mod parquet_ranges;
#[cfg(feature = "sql")]
mod sql;
#[cfg(any(feature = "csv", feature = "json"))]
pub(crate) mod text;

#[cfg(feature = "csv")]
pub use self::csv::CsvSource;
#[cfg(feature = "files")]
pub use self::dataset::DatasetSource;
#[cfg(feature = "files")]
pub use self::file::FileSource;
#[cfg(feature = "http")]
pub use self::http::HttpSource;
#[cfg(feature = "files")]
pub(crate) use self::input::Input;
#[cfg(feature = "json")]
pub use self::json_lines::JsonLinesSource;
#[cfg(feature = "files")]
pub use self::location::Location;
#[cfg(feature = "objects")]
pub use self::objects::ObjectSource;
#[cfg(feature = "parquet")]
pub use self::parquet::ParquetSource;
#[cfg(feature = "sql")]
pub use self::sql::SqlSource;

use std::fmt;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::stream::BatchStream;

/// Something that data is read from.
///
/// # Contract
///
/// - Each [`open`](Self::open) reads from the beginning, so that a task that is retried gets everything again.
/// - What is not there, or cannot be used, is an error of `open` rather than of the first batch, as far as that can be known then.
/// - Data is read as batches are asked for, and memory does not grow with how much there is.
/// - A stream that ended without an error was read to its end.
/// - Dropping the future or the stream stops the reading.
pub trait Source: fmt::Debug + Send + Sync {
    /// Begins to read.
    ///
    /// # Errors
    /// When there is nothing to read from, or not in the expected form.
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>>;
}
