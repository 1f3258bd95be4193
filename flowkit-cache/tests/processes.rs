//! What happens between processes: this test binary starts itself again, as another process on the same directory.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use flowkit_cache::{
    CacheStore, Entry, Found, NewEntry, SledStore, StoreErrorKind, StoreStats, SweepBudget, key_of,
};

const ROLE: &str = "FLOWKIT_CACHE_TEST_ROLE";
const DIRECTORY: &str = "FLOWKIT_CACHE_TEST_DIRECTORY";

/// Starts this binary again to play a role.
fn start(role: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The lines that a role says, each behind a mark that the test harness does not use.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines()
        .map_while(Result::ok)
        .filter_map(|line| Some(line.split_once("@ ")?.1.to_owned()))
}

fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@ {line}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: what the other process does, when it is told a role.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = std::env::var(DIRECTORY).unwrap();
    match role.as_str() {
        "write" => {
            let store = SledStore::open(directory).unwrap();
            for n in 0u64.. {
                store.put(&key_of(&n).unwrap(), &entry(n).durable(true)).unwrap();
                say(n);
            }
        }
        "hold" => {
            let store = SledStore::open(directory).unwrap();
            store.put(&key_of(&1u64).unwrap(), &entry(1)).unwrap();
            say("open");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            drop(store);
        }
        other => unreachable!("no role is called {other}"),
    }
}

/// Every fourth entry is large, and so lies in a file of its own.
fn entry(n: u64) -> NewEntry {
    let size = if n % 4 == 3 { 20_000 } else { 100 };
    NewEntry::new(n.to_le_bytes().repeat(size / 8), UNIX_EPOCH).expires(UNIX_EPOCH + Duration::from_secs(60))
}

/// Sweeps a minute later, until nothing is left that has expired by then.
fn sweep(store: &dyn CacheStore) -> usize {
    let budget = SweepBudget {
        now: UNIX_EPOCH + Duration::from_secs(60),
        max_bytes: u64::MAX,
        entries: 100,
    };
    let slices = std::iter::repeat_with(|| store.sweep(budget).unwrap());
    slices.take_while(|removed| *removed > 0).sum()
}

fn find(store: &SledStore, n: u64) -> Option<Entry> {
    let mut found = store.get(&key_of(&n).unwrap(), UNIX_EPOCH).unwrap();
    loop {
        match found {
            Found::Entry(entry) => return Some(entry),
            Found::Deferred(read) => found = read().unwrap(),
            Found::Nothing | Found::Damaged => return None,
        }
    }
}

#[test]
fn what_was_acknowledged_as_durable_is_there_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12usize {
        let mut child = start("write", directory.path());
        let mut said = lines(&mut child);
        let last = said.by_ref().take(3 + round * 5).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between our last look and its end counts too.
        let last = said.last().unwrap_or(last);
        acknowledged = acknowledged.max(last.parse::<u64>().unwrap());
        let store = SledStore::open(directory.path()).unwrap();
        for n in 0..=acknowledged {
            let found =
                find(&store, n).unwrap_or_else(|| panic!("round {round}: {n} of {acknowledged} is gone"));
            assert_eq!(&*found.value, entry(n).value(), "round {round}: {n} is another");
        }
    }
    let store = SledStore::open(directory.path()).unwrap();
    let entries = store.stats().unwrap().entries;
    assert_eq!(
        sweep(&store) as u64,
        entries,
        "no kill kept an entry from expiring"
    );
    assert_eq!(store.stats().unwrap(), StoreStats::default());
}

#[test]
fn two_processes_share_a_directory_one_after_the_other_and_collide_politely() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("hold", directory.path());
    let mut said = lines(&mut child);
    assert_eq!(said.next().unwrap(), "open");
    let error = SledStore::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Locked);
    let name = directory.path().canonicalize().unwrap().display().to_string();
    assert!(
        error.to_string().contains(&name) && error.to_string().contains("another process"),
        "{error}"
    );
    let mut gate: ChildStdin = child.stdin.take().unwrap();
    gate.write_all(b"go\n").unwrap();
    assert_eq!(said.count(), 0);
    assert!(child.wait().unwrap().success());
    let store = SledStore::open(directory.path()).unwrap();
    assert!(find(&store, 1).is_some());
}
