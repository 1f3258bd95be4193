//! Programs that are killed in the middle of a flow run, over and over, and resume it each time.
//!
//! Each program is this very test binary, started again as a process of its own that plays one test. It writes what its bodies do into a ledger, and the
//! test kills it, by SIGKILL, as soon as the ledger has so many lines. What counts is in [`ledger`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[cfg(target_os = "linux")]
mod faults;
mod faulty;
mod ledger;
#[cfg(target_os = "linux")]
mod library;
#[cfg(target_os = "linux")]
mod power;
mod program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use fastrand::Rng;

use crate::ledger::Ledger;

/// How many flow runs are killed until they end; `FLOWKIT_CRASH_ROUNDS` says another number.
fn rounds() -> u64 {
    let said = std::env::var("FLOWKIT_CRASH_ROUNDS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(40)
}

/// Starts the program on a directory, kills it after so many lines, and says whether it had come to its end before.
fn start(directory: &Path, lines: Option<usize>) -> bool {
    play(program(directory), lines)
}

fn program(directory: &Path) -> Command {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["--exact", "program::the_program", "--nocapture"])
        .env(program::DIRECTORY, directory);
    program
}

fn play(mut program: Command, lines: Option<usize>) -> bool {
    let mut child = program
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for _line in said.map_while(Result::ok).filter(|line| line.starts_with('>')) {
        seen += 1;
        if lines == Some(seen) {
            child.kill().unwrap();
            break;
        }
    }
    let ended = child.wait_with_output().unwrap();
    let killed = ended.status.code().is_none();
    assert!(
        killed || ended.status.success(),
        "the program failed:\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    !killed
}

#[test]
fn a_program_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    let mut kills = 0;
    for seed in 0..rounds() {
        let mut random = Rng::with_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let mut lives = 0;
        // A life says first what the journal had, which is more each time.
        while !start(directory.path(), Some(random.usize(1..60 + 5 * lives))) {
            lives += 1;
            assert!(lives < 1000, "seed {seed}: it never comes to its end");
        }
        kills += lives;
        let ledger = Ledger::read(directory.path());
        if let Err(broken) = ledger.check() {
            panic!("seed {seed}: {broken}\n{ledger}");
        }
    }
    println!("{} flow runs were killed {kills} times", rounds());
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_whose_power_fails_again_and_again_loses_nothing_and_repeats_nothing() {
    let power = power::PowerFailures::new();
    let mut failures = 0;
    for seed in 0..rounds() {
        let mut random = Rng::with_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let mut lives = 0;
        loop {
            let mut program = program(directory.path());
            power.watch(&mut program, directory.path());
            if play(program, Some(random.usize(1..60 + 5 * lives))) {
                power::PowerFailures::spare(directory.path());
                break;
            }
            power::PowerFailures::fail(directory.path());
            lives += 1;
            assert!(lives < 1000, "seed {seed}: it never comes to its end");
        }
        failures += lives;
        let ledger = Ledger::read(directory.path());
        if let Err(broken) = ledger.check() {
            panic!("seed {seed}: {broken}\n{ledger}");
        }
    }
    println!("the power failed {failures} times in {} flow runs", rounds());
}

#[test]
fn a_program_that_is_killed_after_each_of_its_first_lines_loses_nothing_and_repeats_nothing() {
    for line in 1..40 {
        let directory = tempfile::tempdir().unwrap();
        start(directory.path(), Some(line));
        while !start(directory.path(), None) {}
        let ledger = Ledger::read(directory.path());
        if let Err(broken) = ledger.check() {
            panic!("killed after line {line}: {broken}\n{ledger}");
        }
    }
}

#[test]
fn the_ledger_notices_what_it_is_there_to_notice() {
    let check = |lines: &str| Ledger::parse(lines).check();
    let value = program::UNDISTURBED;
    assert_eq!(check(&format!("began 1\nran a\nended {value}\n")), Ok(()));
    assert!(check(&format!("began 1\nran a\nbegan 1\nhas a\nran a\nended {value}\n")).is_err());
    assert!(check(&format!("began 1\neffect p\nbegan 1\neffect p\nended {value}\n")).is_err());
    assert!(
        check(&format!(
            "began 1\neffect p\nreported p\nbegan 1\nknown all\nended {value}\n"
        ))
        .is_err()
    );
    assert!(
        check(&format!(
            "began 0\neffect p\nreported p\nbegan 0\nended {value}\n"
        ))
        .is_err()
    );
    assert!(check("began 1\nended 17\n").is_err());
    assert!(check("began 1\nran a\n").is_err());
}
