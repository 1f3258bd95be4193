//! What the lives of a program wrote down, and what must be true of it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::program;

/// Writes lines that survive the death of the process: each is one write to the end of a file.
#[derive(Debug)]
pub(crate) struct Pen(Mutex<File>);

fn place(directory: &Path) -> PathBuf {
    directory.join("ledger")
}

impl Pen {
    pub(crate) fn open(directory: &Path) -> Self {
        let file = File::options().create(true).append(true).open(place(directory));
        Self(Mutex::new(file.unwrap()))
    }

    pub(crate) fn write(&self, line: impl fmt::Display) {
        self.0
            .lock()
            .unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        // Whoever may kill the program counts these.
        println!("> {line}");
    }
}

/// The lines of all lives, in order:
///
/// - `began N`: a life began, in which the journal knew `N` flow runs;
/// - `has X`: at its beginning, the journal had the result of call `X`;
/// - `known all`: that was all it had;
/// - `ran X`: the body of call `X` ran;
/// - `effect X`: the body of call `X`, which has an effect, had it;
/// - `reported X`: the flow was given the result of call `X`, which has an effect: it is durable;
/// - `ended V`: the flow run ended with this value.
#[derive(Debug)]
pub(crate) struct Ledger(Vec<(String, String)>);

impl fmt::Display for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(what, of)| writeln!(formatter, "{what} {of}"))
    }
}

impl Ledger {
    pub(crate) fn read(directory: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(place(directory)).unwrap())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (what, of) = line.split_once(' ').unwrap();
            (what.to_owned(), of.to_owned())
        };
        Self(text.lines().map(line).collect())
    }

    /// The last line.
    #[cfg(target_os = "linux")]
    pub(crate) fn last(&self) -> String {
        let last = self.0.last();
        last.map(|(what, of)| format!("{what} {of}")).unwrap_or_default()
    }

    /// Whether no effect happened twice.
    #[cfg(target_os = "linux")]
    pub(crate) fn check_effects(&self) -> Result<(), String> {
        let mut effects = BTreeSet::new();
        let of_effects = self.0.iter().filter(|(what, _)| what == "effect");
        match of_effects.map(|(_, of)| of).find(|of| !effects.insert(*of)) {
            Some(of) => Err(format!("{of} happened twice")),
            None => Ok(()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let (mut committed, mut effects, mut reported) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut has = BTreeSet::new();
        let mut ended = false;
        for (what, of) in &self.0 {
            match what.as_str() {
                "began" if of == "0" && !(committed.is_empty() && reported.is_empty()) => {
                    return Err("the whole run was committed to, and is missing".to_owned());
                }
                "began" => has.clear(),
                "known" => {
                    if let Some(missing) = committed.union(&reported).find(|of| !has.contains(*of)) {
                        return Err(format!("{missing} was committed, and is missing"));
                    }
                }
                "has" => {
                    has.insert(of);
                    committed.insert(of);
                }
                "ran" if committed.contains(of) => {
                    return Err(format!("{of} ran again, although it was committed"));
                }
                "effect" if !effects.insert(of) => return Err(format!("{of} happened twice")),
                "reported" => {
                    reported.insert(of);
                }
                "ended" if *of != program::UNDISTURBED.to_string() => {
                    return Err(format!("{of} is not what an undisturbed run returns"));
                }
                "ended" => ended = true,
                _ => {}
            }
        }
        if ended {
            Ok(())
        } else {
            Err("it did not come to its end".to_owned())
        }
    }
}
