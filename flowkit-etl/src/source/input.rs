//! One file to be read, wherever it lies.

use std::fmt;
use std::path::{Path, PathBuf};
#[cfg(feature = "remote")]
use std::sync::Arc;

#[cfg(any(feature = "csv", feature = "json"))]
use crate::error::Result;
#[cfg(feature = "remote")]
use crate::remote::Remote;

/// One file to be read.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A file of this system.
    Local(PathBuf),
    /// A file elsewhere.
    #[cfg(feature = "remote")]
    Remote(Arc<dyn Remote>),
}

impl Input {
    /// What errors call it: a path, or something like one.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Local(path) => path,
            #[cfg(feature = "remote")]
            Self::Remote(remote) => Path::new(remote.name()),
        }
    }

    /// Its content, decompressed if it is compressed. Work that blocks, within a runtime.
    #[cfg(any(feature = "csv", feature = "json"))]
    pub(crate) fn open(&self) -> Result<Box<dyn std::io::Read + Send>> {
        let reader: Box<dyn std::io::Read + Send> = match self {
            Self::Local(path) => Box::new(
                std::fs::File::open(path).map_err(|error| crate::error::Error::io("read", path, error))?,
            ),
            #[cfg(feature = "remote")]
            Self::Remote(remote) => Box::new(crate::remote::RemoteReader::new(Arc::clone(remote))),
        };
        crate::source::bytes::decompressed(self.path(), reader)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}
