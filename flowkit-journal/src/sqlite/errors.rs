//! What the database says, as an error of ours.

use std::path::Path;

use crate::store::JournalError;

/// The codes of SQLite that say that a file is not what SQLite wrote: `SQLITE_CORRUPT` and `SQLITE_NOTADB`.
const DAMAGED: [i32; 2] = [11, 26];

/// What its users can do about some of the others: `SQLITE_FULL`, `SQLITE_READONLY`, `SQLITE_CANTOPEN`, `SQLITE_IOERR`.
const ADVICE: [(i32, &str); 4] = [
    (13, "make room"),
    (8, "let this user write there"),
    (14, "let this user read and write there"),
    (10, "see whether there is room, and whether the disk is sound"),
];

/// SQLite's own code of an error, without its details.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

/// Whether the file is damaged, rather than out of reach.
fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => code(error).is_some_and(|code| DAMAGED.contains(&code)),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

/// What to do with an error of the database in `path`, when this was tried.
pub(super) fn failed(path: &Path, action: &'static str) -> impl Fn(sqlx::Error) -> JournalError {
    move |error| {
        let path = path.to_owned();
        let advice = ADVICE.iter().find(|(known, _)| code(&error) == Some(*known));
        let reason = match advice {
            Some((_, advice)) => format!("{error}: {advice}").into(),
            None => error.to_string().into(),
        };
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
