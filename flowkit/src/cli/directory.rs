//! A data directory as somebody finds it who only looks: whether it can be read at all, and what was set aside in it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flowkit_journal::{OwnedBy, Owner};

use super::trouble::Trouble;

/// The journal's file.
const JOURNAL: &str = "journal.sqlite";
/// What of it is not in that yet.
const LOG: &str = "journal.sqlite-wal";

/// Whether there is a data directory. One that cannot be looked into is not taken for one that is empty.
pub(super) fn is_there(data_dir: &Path) -> Result<bool, Trouble> {
    match fs::metadata(data_dir) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => Err(Trouble::store(format!(
            "`{}` is a file, and runs are kept in a directory: `--data-dir` or FLOWKIT_HOME names one",
            data_dir.display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(data_dir, &error)),
    }
}

/// Whether there is a journal in it, or the log of one that was deleted.
pub(super) fn has_journal(data_dir: &Path) -> Result<bool, Trouble> {
    Ok(has(data_dir, JOURNAL)? || has(data_dir, LOG)?)
}

/// Whether there is a cache in it.
pub(super) fn has_cache(data_dir: &Path) -> Result<bool, Trouble> {
    has(data_dir, "cache")
}

fn has(data_dir: &Path, name: &str) -> Result<bool, Trouble> {
    if !is_there(data_dir)? {
        return Ok(false);
    }
    let path = data_dir.join(name);
    match fs::metadata(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

/// The process that owns it.
pub(super) fn owner(data_dir: &Path) -> Result<Option<OwnedBy>, Trouble> {
    Owner::of(data_dir).map_err(|error| {
        Trouble::store(format!(
            "who works in `{}` cannot be told: {error}; let this user read what is there",
            data_dir.display()
        ))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Trouble {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "let this user read it, or name another directory with `--data-dir`",
        _ => "see what is there, or name another directory with `--data-dir`",
    };
    Trouble::store(format!("`{}` cannot be read: {error}; {advice}", path.display()))
}

/// What was set aside because it could not be read, or because an older flowkit wrote it, in the order of the names. What lies beside a file that was set
/// aside, and is named after it, goes with that.
pub(super) fn set_aside(data_dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        data_dir.to_owned(),
        data_dir.join("cache"),
        data_dir.join("cache/redb"),
    ]
    .iter()
    .filter_map(|directory| fs::read_dir(directory).ok())
    .flat_map(|entries| entries.filter_map(Result::ok))
    .filter(|entry| entry.file_name().to_str().is_some_and(is_set_aside))
    .map(|entry| entry.path())
    .collect();
    found.sort_unstable();
    found
}

/// Whether a name is `….damaged-N` or `….older-N`.
fn is_set_aside(name: &str) -> bool {
    let number = [".damaged-", ".older-"]
        .iter()
        .find_map(|mark| name.rsplit_once(mark).map(|(_, number)| number));
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_is_known_by_its_name() {
        for (name, is) in [
            ("journal.sqlite.damaged-1", true),
            ("sled.older-12", true),
            ("journal.sqlite.damaged-1-wal", false),
            ("journal.sqlite", false),
            ("damaged-1", false),
            (".damaged-", false),
        ] {
            assert_eq!(is_set_aside(name), is, "{name}");
        }
    }
}
