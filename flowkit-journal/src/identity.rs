//! Which file lies at a path, so that one that was deleted or replaced while it is open is noticed: the system lets a program write on into a
//! file that nobody will ever find.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// A file, whatever it is called: its device, and its number there.
///
/// Where the system has no such numbers to be asked for, all files are the same one. There a file that is open cannot be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// That of the file at a path; none if there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Self::of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// That of a file that is open.
    pub(crate) fn of_open(file: &File) -> io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }

    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(found.dev(), found.ino())
    }

    #[cfg(not(unix))]
    fn of(_found: &Metadata) -> Self {
        Self(0, 0)
    }
}
