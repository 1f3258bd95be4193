//! Disks that fail: whichever operation on the program's files fails, once or from then on, the program ends with a typed error or the right result, and
//! the next one, whose disk is sound, with the right result, without an effect that happens twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::library::Library;
use crate::program;

/// Longer than any program takes: then it hangs.
const HANGS: Duration = Duration::from_secs(120);

/// How many operations are tried of each kind of fault; `FLOWKIT_FAULTS=all` tries every one.
const FEW: u64 = 8;

/// What goes wrong with the disk.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The how-manieth operation fails; 0 for none.
    at: u64,
    /// Whether all that follow do, too.
    for_ever: bool,
    /// Whether reads are operations.
    reads: bool,
    /// The error.
    error: &'static str,
}

const NONE: Fault = Fault {
    at: 0,
    for_ever: false,
    reads: false,
    error: "EIO",
};

/// What became of a program.
struct Ended {
    /// How many operations there were, and which failed first.
    operations: u64,
    failed: String,
    /// Its last line.
    outcome: String,
}

fn start(library: &Library, directory: &Path, fault: Fault) -> Ended {
    let report = directory.join("report");
    let mut program = Command::new(std::env::current_exe().unwrap());
    library.put_before(&mut program);
    let number = if fault.error == "EIO" { "5" } else { "28" };
    program
        .args(["--exact", "faulty::the_program", "--nocapture"])
        .env(program::DIRECTORY, directory)
        .env("FLOWKIT_FAULTS_IN", directory.join("data"))
        .env("FLOWKIT_FAULTS_AT", fault.at.to_string())
        .env("FLOWKIT_FAULTS_WITH", number)
        .env("FLOWKIT_FAULTS_REPORT", &report)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if fault.for_ever {
        program.env("FLOWKIT_FAULTS_EVER", "1");
    }
    if fault.reads {
        program.env("FLOWKIT_FAULTS_READS", "1");
    }
    let said = run(program, fault);
    // sled panics when it is closed on a disk that cannot be synced. The cache contains that, and the panic hook says it all the same.
    let mut panics = said.lines().filter(|line| line.contains("panicked at"));
    assert!(
        panics.all(|line| line.contains("/sled-0.34.7/")),
        "{fault:?}: the program panicked:\n{said}"
    );
    let report = fs::read_to_string(report).unwrap();
    let (operations, failed) = report.trim().split_once(' ').unwrap_or((report.trim(), ""));
    let ledger = Ledger::read(directory);
    Ended {
        operations: operations.parse().unwrap(),
        failed: failed.to_owned(),
        outcome: ledger.last(),
    }
}

/// Runs a program to its end, and gives what it said.
fn run(mut program: Command, fault: Fault) -> String {
    let mut child = program.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        let read = stderr.read_to_string(&mut said);
        drop(tell.send(read.map(|_| said)));
    });
    let Ok(said) = told.recv_timeout(HANGS) else {
        child.kill().unwrap();
        panic!("{fault:?}: the program hangs");
    };
    let (said, status) = (said.unwrap(), child.wait().unwrap());
    assert!(status.success(), "{fault:?}: the program died, {status}:\n{said}");
    said
}

/// One program whose disk fails, and one after it whose disk is sound. Gives how the first ended.
fn endure(library: &Library, fault: Fault) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().canonicalize().unwrap();
    let first = start(library, &place, fault);
    let second = start(library, &place, NONE);
    let right = format!("ended {}", program::UNDISTURBED);
    let ledger = Ledger::read(&place);
    let (failed, story) = (&first.failed, format!("{fault:?}, {}\n{ledger}", first.failed));
    let is_right = |outcome: &str| outcome == right;
    let is_typed = first.outcome.starts_with("failed Journal") || first.outcome.starts_with("unread");
    assert!(
        is_right(&first.outcome) || is_typed,
        "a program ended wrongly: {story}"
    );
    assert!(
        is_right(&second.outcome),
        "after {failed} the next program ended wrongly: {story}"
    );
    if let Err(broken) = ledger.check_effects() {
        panic!("{broken}: {story}");
    }
    first
}

#[test]
fn whichever_operation_of_the_disk_fails_the_outcome_is_right_or_a_typed_error_and_the_next_program_is_right()
{
    let library = Library::compile("faults");
    let all = std::env::var("FLOWKIT_FAULTS").is_ok_and(|said| said == "all");
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut programs = 0;
    for reads in [false, true] {
        let sound = endure(&library, Fault { reads, ..NONE });
        assert_eq!(sound.outcome, format!("ended {}", program::UNDISTURBED));
        for (error, for_ever) in [("EIO", false), ("EIO", true), ("ENOSPC", false), ("ENOSPC", true)] {
            if reads && error == "ENOSPC" {
                continue;
            }
            let stride = if all { 1 } else { (sound.operations / FEW).max(1) };
            // Another place in each series, and beyond the end: no two programs have the same number of operations.
            let first = if all { 1 } else { 1 + fastrand::u64(..stride) };
            for at in (first..=sound.operations + sound.operations / 10).step_by(stride as usize) {
                let fault = Fault {
                    at,
                    for_ever,
                    reads,
                    error,
                };
                let ended = endure(&library, fault);
                let outcome = ended.outcome.split(':').next().unwrap().to_owned();
                *outcomes
                    .entry(format!(
                        "{error}{}: {outcome}",
                        if for_ever { " for ever" } else { "" }
                    ))
                    .or_default() += 1;
                programs += 1;
            }
        }
        println!(
            "{} operations in a program, reads counted: {reads}",
            sound.operations
        );
    }
    println!("{programs} programs whose disk failed: {outcomes:#?}");
}
