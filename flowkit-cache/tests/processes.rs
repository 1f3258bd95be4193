//! What happens between processes: this test binary starts itself again, as another process on the same directory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use flowkit_cache::{
    CacheKey, CacheStore, Entry, Found, NewEntry, SledStore, StoreError, StoreErrorKind, StoreStats,
    SweepBudget, key_of,
};

const ROLE: &str = "FLOWKIT_CACHE_TEST_ROLE";
const DIRECTORY: &str = "FLOWKIT_CACHE_TEST_DIRECTORY";

/// Starts this binary again to play a role.
fn start(role: &str, directory: &Path) -> Child {
    spawn(Command::new(std::env::current_exe().unwrap()), role, directory)
}

fn spawn(mut command: Command, role: &str, directory: &Path) -> Child {
    command
        .args(["--exact", "another_process", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts this binary again where no file can grow beyond so many KiB, as if the disk were full.
fn start_on_a_full_disk(role: &str, directory: &Path, kilobytes: u32) -> Child {
    let limited = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &limited]).arg(std::env::current_exe().unwrap());
    spawn(bash, role, directory)
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
        "fill sled" => fill(SledStore::open(directory)),
        #[cfg(feature = "redb")]
        "fill redb" => fill(flowkit_cache::RedbStore::open(directory)),
        #[cfg(feature = "redb")]
        writer if writer.starts_with("share ") => share(writer, directory.as_ref()),
        other => unreachable!("no role is called {other}"),
    }
}

/// Puts entries until long after the disk is full; says which were on the disk before, and then the kind of the first error.
fn fill(opened: Result<impl CacheStore, StoreError>) {
    let store = match opened {
        Ok(store) => store,
        Err(error) => return say(format!("{:?}", error.kind())),
    };
    let mut failed = 0;
    for n in 0u64.. {
        let durable = n % 100 == 0;
        match store.put(&key_of(&n).unwrap(), &filling(n).durable(durable)) {
            Ok(()) if failed == 0 && durable => say(n),
            Ok(()) => {}
            Err(error) if failed == 0 => {
                say(format!("{:?}", error.kind()));
                failed = 1;
            }
            Err(_) => failed += 1,
        }
        for looked in [n, n / 2] {
            // An error is an answer too, and so is nothing. Another value is none.
            if let Ok(Some(found)) = look_for(&store, &key_of(&looked).unwrap()) {
                assert_eq!(found.value(), filling(looked).value(), "{looked} is another");
            }
        }
        if failed > 150 {
            break;
        }
    }
    // All of these answer, one way or another.
    drop((
        store.flush(),
        store.stats(),
        store.remove(&key_of(&1u64).unwrap()),
    ));
    drop((store.sweep(a_minute_later()), store.clear()));
}

/// A value of a thousand bytes, and every fiftieth large.
fn filling(n: u64) -> NewEntry {
    let size = if n % 50 == 49 { 20_000 } else { 1_000 };
    NewEntry::new(n.to_le_bytes().repeat(size / 8), UNIX_EPOCH).expires(UNIX_EPOCH + Duration::from_secs(60))
}

/// Every fourth entry is large, and so lies in a file of its own.
fn entry(n: u64) -> NewEntry {
    let size = if n % 4 == 3 { 20_000 } else { 100 };
    NewEntry::new(n.to_le_bytes().repeat(size / 8), UNIX_EPOCH).expires(UNIX_EPOCH + Duration::from_secs(60))
}

fn a_minute_later() -> SweepBudget {
    SweepBudget {
        now: UNIX_EPOCH + Duration::from_secs(60),
        max_bytes: u64::MAX,
        entries: 100,
    }
}

/// Sweeps a minute later, until nothing is left that has expired by then.
fn sweep(store: &dyn CacheStore) -> usize {
    let slices = std::iter::repeat_with(|| store.sweep(a_minute_later()).unwrap());
    slices.take_while(|removed| *removed > 0).sum()
}

fn find(store: &dyn CacheStore, n: u64) -> Option<Entry> {
    find_key(store, &key_of(&n).unwrap())
}

fn find_key(store: &dyn CacheStore, key: &CacheKey) -> Option<Entry> {
    look_for(store, key).unwrap()
}

fn look_for(store: &dyn CacheStore, key: &CacheKey) -> Result<Option<Entry>, StoreError> {
    let mut found = store.get(key, UNIX_EPOCH)?;
    loop {
        match found {
            Found::Entry(entry) => return Ok(Some(entry)),
            Found::Deferred(read) => found = read()?,
            Found::Nothing | Found::Damaged => return Ok(None),
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
            assert_eq!(found.value(), entry(n).value(), "round {round}: {n} is another");
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

/// How many entries a writer that is not killed puts.
#[cfg(feature = "redb")]
const SHARE: u64 = 40;

/// Puts durable entries into a store that others write to at the same time, and says which.
#[cfg(feature = "redb")]
fn share(writer: &str, directory: &Path) {
    let store = flowkit_cache::RedbStore::open(directory).unwrap();
    for n in 0..SHARE {
        let key = key_of(&(writer, n)).unwrap();
        store.put(&key, &entry(n).durable(true)).unwrap();
        assert_eq!(find_key(&store, &key).unwrap().value(), entry(n).value());
        // All write this one, each time to another file, and all read it.
        let everybodys = key_of("everybody's").unwrap();
        store.put(&everybodys, &entry(3)).unwrap();
        assert_eq!(find_key(&store, &everybodys).unwrap().value(), entry(3).value());
        say(n);
    }
}

#[cfg(feature = "redb")]
#[test]
fn several_processes_write_one_directory_at_once_and_no_kill_loses_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = flowkit_cache::RedbStore::open(directory.path()).unwrap();
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for round in 0..4 {
        let mut writers: Vec<(String, Child)> = (0..3)
            .map(|writer| format!("share {round}-{writer}"))
            .map(|writer| (writer.clone(), start(&writer, directory.path())))
            .collect();
        let mut said: Vec<_> = writers.iter_mut().map(|(_, child)| lines(child)).collect();
        // The first two are killed while all are writing, the third comes to its end.
        for (writer, after) in [(0, 3 + round * 4), (1, 8 + round * 4)] {
            let last = said[writer].by_ref().take(after).last().unwrap();
            writers[writer].1.kill().unwrap();
            writers[writer].1.wait().unwrap();
            // What it said between our last look and its end counts too.
            let last = said[writer].by_ref().last().unwrap_or(last);
            acknowledged.push((writers[writer].0.clone(), last.parse().unwrap()));
        }
        assert_eq!(said[2].by_ref().last().unwrap(), (SHARE - 1).to_string());
        assert!(writers[2].1.wait().unwrap().success());
        acknowledged.push((writers[2].0.clone(), SHARE - 1));
        for (writer, last) in &acknowledged {
            for n in 0..=*last {
                let found = find_key(&store, &key_of(&(writer.as_str(), n)).unwrap());
                let found = found.unwrap_or_else(|| panic!("{writer}: {n} of {last} is gone"));
                assert_eq!(found.value(), entry(n).value(), "{writer}: {n} is another");
            }
        }
    }
    let entries = store.stats().unwrap().entries;
    assert!(entries >= acknowledged.iter().map(|(_, last)| last + 1).sum());
    assert_eq!(sweep(&store) as u64, entries);
    assert_eq!(store.stats().unwrap(), StoreStats::default());
    drop(store);
    // Whoever is alone removes what the kills left. A process that another test starts has our locks, too, until it runs its own program.
    let ours = directory.path().join("redb");
    let is_clear = (0..100).any(|_| {
        std::fs::File::open(ours.join("users")).unwrap().lock().unwrap();
        drop(flowkit_cache::RedbStore::open(directory.path()).unwrap());
        objects(&ours) == 0
    });
    assert!(is_clear, "{} files are left", objects(&ours));
}

/// Fills a disk of so many KiB; gives the last entry that was on it before it was full.
fn fill_a_disk(role: &str, directory: &Path, kilobytes: u32) -> Option<u64> {
    let mut child = start_on_a_full_disk(role, directory, kilobytes);
    let mut said: Vec<String> = lines(&mut child).collect();
    assert!(
        child.wait().unwrap().success(),
        "{role}, {kilobytes} KiB: {said:?}"
    );
    assert_eq!(said.pop().unwrap(), "Full", "{role}, {kilobytes} KiB");
    Some(said.pop()?.parse().unwrap())
}

/// A store that was on a full disk has what was durable before, and works.
fn works_again(store: &dyn CacheStore, last: Option<u64>) {
    for n in last.map_or(0..0, |last| 0..last + 1) {
        let found = look_for(store, &key_of(&n).unwrap()).unwrap();
        let found = found.unwrap_or_else(|| panic!("{n} of {last:?} is gone"));
        assert_eq!(found.value(), filling(n).value(), "{n} is another");
    }
    for n in [1_000_000, 1_000_049] {
        store
            .put(&key_of(&n).unwrap(), &filling(n).durable(true))
            .unwrap();
        let found = look_for(store, &key_of(&n).unwrap()).unwrap().unwrap();
        assert_eq!(found.value(), filling(n).value());
    }
    let entries = store.stats().unwrap().entries;
    assert_eq!(sweep(store) as u64, entries);
    store.flush().unwrap();
    assert_eq!(store.stats().unwrap(), StoreStats::default());
}

/// How many files of large values there are.
fn objects(directory: &Path) -> usize {
    let folders = std::fs::read_dir(directory.join("objects")).unwrap();
    folders
        .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum()
}

#[test]
fn a_store_on_a_full_disk_says_so_and_works_again_when_there_is_room() {
    for kilobytes in [0, 8, 300, 700] {
        let directory = tempfile::tempdir().unwrap();
        let last = fill_a_disk("fill sled", directory.path(), kilobytes);
        assert_eq!(last.is_some(), kilobytes > 0, "{kilobytes} KiB hold {last:?}");
        let left = directory.path().join("objects").exists();
        assert!(
            !left || objects(directory.path()) <= 10,
            "what failed left no files"
        );
        works_again(&SledStore::open(directory.path()).unwrap(), last);
        assert_eq!(objects(directory.path()), 0);
    }
}

#[cfg(feature = "redb")]
#[test]
fn a_store_of_several_processes_on_a_full_disk_says_so_and_works_again_when_there_is_room() {
    for kilobytes in [0, 300, 700] {
        let directory = tempfile::tempdir().unwrap();
        let last = fill_a_disk("fill redb", directory.path(), kilobytes);
        assert_eq!(last.is_some(), kilobytes > 0, "{kilobytes} KiB hold {last:?}");
        let ours = directory.path().join("redb");
        assert!(objects(&ours) <= 10, "what failed left no files");
        works_again(&flowkit_cache::RedbStore::open(directory.path()).unwrap(), last);
        assert_eq!(objects(&ours), 0);
    }
}
