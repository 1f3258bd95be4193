//! Names in directories that outlast a power failure.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes a directory with those above it, if it is not there.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::io("make the directory", path, error))
}

/// Gives a file or directory another name in place of a file that may have it, for good.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("put in place", to, error))?;
    sync_directory(directory_of(to))
}

/// Makes the names in a directory durable. Where a directory cannot be opened as a file, they are the file system's to keep.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::io("sync the directory", path, error))
}

/// The directory in which a path lies.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
