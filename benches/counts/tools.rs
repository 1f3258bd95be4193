//! What counts from outside of the process: valgrind the instructions, strace the calls of the system.

use std::path::Path;
use std::process::{Command, Output};

use crate::works::Work;

/// What tells a process which work it is to make how often.
pub(crate) const ASKED: &str = "FLOWKIT_COUNT_OF";

/// How often the work is made: what a start costs is in both, and goes out.
const FEW: u64 = 1_000;
const MANY: u64 = 6_000;

/// How many tasks `compile/hundred.rs` has.
const TASKS_TO_COMPILE: f64 = 100.0;

/// Whether this machine has the tool.
pub(crate) fn has(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Instructions of one.
pub(crate) fn instructions(work: &Work) -> f64 {
    each(|runs| {
        let directory = tempfile::tempdir().unwrap();
        let mut valgrind = Command::new("valgrind");
        // One thread runs at a time there: in turns, or those of the store that spin keep off the one that they wait for.
        valgrind.args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--fair-sched=try",
        ]);
        let output = run(&mut valgrind, work, runs);
        drop(directory);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().find(|line| line.contains("Collected :"));
        let count = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
        count.unwrap_or_else(|| panic!("valgrind did not say how many instructions it counted:\n{said}"))
    })
}

/// Calls of the system for one.
pub(crate) fn syscalls(work: &Work) -> f64 {
    each(|runs| {
        let directory = tempfile::tempdir().unwrap();
        let counted = directory.path().join("counted");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&counted);
        run(&mut strace, work, runs);
        let said = std::fs::read_to_string(&counted).unwrap_or_default();
        let total = said.lines().find(|line| line.ends_with("total"));
        let count = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        count.unwrap_or_else(|| panic!("strace did not say how many calls it counted:\n{said}"))
    })
}

/// Lines of LLVM for one task whose types no other has, before anything is optimised: that is what its compilation takes time for.
pub(crate) fn lines_to_compile() -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let listing = directory.path().join("hundred.ll");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args([
        "rustc",
        "--quiet",
        "--profile",
        "bench",
        "--no-default-features",
        "--bench",
        "hundred",
    ]);
    cargo.args(["--", "-Copt-level=0", "-Cdebuginfo=0"]);
    cargo.arg(format!("--emit=llvm-ir={}", listing.display()));
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listing = std::fs::read_to_string(&listing).unwrap();
    let lines = listing.lines().filter(|line| line.starts_with("  "));
    lines.count() as f64 / TASKS_TO_COMPILE
}

fn each(count: impl Fn(u64) -> f64) -> f64 {
    (count(MANY) - count(FEW)) / (MANY - FEW) as f64
}

fn run(tool: &mut Command, work: &Work, runs: u64) -> Output {
    let this = std::env::current_exe().unwrap();
    let output = tool
        .arg(this)
        .env(ASKED, format!("{} {runs}", work.name))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes the work that a tool was told to count.
pub(crate) fn work(asked: &str, works: &[Work], directory: &Path) {
    let (name, runs) = asked.split_once(' ').unwrap();
    let work = works.iter().find(|work| work.name == name).unwrap();
    (work.run)(directory, runs.parse().unwrap());
}
