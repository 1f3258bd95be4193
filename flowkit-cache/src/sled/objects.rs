//! Large values: one file each, written and synced before it is named, unlinked after it is forgotten.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::key::CacheKey;
use crate::store::StoreError;

/// The directory of large values.
pub(super) struct Objects {
    directory: PathBuf,
    /// Files that no record names any more, once the next flush is done.
    doomed: Mutex<Vec<String>>,
}

impl Objects {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            doomed: Mutex::new(Vec::new()),
        }
    }

    /// Writes a value to a file of a name that was never used before, and gives the name.
    pub(super) fn write(&self, key: &CacheKey, id: u64, bytes: &[u8]) -> Result<String, StoreError> {
        let digits = key.to_string();
        let folder = digits.get(..2).unwrap_or_default().to_owned();
        let name = format!("{folder}/{digits}-{id:x}");
        self.try_write(&folder, &name, bytes).map_err(|error| {
            // Half a file is of no use, and nothing names it.
            drop(fs::remove_file(self.directory.join(&name)));
            StoreError::io("writing a cached value", error)
        })?;
        Ok(name)
    }

    fn try_write(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.directory.join(folder);
        fs::create_dir_all(&folder)?;
        let mut file = File::create(self.directory.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_directory(&folder)
    }

    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.directory.join(name))
    }

    /// Notes a file that its record does not name any more.
    pub(super) fn doom(&self, name: &str) {
        self.doomed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.to_owned());
    }

    pub(super) fn take_doomed(&self) -> Vec<String> {
        std::mem::take(&mut *self.doomed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes files. One that cannot be removed is found again when the store is opened next.
    pub(super) fn unlink(&self, names: &[String]) {
        for name in names {
            drop(fs::remove_file(self.directory.join(name)));
        }
    }

    /// Removes the files that no record names: a process ended between writing one and naming it.
    pub(super) fn remove_orphans(&self, named: &HashSet<String>) -> io::Result<()> {
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

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
