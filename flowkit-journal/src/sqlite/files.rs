//! The files of the database: what they are called, and whether those that are open still lie where they should.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::identity::Identity;

/// The name of the database.
pub(super) const FILE: &str = "journal.sqlite";
/// What SQLite puts beside it, by the ends of their names: the log of what is not in the database yet, and the index of that.
pub(super) const COMPANIONS: [&str; 2] = [LOG, INDEX];
pub(super) const LOG: &str = "-wal";
const INDEX: &str = "-shm";
/// And what we put there: how far the log went.
pub(super) const NOTE: &str = "-end";

/// A file beside another, by the end of its name.
pub(super) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What is set aside with a database that cannot be read, by the ends of its names.
pub(super) const WITH: [&str; 5] = ["", LOG, INDEX, NOTE, OBJECTS];
pub(super) const OBJECTS: &str = "-objects";

/// A name beside a file that nothing has yet.
pub(super) fn free_name(file: &Path, word: &str) -> PathBuf {
    let is_free = |path: &PathBuf| WITH.iter().all(|end| !beside(path, end).exists());
    (1u32..)
        .map(|number| beside(file, &format!(".{word}-{number}")))
        .find(is_free)
        .unwrap_or_else(|| beside(file, &format!(".{word}")))
}

/// How many bytes a file has; none for one that is not there.
pub(super) fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |found| found.len())
}

/// How many bytes the database takes on the disk.
pub(super) fn disk_bytes(file: &Path) -> u64 {
    ["", LOG, INDEX]
        .map(|end| length(&beside(file, end)))
        .iter()
        .sum()
}

/// What became of a file that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Displaced {
    /// The database is no longer there.
    Deleted,
    /// Another database lies in its place.
    Replaced,
    /// What SQLite keeps beside it is no longer there, or another's.
    Beside,
}

/// The files that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    database: Option<Identity>,
    /// Of [`COMPANIONS`]; none while the database is closed.
    beside: Option<[Option<Identity>; 2]>,
}

impl Files {
    /// Those that lie there now.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        Ok(Self {
            database: Identity::at(file)?,
            beside: Some([
                Identity::at(&beside(file, LOG))?,
                Identity::at(&beside(file, INDEX))?,
            ]),
        })
    }

    /// The same, closed: SQLite may take away then what lies beside the database.
    pub(super) fn closed(self) -> Self {
        Self { beside: None, ..self }
    }

    /// What became of them since.
    pub(super) fn displaced(&self, file: &Path) -> io::Result<Option<Displaced>> {
        let now = Self::of(file)?;
        Ok(if now.database == self.database {
            let is_beside = self.beside.is_some() && now.beside != self.beside;
            is_beside.then_some(Displaced::Beside)
        } else if now.database.is_none() {
            Some(Displaced::Deleted)
        } else {
            Some(Displaced::Replaced)
        })
    }
}
