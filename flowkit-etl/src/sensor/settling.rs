//! What is watched until it stays the same.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::future::{self, BoxFuture, FutureExt};
use tokio::time::Instant;

/// What is waited for, and things by name as they were seen last, and since when they are so.
pub(super) struct Settling<K, S> {
    at_least: usize,
    stable_for: Duration,
    modified_since: Option<SystemTime>,
    seen: BTreeMap<K, (S, Instant)>,
}

impl<K: Ord + Clone, S: PartialEq> Settling<K, S> {
    /// One thing, as it is.
    pub(super) fn new() -> Self {
        Self {
            at_least: 1,
            stable_for: Duration::ZERO,
            modified_since: None,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn at_least(self, things: usize) -> Self {
        let at_least = things.max(1);
        Self { at_least, ..self }
    }

    pub(super) fn stable_for(self, stable_for: Duration) -> Self {
        Self { stable_for, ..self }
    }

    pub(super) fn modified_since(self, time: SystemTime) -> Self {
        let modified_since = Some(time);
        Self {
            modified_since,
            ..self
        }
    }

    /// Since when what is waited for was modified, if that matters.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.modified_since
    }

    /// Those that have stayed the same for long enough, of all that are there now, once there are enough of them.
    pub(super) fn ready(&mut self, there: BTreeMap<K, S>) -> Option<Vec<K>> {
        let now = Instant::now();
        self.seen.retain(|name, _| there.contains_key(name));
        let mut settled = Vec::new();
        for (name, state) in there {
            let since = match self.seen.get(&name) {
                Some((seen, since)) if *seen == state => *since,
                _ => now,
            };
            if now.duration_since(since) >= self.stable_for {
                settled.push(name.clone());
            }
            self.seen.insert(name, (state, since));
        }
        (settled.len() >= self.at_least).then_some(settled)
    }

    /// Waits until the next one will have stayed the same for long enough.
    pub(super) fn next(&self) -> BoxFuture<'static, ()> {
        let now = Instant::now();
        let since = self.seen.values().map(|(_, since)| since);
        let stable = since.filter_map(|since| since.checked_add(self.stable_for));
        match stable.filter(|stable| *stable > now).min() {
            Some(stable) => tokio::time::sleep_until(stable).boxed(),
            None => future::pending().boxed(),
        }
    }
}
