//! Large values: one file each, written and synced before it is named, unlinked after it is forgotten.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::CacheKey;
use crate::store::StoreError;

/// The directory of large values.
pub(crate) struct Objects {
    directory: PathBuf,
    written: AtomicU64,
}

impl Objects {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            written: AtomicU64::new(0),
        }
    }

    /// Writes a value to a file of a name that no other has, in this process or another, and gives the name.
    pub(crate) fn write(&self, key: &CacheKey, bytes: &[u8]) -> Result<String, StoreError> {
        let digits = key.to_string();
        let folder = digits.get(..2).unwrap_or_default().to_owned();
        let process = std::process::id();
        loop {
            let number = self.written.fetch_add(1, Ordering::Relaxed);
            let name = format!("{folder}/{digits}-{process:x}-{number:x}");
            match self.try_write(&folder, &name, bytes) {
                Ok(()) => return Ok(name),
                // Of an earlier process with our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // Half a file is of no use, and nothing names it.
                    drop(fs::remove_file(self.directory.join(&name)));
                    return Err(StoreError::io("writing a cached value", error));
                }
            }
        }
    }

    fn try_write(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.directory.join(folder);
        fs::create_dir_all(&folder)?;
        let mut file = File::create_new(self.directory.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_directory(&folder)
    }

    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.directory.join(name))
    }

    /// Removes files. One that cannot be removed is found again when the store is opened next.
    pub(crate) fn unlink(&self, names: &[String]) {
        for name in names {
            drop(fs::remove_file(self.directory.join(name)));
        }
    }

    /// Removes the files that no record names: a process ended between writing one and naming it.
    pub(crate) fn remove_orphans(&self, named: &HashSet<String>) -> io::Result<()> {
        for folder in fs::read_dir(&self.directory)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let name = format!(
                    "{}/{}",
                    folder.file_name().to_string_lossy(),
                    file.file_name().to_string_lossy()
                );
                if !named.contains(&name) {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Makes the names in a directory durable. On systems where a directory cannot be opened as a file, the names are the file system's to keep.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}
