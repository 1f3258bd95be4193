//! Searches for bugs of the engine: random flows from a seed, run on the real engine under a paused clock, and checked against what
//! must be true of every run, and against a model where the course of a run can be foretold. See CONTRIBUTING.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test says what it expects"
)]

mod check;
mod engine_errors;
mod generate;
mod history;
mod interpret;
mod lives;
mod model;
mod plan;
mod simulate;
mod watchdog;
mod words;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use check::Verdict;
use history::digest;
use simulate::{Simulated, simulate};
use watchdog::Watchdog;
use words::in_words;

/// How many seeds are run unless the environment says otherwise.
const SEEDS: u64 = 5_000;
/// How long a seed may take in real time; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of how many seeds one is run twice, to see whether the same happens.
const TWICE: u64 = 16;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a whole number"))
}

/// What is wrong with a seed, in words, or whether it could be foretold.
fn run(seed: u64) -> Result<bool, String> {
    let _watchdog = Watchdog::watch(seed, PATIENCE);
    let simulated = simulate(seed);
    let Verdict {
        mut troubles,
        is_foretold,
    } = check::verdict(&simulated);
    if seed.is_multiple_of(TWICE) {
        let digests = [&simulated, &simulate(seed)].map(all_lines);
        if digests[0] != digests[1] {
            troubles.push("the same seed gave two histories".into());
        }
    }
    if troubles.is_empty() {
        Ok(is_foretold)
    } else {
        Err(report(seed, &simulated, &troubles))
    }
}

fn all_lines(simulated: &Simulated) -> Vec<u64> {
    simulated.parts.iter().map(|part| digest(&part.lines)).collect()
}

fn report(seed: u64, simulated: &Simulated, troubles: &[String]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{:?}", simulated.gates);
    for part in &simulated.parts {
        let _ = writeln!(text, "\n{}", part.plan);
        text += &in_words(&part.lines);
    }
    let _ = writeln!(text, "\nseed {seed}: {}", troubles.join("\n  "));
    let _ = writeln!(
        text,
        "again: FLOWKIT_SEED={seed} cargo test -p flowkit-tests --test simulator"
    );
    text
}

/// Runs seeds on all threads, and fails with the lowest that has a trouble.
fn search(seeds: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    if let Some(seed) = number("FLOWKIT_SEED") {
        run(seed).unwrap_or_else(|trouble| panic!("{trouble}"));
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    // The lowest seed that failed, or none.
    let failed = AtomicU64::new(u64::MAX);
    let troubles = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.min(failed.load(Ordering::Relaxed)) {
                        return;
                    }
                    if let Err(trouble) = run(seed) {
                        failed.fetch_min(seed, Ordering::Relaxed);
                        troubles.lock().unwrap().insert(seed, trouble);
                        return;
                    }
                }
            });
        }
    });
    if let Some((_, trouble)) = troubles.into_inner().unwrap().pop_first() {
        panic!("{trouble}");
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds = number("FLOWKIT_SEEDS").unwrap_or(SEEDS);
    let foretold = AtomicU64::new(0);
    search(seeds, |seed| {
        foretold.fetch_add(u64::from(run(seed)?), Ordering::Relaxed);
        Ok(())
    });
    let foretold = foretold.into_inner();
    assert!(
        number("FLOWKIT_SEED").is_some() || foretold >= seeds / 5,
        "the model could tell the course of {foretold} of {seeds} seeds, and of too few"
    );
}

/// How many programs are killed again and again.
const LIVES: u64 = 2_000;

#[test]
fn no_death_loses_or_repeats_anything() {
    search(number("FLOWKIT_LIVES").unwrap_or(LIVES), lives::run);
}
