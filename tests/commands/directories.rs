//! Data directories that cannot be used, are not there yet, or have a process that works in them.

use std::fs;
use std::path::Path;

use flowkit::cli::Exit;
use flowkit::prelude::*;

use crate::said::{json, say_in, say_with};

#[task(cache)]
async fn twice(n: u32) -> u32 {
    n * 2
}

#[flow]
async fn doubling(n: u32) -> Result<u32> {
    Ok(twice(n).await?)
}

/// Every command that only looks at runs.
const LOOKING: [&[&str]; 8] = [
    &["runs"],
    &["show", "last"],
    &["logs", "last"],
    &["graph", "last"],
    &["timeline", "last"],
    &["explain", "last", "task"],
    &["cancel", "last"],
    &["resume", "last"],
];

async fn all_refuse(directory: &Path, reason: &str) {
    let cache: [&[&str]; 2] = [&["cache", "stats"], &["cache", "clear"]];
    let rest: [&[&str]; 3] = [&["prune"], &["doctor"], &["run", "doubling", "--n", "1"]];
    for command in LOOKING.iter().chain(&cache).chain(&rest) {
        let said = say_in(directory, command).await;
        assert_eq!(said.exit, Exit::Store, "{command:?}: {said:?}");
        let told = format!("{}{}", said.out, said.err);
        assert!(told.contains(reason), "{command:?}: {told}");
    }
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_is_told_by_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "").unwrap();
    all_refuse(&file, "is a file").await;
}

/// Whoever runs the tests may read everything: what nobody can read is a link to itself.
#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::os::unix::fs::symlink(&data, &data).unwrap();
    all_refuse(&data, "cannot be").await;

    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let journal = data.join("journal.sqlite");
    std::os::unix::fs::symlink(&journal, &journal).unwrap();
    for command in LOOKING.iter().chain(&[&["prune"][..], &["doctor"]]) {
        let said = say_in(&data, command).await;
        assert_eq!(said.exit, Exit::Store, "{command:?}: {said:?}");
        let told = format!("{}{}", said.out, said.err);
        assert!(told.contains("cannot be read"), "{command:?}: {told}");
    }
}

#[tokio::test]
async fn where_nothing_has_run_yet_that_is_told_with_the_name_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new");
    let said = say_in(&data, &["runs"]).await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Completed, ""), "{said:?}");
    assert!(said.err.contains("nothing has run in"), "{said:?}");
    assert!(said.err.contains(data.to_str().unwrap()), "{said:?}");
    assert_eq!(json(&data, &["runs"]).await, serde_json::json!([]));
    let said = say_in(&data, &["show", "last"]).await;
    assert_eq!(said.exit, Exit::Usage, "{said:?}");
    assert!(said.err.contains("no run was ever recorded"), "{said:?}");

    say_in(&data, &["run", "doubling", "--n", "1"]).await;
    let said = say_in(&data, &["runs", "--state", "failed"]).await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Completed, ""), "{said:?}");
    assert!(said.err.contains("no such runs"), "{said:?}");
}

#[tokio::test]
async fn a_journal_that_was_deleted_and_left_its_log_is_not_taken_for_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("journal.sqlite-wal"), [1; 4_096]).unwrap();
    for command in LOOKING {
        let said = say_in(directory.path(), command).await;
        assert_eq!(said.exit, Exit::Store, "{command:?}: {said:?}");
        let told = format!("{}{}", said.out, said.err);
        assert!(told.contains("only its log"), "{command:?}: {told}");
    }
}

#[tokio::test]
async fn a_list_that_may_be_cut_short_says_so_unless_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    for n in 0..20 {
        say_in(directory.path(), &["run", "doubling", "--n", &n.to_string()]).await;
    }
    for (command, is_told) in [(&["runs"][..], true), (&["runs", "--limit", "20"], false)] {
        let said = say_in(directory.path(), command).await;
        assert_eq!(said.err.contains("`--limit`"), is_told, "{said:?}");
    }
}

#[tokio::test]
async fn the_doctor_lists_what_was_set_aside_and_says_what_to_do_with_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("cache")).unwrap();
    for name in [
        "journal.sqlite.damaged-1",
        "journal.sqlite.damaged-1-wal",
        "cache/sled.older-12",
    ] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let findings = json(directory.path(), &["doctor"]).await;
    let findings = findings.as_array().unwrap();
    let aside = findings.iter().filter(|finding| finding["check"] == "set aside");
    let aside: Vec<_> = aside.collect();
    for (found, told) in aside.iter().zip([
        ["/cache/sled.older-12` is a cache", "Delete it"],
        ["/journal.sqlite.damaged-1` is a journal", "then delete"],
    ]) {
        assert_eq!(
            (&found["verdict"], &found["fine"]),
            (&"look".into(), &true.into())
        );
        let detail = found["detail"].as_str().unwrap();
        assert!(told.iter().all(|part| detail.contains(part)), "{detail}");
    }
    assert_eq!(aside.len(), 2, "what lies beside it goes with it: {findings:?}");
    let said = say_in(directory.path(), &["doctor"]).await;
    assert_eq!(said.out.matches("look   set aside").count(), 2, "{}", said.out);
}

#[tokio::test]
async fn what_the_program_keeps_is_kept_by_prune_too_unless_something_else_is_typed() {
    use flowkit::cli::Cli;
    use flowkit::{KeepRuns, Runtime};

    let directory = tempfile::tempdir().unwrap();
    let cli = |keep: KeepRuns| Cli::new().runtime(move || Runtime::builder().keep_runs(keep));
    let everything = KeepRuns::everything();
    for n in ["1", "2", "3"] {
        let said = say_with(cli(everything), directory.path(), &["run", "doubling", "--n", n]).await;
        assert_eq!(said.exit, Exit::Completed, "{said:?}");
    }
    let forgotten = async |keep: KeepRuns, typed: &[&str]| {
        let said = say_with(cli(keep), directory.path(), &[&["prune"], typed].concat()).await;
        assert_eq!(said.exit, Exit::Completed, "{said:?}");
        let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        said["runs"].as_u64().unwrap()
    };
    assert_eq!(forgotten(everything, &["--json"]).await, 0);
    assert_eq!(forgotten(everything.runs(2), &["--json"]).await, 1);
    assert_eq!(
        forgotten(everything.runs(1), &["--keep", "2", "--json"]).await,
        0,
        "it was typed"
    );
    assert_eq!(forgotten(everything.runs(1), &["--json"]).await, 1);
}
