//! One process owns a data directory.

use std::path::Path;

use flowkit_journal::record::Timestamp;
use flowkit_journal::{JournalError, Owner};

use super::{lines, say, start, wait_to_go_on};

const NOON: Timestamp = Timestamp(1_700_000_000_000_000);

pub(super) fn own(directory: &Path) {
    match Owner::take(directory, NOON) {
        Ok(owner) => {
            say("owned");
            wait_to_go_on();
            drop(owner);
        }
        Err(error) => say(error),
    }
}

#[test]
fn a_second_process_is_told_at_once_who_owns_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("own", directory.path());
    let mut said = lines(&mut child);
    assert_eq!(said.next().unwrap(), "owned");
    let error = Owner::take(directory.path(), NOON).unwrap_err();
    let JournalError::Owned { pid, since, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*pid, since.as_str()), (child.id(), "2023-11-14T22:13:20Z"));
    // The words that the other process would say are ours.
    let expected = format!(
        "`{}` is in use by process {pid} since {since}: stop it, or use another data directory",
        directory.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    drop(Owner::take(directory.path(), NOON).unwrap());
}

#[test]
fn what_a_killed_process_owned_is_free() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let mut child = start("own", directory.path());
        assert_eq!(lines(&mut child).next().unwrap(), "owned");
        child.kill().unwrap();
        child.wait().unwrap();
        let owner = Owner::take(directory.path(), NOON).unwrap();
        let mut second = start("own", directory.path());
        let said = lines(&mut second).next().unwrap();
        assert!(
            said.contains(&format!("process {} since", std::process::id())),
            "{said}"
        );
        second.wait().unwrap();
        drop(owner);
    }
}
