//! What the database says, as an error of ours.

use std::path::Path;

use crate::store::JournalError;

/// The codes of SQLite that say that a file is not what SQLite wrote: `SQLITE_CORRUPT` and `SQLITE_NOTADB`.
const DAMAGED: [i32; 2] = [11, 26];

/// Whether the file is damaged, rather than out of reach.
fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| DAMAGED.contains(&(code & 0xff))),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

/// What to do with an error of the database in `path`, when this was tried.
pub(super) fn failed(path: &Path, action: &'static str) -> impl Fn(sqlx::Error) -> JournalError {
    move |error| {
        let path = path.to_owned();
        let reason = error.to_string().into();
        if is_damage(&error) {
            JournalError::Damaged { path, reason }
        } else {
            JournalError::Io { path, action, reason }
        }
    }
}

/// The same for an error of the system.
pub(super) fn failed_io(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> JournalError {
    move |error| JournalError::Io {
        path: path.to_owned(),
        action,
        reason: error.to_string().into(),
    }
}
