//! What flowkit itself warns of, on standard error. The library only tells `tracing`, and a program that listens to nothing would not hear of a journal that was
//! set aside.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{Filtered, LevelFilter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::screen::clean;
use crate::logs::{JournalLayer, Line};

/// How often one thing is said, however it differs each time.
const OFTEN: u32 = 5;
/// More than so much of one warning is not said.
const LONGEST: usize = 4 * 1024;
/// What a command says of its run anyway.
const KNOWN: &str = "flow run ended";

/// Has flowkit's warnings printed, and what bodies log kept beside their runs, unless the program has a subscriber of its own.
pub(super) fn listen() {
    let journal = JournalLayer::new().with_filter(LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry().with(journal).with(warnings());
    // Where there is one already, that one is what the program wants.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// A layer of `tracing_subscriber` that prints flowkit's own warnings and errors to standard error, a short line each: a damaged store that was set aside, a cache that
/// cannot be used, a hook that failed. What bodies log is not printed.
///
/// [`Cli::main`](super::Cli::main) installs it by itself, beside a [`JournalLayer`] for what is at least of level `INFO`, if the program has no global
/// subscriber by then. A program that has one adds this to it, unless it prints warnings anyway:
///
/// ```
/// use flowkit::JournalLayer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(JournalLayer::new()).with(flowkit::cli::warnings());
/// # drop(subscriber);
/// ```
pub fn warnings<S>() -> Filtered<Warnings, LevelFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = Warnings {
        clears: io::stderr().is_terminal(),
        said: Mutex::default(),
    };
    layer.with_filter(LevelFilter::WARN)
}

/// The layer that [`warnings`] makes.
pub struct Warnings {
    /// Whether a run may be drawn in the line that is written over.
    clears: bool,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    lines: HashSet<String>,
    often: HashMap<Identifier, u32>,
}

impl fmt::Debug for Warnings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Warnings")
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if !is_ours(metadata.target()) {
            return;
        }
        let mut line = Line::new(LONGEST);
        event.record(&mut line);
        if line.text().starts_with(KNOWN) {
            return;
        }
        let kind = if *metadata.level() == Level::ERROR {
            "error"
        } else {
            "warning"
        };
        if let Some(said) = self.to_say(metadata.callsite(), format!("{kind}: {}", line.text())) {
            let clear = if self.clears { "\r\x1b[2K" } else { "" };
            // Where standard error cannot be written to, there is nowhere to say so.
            drop(writeln!(io::stderr(), "{clear}{}", clean(&said)));
        }
    }
}

impl Warnings {
    /// What is to be said, once and not too often.
    fn to_say(&self, what: Identifier, line: String) -> Option<String> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.lines.contains(&line) {
            return None;
        }
        let often = said.often.entry(what).or_default();
        *often = often.saturating_add(1);
        match *often {
            ..OFTEN => {
                said.lines.insert(line.clone());
                Some(line)
            }
            OFTEN => Some(format!("{line} (there are more of these, which are not shown)")),
            _ => None,
        }
    }
}

fn is_ours(target: &str) -> bool {
    let root = target.split("::").next();
    root.is_some_and(|root| ["flowkit", "flowkit_cache", "flowkit_journal"].contains(&root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_flowkit_itself_says_is_printed() {
        for (target, ours) in [
            ("flowkit", true),
            ("flowkit_journal", true),
            ("flowkit::cli", true),
            ("flowkitchen", false),
            ("sqlx::query", false),
        ] {
            assert_eq!(is_ours(target), ours, "{target}");
        }
    }

    #[test]
    fn one_thing_is_said_once_and_its_like_only_so_often() {
        let layer = Warnings {
            clears: false,
            said: Mutex::default(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let span = tracing::warn_span!("here");
            let here = span.metadata().unwrap().callsite();
            let said = |number: u32| layer.to_say(here.clone(), format!("warning: {number}"));
            assert_eq!(said(0).as_deref(), Some("warning: 0"));
            assert_eq!(said(0), None);
            assert!((1..OFTEN - 1).all(|number| said(number).is_some()));
            assert!(said(OFTEN).unwrap().contains("more of these"));
            assert_eq!(said(OFTEN + 1), None);
        });
    }
}
