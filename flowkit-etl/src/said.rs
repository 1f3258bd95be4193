//! What errors of runs say. How an error is put into words is the user's code, which may panic or ask for the figures of the run: so no lock is held meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};

const CANNOT: &str = "what it says cannot be said: that panicked";

/// An error with all its causes, in a line.
pub(crate) fn in_a_line(error: &flowkit::Error) -> String {
    said(|| format!("{error:#}"))
}

/// An error as a report.
#[cfg(feature = "alerts")]
pub(crate) fn as_report(error: &flowkit::Error) -> String {
    said(|| format!("{error:?}"))
}

fn said(words: impl FnOnce() -> String) -> String {
    catch_unwind(AssertUnwindSafe(words)).unwrap_or_else(|_| CANNOT.to_owned())
}
