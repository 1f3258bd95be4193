//! Places for what is not whole yet: hidden, locked while somebody writes there, and cleared away once nobody does.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::{Error, Result};

/// How the names of these places begin. Readers of data sets leave out what begins with a dot.
const PREFIX: &str = ".staging-";
/// How the names of their locks end.
const LOCK: &str = ".lock";

/// A directory that is cleared away when this is dropped, unless it was put in place before.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: PathBuf,
    lock: PathBuf,
    /// Holds the lock: whoever can take it knows that the writer is gone.
    _locked: File,
}

impl Staging {
    /// A new empty directory in `parent`, after clearing away those of writers that died.
    pub(crate) fn within(parent: &Path) -> Result<Self> {
        durable::make_directory(parent)?;
        clear_abandoned(parent);
        loop {
            let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
            let lock = parent.join(format!("{name}{LOCK}"));
            let file = File::create_new(&lock).map_err(|error| Error::io("make", &lock, error))?;
            if !hold(&file, &lock)? {
                continue;
            }
            let staging = Self {
                directory: parent.join(name),
                lock,
                _locked: file,
            };
            durable::make_directory(&staging.directory)?;
            return Ok(staging);
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        clear(&self.directory, &self.lock);
    }
}

/// Takes a lock that was just made; unless somebody who clears away was faster, who then has it, or has had it and removed its file.
fn hold(file: &File, lock: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(lock.exists()),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("make", lock, error)),
    }
}

/// Removes a directory, if it is still there, and then its lock.
fn clear(directory: &Path, lock: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            // The next writer tries again.
            tracing::warn!(target: "flowkit_etl", %error, directory = %directory.display(), "what is left of a load could not be cleared away");
        }
        _ => drop(fs::remove_file(lock)),
    }
}

/// Clears away what writers left behind that died.
fn clear_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let staged = name
            .to_str()
            .filter(|name| name.starts_with(PREFIX))
            .and_then(|name| name.strip_suffix(LOCK));
        let Some(staged) = staged else { continue };
        let Ok(file) = OpenOptions::new().write(true).open(entry.path()) else {
            continue;
        };
        if file.try_lock().is_ok() {
            clear(&parent.join(staged), &entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_lock_that_was_cleared_away_before_it_was_taken_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let lock = parent.path().join(".staging-1.lock");
        let file = File::create_new(&lock).unwrap();
        clear_abandoned(parent.path());
        assert!(!hold(&file, &lock).unwrap());
        let file = File::create_new(&lock).unwrap();
        assert!(hold(&file, &lock).unwrap());
    }

    #[test]
    fn what_a_dead_writer_left_is_cleared_away_and_what_a_live_one_writes_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Staging::within(parent.path()).unwrap();
        let dead = parent.path().join(".staging-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("part"), "half").unwrap();
        fs::write(parent.path().join(".staging-0.lock"), "").unwrap();
        let other = Staging::within(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(alive.directory().exists() && other.directory().exists());
        drop((alive, other));
        assert_eq!(names(parent.path()), 0);
    }
}
