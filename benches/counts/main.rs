//! What one task costs in allocations, instructions, calls of the system and lines that a compiler is given: counted, and so the same on a busy
//! machine.
//!
//! `cargo bench -p flowkit-benches --bench counts`; `-- --check` fails where a count is above its ceiling in `ceilings.toml`, `-- --json` is for
//! programs. Instructions need valgrind and calls of the system strace; without one of them, its column is left out, which is said.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints, measures, and stops where it cannot go on"
)]

mod ceilings;
mod tools;
mod works;

use std::process::ExitCode;

use allocation_counter::AllocationInfo;
use serde_json::{Map, Value};

use self::works::{WORKS, Work};

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

fn main() -> ExitCode {
    if let Ok(asked) = std::env::var(tools::ASKED) {
        let directory = tempfile::tempdir().unwrap();
        tools::work(&asked, &WORKS, directory.path());
        return ExitCode::SUCCESS;
    }
    let says = |word: &str| std::env::args().any(|arg| arg == word);
    let (checks, as_json) = (says("--check"), says("--json"));
    let tool = |name: &'static str, what: &str| {
        let found = tools::has(name);
        if !found {
            eprintln!(
                "{name} is not installed, so {what} are not counted: install it (apt-get install {name})"
            );
        }
        found
    };
    let valgrind = tool("valgrind", "instructions");
    let strace = tool("strace", "calls of the system");
    let ceilings = ceilings::ceilings();
    let mut all_well = true;
    let mut json = Map::new();
    for work in &WORKS {
        let mut counts = allocations(work);
        if valgrind {
            counts.push(("instructions", tools::instructions(work)));
        }
        if strace && work.asks_system {
            counts.push(("syscalls", tools::syscalls(work)));
        }
        if checks {
            for &(what, counted) in &counts {
                all_well &= ceilings::check(&ceilings, work.name, what, counted);
            }
        }
        if !as_json {
            let said: Vec<_> = counts
                .iter()
                .map(|(what, count)| format!("{count:>9.2} {what}"))
                .collect();
            println!("{:>10}, each: {}", work.name, said.join(" "));
        }
        let counts = counts
            .into_iter()
            .map(|(what, count)| (what.to_owned(), Value::from(count)));
        json.insert(work.name.to_owned(), Value::Object(counts.collect()));
    }
    let lines = tools::lines_to_compile();
    if checks {
        all_well &= ceilings::check(&ceilings, "compiled", "lines of LLVM", lines);
    }
    if !as_json {
        println!("  compiled, each: {lines:>9.0} lines of LLVM");
    }
    json.insert(
        "compiled".to_owned(),
        serde_json::json!({ "lines of LLVM": lines }),
    );
    if as_json {
        println!("{:#}", Value::Object(json));
    }
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Allocations of one, and the bytes that were asked for. What a start costs goes out.
fn allocations(work: &Work) -> Vec<(&'static str, f64)> {
    let count = |runs| -> AllocationInfo {
        let directory = tempfile::tempdir().unwrap();
        allocation_counter::measure(|| (work.run)(directory.path(), runs))
    };
    count(FEW);
    let (few, many) = (count(FEW), count(MANY));
    let each = |of: fn(&AllocationInfo) -> u64| (of(&many) as f64 - of(&few) as f64) / (MANY - FEW) as f64;
    vec![
        ("allocations", each(|info| info.count_total)),
        ("bytes", each(|info| info.bytes_total)),
    ]
}
