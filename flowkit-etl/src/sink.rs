//! Where data goes to: the contract of a sink, and the sinks in a file each.

#[cfg(feature = "files")]
mod dataset;
#[cfg(feature = "files")]
mod drain;
#[cfg(feature = "files")]
pub(crate) mod faithful;
#[cfg(feature = "files")]
mod file;
#[cfg(feature = "files")]
mod format;
#[cfg(feature = "files")]
pub(crate) mod ledger;
#[cfg(any(feature = "csv", feature = "json"))]
mod length;
#[cfg(feature = "objects")]
mod objects;
#[cfg(feature = "files")]
mod output;
#[cfg(feature = "files")]
pub(crate) mod partition;
#[cfg(feature = "files")]
mod parts;
#[cfg(feature = "files")]
mod shape;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "files")]
mod staging;
#[cfg(any(feature = "csv", feature = "json"))]
mod text;

#[cfg(feature = "files")]
pub use self::dataset::DatasetSink;
#[cfg(feature = "files")]
pub use self::file::FileSink;
#[cfg(feature = "files")]
pub use self::format::{Compression, FileFormat};
#[cfg(feature = "objects")]
pub use self::objects::ObjectSink;
#[cfg(feature = "sql")]
pub use self::sql::{LEDGER, SqlSink};

use std::fmt;
use std::str::FromStr;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::since::Since;
use crate::stream::BatchStream;

/// Something that data is written to.
///
/// # Contract
///
/// - A load is all or nothing: nobody who reads sees a part of it, and one that fails, is dropped or dies with its process leaves what was there before.
/// - A load that was committed under a [`LoadId`] is not made again under the same one: it gives the [`Loaded`] of then, with `repeated`, or writes the same once more where that makes no difference.
/// - A stream that ends with an error fails the load with that error.
/// - When [`load`](Self::load) returns without an error, what was loaded outlasts a power failure.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Writes all of a stream, under the name of this load.
    ///
    /// # Errors
    /// The stream's error, or why it could not be written.
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>>;

    /// Where the next incremental extraction begins that goes by the name of `cursor`: after what the last one that was committed here came to, else from the beginning.
    ///
    /// # Errors
    /// When that cannot be read. A sink that keeps no cursors, as one that is not implemented to, says so.
    fn since<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<Since>> {
        let message = format!(
            "this sink keeps no cursors, so that it cannot tell where `{cursor}` is: a table or a data set does"
        );
        Box::pin(std::future::ready(Err(Error::new(ErrorKind::Options, message))))
    }
}

/// How a load stands to those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Beside them. The columns must be the same.
    #[default]
    Append,
    /// In place of all of them.
    Replace,
}

/// The name of a load: what is loaded, not when it is tried. A day, a file, the id of a flow run; so that repeating it is known for what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoadId(String);

impl LoadId {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 150;

    /// A name of letters, digits, `-`, `_` and `.`, which begins with a letter or digit, 150 bytes at most.
    ///
    /// # Errors
    /// When it has anything else in it.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && name.len() <= Self::LONGEST && name.bytes().all(plain) {
            return Ok(Self(name));
        }
        Err(Error::new(
            ErrorKind::Options,
            format!(
                "{name:?} cannot name a load: it takes up to {} letters, digits, `-`, `_` and `.`, the first of them a letter or digit",
                Self::LONGEST
            ),
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LoadId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for LoadId {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<LoadId> for String {
    fn from(load: LoadId) -> Self {
        load.0
    }
}

/// What a load wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Its name.
    pub load: LoadId,
    /// Rows that the load had; 0 where it is repeated, and another one came in its place, so that nobody knows any more.
    pub rows: u64,
    /// Bytes of the files that were written, compressed as they are; 0 where there are no files.
    pub bytes: u64,
    /// The files that were written.
    pub files: Vec<String>,
    /// Whether it had been committed before, so that nothing was written now.
    pub repeated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_load_can_be_the_name_of_a_file_and_nothing_else() {
        for name in ["2013-02-04", "019a0b7e-96f8-746a-9b79-92f14bfe4414", "a.b_c"] {
            assert_eq!(LoadId::new(name).unwrap().as_str(), name);
        }
        for name in ["", "..", ".a", "_a", "a/b", "a b", "ä", &"a".repeat(151)] {
            assert_eq!(
                LoadId::new(name).unwrap_err().kind(),
                ErrorKind::Options,
                "{name}"
            );
        }
        assert!(serde_json::from_str::<LoadId>("\"../a\"").is_err());
    }
}
