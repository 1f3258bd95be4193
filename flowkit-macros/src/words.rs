//! The words of the attributes: one table of which macro takes which.

/// Which attribute is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    Task,
    Flow,
    Fingerprint,
}

impl Macro {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Flow => "flow",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// What a macro makes of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has a meaning here.
    Allowed,
    /// It is one of flowkit's words, and nothing serves it yet.
    NotYet,
    /// It means something elsewhere only.
    Elsewhere,
    Unknown,
}

use Standing::{Allowed, Elsewhere, NotYet, Unknown};

use crate::diagnose::list;

type Row = (&'static str, Standing, Standing, Standing);

/// Every word, with its standing for tasks, flows and fingerprints.
const WORDS: &[Row] = &[
    ("name", Allowed, Allowed, Elsewhere),
    ("description", Allowed, Allowed, Elsewhere),
    ("tags", Allowed, Allowed, Elsewhere),
    ("version", Allowed, Allowed, Elsewhere),
    ("run_name", Allowed, Allowed, Elsewhere),
    ("cache", Allowed, Elsewhere, Elsewhere),
    ("cache_key", Allowed, Elsewhere, Elsewhere),
    ("cache_exclude", Allowed, Elsewhere, Elsewhere),
    ("cache_includes", Allowed, Elsewhere, Allowed),
    ("cache_expiration", Allowed, Elsewhere, Elsewhere),
    ("cache_durable", Allowed, Elsewhere, Elsewhere),
    ("retries", Allowed, Allowed, Elsewhere),
    ("retry_delay", Allowed, Allowed, Elsewhere),
    ("retry_backoff", Allowed, Allowed, Elsewhere),
    ("retry_max_delay", Allowed, Allowed, Elsewhere),
    ("retry_jitter", Allowed, Allowed, Elsewhere),
    ("retry_if", Allowed, Allowed, Elsewhere),
    ("retry_after", Allowed, Allowed, Elsewhere),
    ("retry_deadline", Allowed, Allowed, Elsewhere),
    ("retry_panics", Allowed, Allowed, Elsewhere),
    ("retry_timeouts", Allowed, Allowed, Elsewhere),
    ("timeout", Allowed, Allowed, Elsewhere),
    ("total_timeout", Allowed, Elsewhere, Elsewhere),
    ("limit", Allowed, NotYet, Elsewhere),
    ("rate_limit", Allowed, Elsewhere, Elsewhere),
    ("circuit_breaker", Allowed, Elsewhere, Elsewhere),
    ("on_running", Allowed, Allowed, Elsewhere),
    ("on_success", Allowed, Allowed, Elsewhere),
    ("on_failure", Allowed, Allowed, Elsewhere),
    ("on_cancellation", Allowed, Allowed, Elsewhere),
    ("on_crash", Allowed, Allowed, Elsewhere),
    ("on_commit", Allowed, Elsewhere, Elsewhere),
    ("on_rollback", Allowed, Elsewhere, Elsewhere),
    ("persist", Allowed, Elsewhere, Elsewhere),
    ("effect", Allowed, Elsewhere, Elsewhere),
    ("associated", Allowed, Allowed, Elsewhere),
    ("crate", Allowed, Allowed, Allowed),
];

fn column(kind: Macro, row: &Row) -> Standing {
    match kind {
        Macro::Task => row.1,
        Macro::Flow => row.2,
        Macro::Fingerprint => row.3,
    }
}

/// What is wrong with `word` in an attribute of this kind, if anything is.
pub(crate) fn refusal(kind: Macro, word: &str) -> Option<String> {
    let what = kind.name();
    let all = list(allowed(kind));
    match standing(kind, word) {
        Allowed => None,
        NotYet => Some(format!("`{word}` is not available yet; a {what} takes {all}")),
        Elsewhere => Some(format!("`{word}` is not allowed here: a {what} takes {all}")),
        Unknown => {
            let meant = nearest(kind, word)
                .map(|meant| format!(": did you mean `{meant}`?"))
                .unwrap_or_default();
            Some(format!(
                "`{word}` is not a word of `#[{what}]`{meant}\na {what} takes {all}"
            ))
        }
    }
}

/// What `kind` makes of `word`.
fn standing(kind: Macro, word: &str) -> Standing {
    WORDS
        .iter()
        .find(|row| row.0 == word)
        .map_or(Unknown, |row| column(kind, row))
}

/// The words that `kind` takes.
fn allowed(kind: Macro) -> Vec<&'static str> {
    WORDS
        .iter()
        .filter(|row| column(kind, row) == Allowed)
        .map(|row| row.0)
        .collect()
}

/// The word that was meant, if one is near.
fn nearest(kind: Macro, word: &str) -> Option<&'static str> {
    let candidates = allowed(kind)
        .into_iter()
        .map(|candidate| (distance(candidate, word), candidate));
    candidates
        .min()
        .filter(|(distance, _)| *distance <= 2.max(word.len() / 3))
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            let replaced = diagonal + usize::from(x != *y);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_when_it_is_near() {
        assert_eq!(nearest(Macro::Task, "retrys"), Some("retries"));
        assert_eq!(nearest(Macro::Task, "time_out"), Some("timeout"));
        assert_eq!(nearest(Macro::Task, "colour"), None);
    }

    #[test]
    fn a_word_is_refused_with_all_that_are_allowed() {
        assert_eq!(refusal(Macro::Task, "cache"), None);
        assert!(
            refusal(Macro::Flow, "cache")
                .unwrap()
                .contains("not allowed here: a flow takes `name`, `description`")
        );
        assert!(
            refusal(Macro::Flow, "limit")
                .unwrap()
                .contains("not available yet")
        );
        assert!(
            refusal(Macro::Task, "timeuot")
                .unwrap()
                .contains("did you mean `timeout`?\na task takes `name`")
        );
        assert!(
            refusal(Macro::Fingerprint, "cache")
                .unwrap()
                .contains("takes `cache_includes`, `crate`")
        );
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("cache", "cache"), 0);
        assert_eq!(distance("cache", "cach"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn every_word_stands_in_the_table_once() {
        let mut words: Vec<_> = WORDS.iter().map(|row| row.0).collect();
        words.sort_unstable();
        let before = words.len();
        words.dedup();
        assert_eq!(words.len(), before);
    }
}
