//! Words of an attribute held against each other, and against the function.

use std::fmt::Display;

use crate::diagnose::Diagnostics;
use crate::function::Function;
use crate::model::{Cache, Options, Retries, Seen};

/// What says how to cache.
const CACHE_KIN: &[&str] = &[
    "cache_key",
    "cache_exclude",
    "cache_includes",
    "cache_expiration",
    "cache_durable",
];

/// What says how to retry.
const RETRY_KIN: &[&str] = &[
    "retry_delay",
    "retry_backoff",
    "retry_max_delay",
    "retry_jitter",
    "retry_if",
    "retry_after",
    "retry_deadline",
    "retry_panics",
    "retry_timeouts",
];

/// Reports words that contradict each other, each pair at the later one.
pub(crate) fn check(options: &Options, seen: &Seen, function: &Function, errors: &mut Diagnostics) {
    let mut pairs = Pairs {
        options,
        seen,
        errors,
    };
    pairs.cache();
    pairs.retries();
    pairs.delays();
    pairs.timeouts();
    pairs.effect();
    if !function.fallible && options.retries == Retries::Some {
        for word in ["retry_if", "retry_after"] {
            let message = format!(
                "`{word}` looks at errors, and this task cannot fail: return a `Result`, or leave it out"
            );
            pairs.refuse(word, message);
        }
    }
}

struct Pairs<'a> {
    options: &'a Options,
    seen: &'a Seen,
    errors: &'a mut Diagnostics,
}

impl Pairs<'_> {
    /// Reports a word, if it is there.
    fn refuse(&mut self, word: &str, message: impl Display) {
        if let Some(span) = self.seen.at(word) {
            self.errors.at(span, message);
        }
    }

    /// Reports two words, if both are there, at the later one.
    fn refuse_pair(&mut self, one: &str, other: &str, message: impl Display) {
        if let Some(span) = self.seen.later_of(one, other) {
            self.errors.at(span, message);
        }
    }

    fn effect(&mut self) {
        if self.options.cached().is_some() {
            let message = "a cached result would stand for an effect that did not happen: leave out `effect` or the cache";
            for word in ["cache", "cache_key"] {
                self.refuse_pair("effect", word, message);
            }
        }
        if self.options.persist == Some(false) {
            let message = "what is not kept cannot be known after a crash, and an effect must be: leave out one of the two";
            self.refuse_pair("effect", "persist", message);
        }
        let message = "how far a body that panicked came is not known, so an effect is not tried again after it: leave out one of the two";
        self.refuse_pair("effect", "retry_panics", message);
    }

    fn cache(&mut self) {
        let custom = self.seen.at("cache_key").is_some();
        let says_none = matches!(self.options.cache, Some(Cache::None));
        for word in CACHE_KIN {
            if says_none {
                self.refuse_pair(
                    "cache",
                    word,
                    format!("`{word}` says how to cache, and `cache = none` says not to"),
                );
            } else if self.seen.at("cache").is_none() && !custom {
                self.refuse(word, format!("`{word}` is for a cached task: add `cache`"));
            }
        }
        if says_none || !custom {
            return;
        }
        self.refuse_pair(
            "cache",
            "cache_key",
            "`cache_key` says what the key is: leave `cache` out",
        );
        let message = "`cache_key` says what the key is: there is nothing to exclude";
        self.refuse_pair("cache_exclude", "cache_key", message);
    }

    fn retries(&mut self) {
        for word in RETRY_KIN {
            match self.options.retries {
                Retries::Unsaid => self.refuse(word, format!("`{word}` says how to retry: add `retries`")),
                Retries::Zero => self.refuse_pair(
                    "retries",
                    word,
                    format!("`{word}` says how to retry, and `retries = 0` says not to"),
                ),
                Retries::Some => {}
            }
        }
    }

    fn delays(&mut self) {
        if self.options.retries != Retries::Some {
            return;
        }
        if self.options.delays.len() > 1 {
            self.refuse_pair(
                "retry_backoff",
                "retry_delay",
                "a list of delays says how they grow: leave `retry_backoff` out, or give one delay",
            );
        }
        if self.seen.at("retry_delay").is_none() {
            self.refuse(
                "retry_backoff",
                "there is no delay that could grow: add `retry_delay`",
            );
        }
        let longest = self.options.delays.iter().filter_map(|delay| delay.known).max();
        if let (Some(most), Some(delay)) = (self.options.known_time("retry_max_delay"), longest)
            && most < delay
        {
            let message =
                "`retry_max_delay` is the longest that a delay can be, and it is shorter than `retry_delay`";
            self.refuse_pair("retry_max_delay", "retry_delay", message);
        }
    }

    fn timeouts(&mut self) {
        if let (Some(total), Some(one)) = (
            self.options.known_time("total_timeout"),
            self.options.known_time("timeout"),
        ) && total < one
        {
            let message = "`total_timeout` is for all attempts, so it cannot be shorter than `timeout`, which is for one";
            self.refuse_pair("total_timeout", "timeout", message);
        }
    }
}
