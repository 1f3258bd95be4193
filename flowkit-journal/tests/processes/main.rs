//! What happens between processes: this test binary starts itself again, as another process on the same directory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[cfg(all(feature = "sqlite", feature = "conformance"))]
mod orphans;
mod owning;
#[cfg(all(feature = "sqlite", feature = "conformance"))]
mod writing;

const ROLE: &str = "FLOWKIT_JOURNAL_TEST_ROLE";
const DIRECTORY: &str = "FLOWKIT_JOURNAL_TEST_DIRECTORY";

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

/// Waits until whoever started this process lets it go on.
fn wait_to_go_on() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Not a test of its own: what the other process does, when it is told a role.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = std::env::var(DIRECTORY).unwrap();
    let directory = Path::new(&directory);
    match role.as_str() {
        "own" => owning::own(directory),
        #[cfg(all(feature = "sqlite", feature = "conformance"))]
        "write" => writing::write(directory),
        #[cfg(all(feature = "sqlite", feature = "conformance"))]
        "fill" => writing::fill(directory),
        other => unreachable!("no role is called {other}"),
    }
}
