//! What is watched until it stays the same.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Things by name as they were seen last, and since when they are so.
pub(super) struct Settling<K, S> {
    seen: BTreeMap<K, (S, Instant)>,
}

impl<K: Ord + Clone, S: PartialEq> Settling<K, S> {
    pub(super) fn new() -> Self {
        Self {
            seen: BTreeMap::new(),
        }
    }

    /// Those that have stayed the same for so long, of all that are there now.
    pub(super) fn settled(&mut self, there: BTreeMap<K, S>, stable_for: Duration) -> Vec<K> {
        let now = Instant::now();
        self.seen.retain(|name, _| there.contains_key(name));
        let mut settled = Vec::new();
        for (name, state) in there {
            let since = match self.seen.get(&name) {
                Some((seen, since)) if *seen == state => *since,
                _ => now,
            };
            if now.duration_since(since) >= stable_for {
                settled.push(name.clone());
            }
            self.seen.insert(name, (state, since));
        }
        settled
    }

    /// When the next one will have stayed the same for so long.
    pub(super) fn next(&self, stable_for: Duration) -> Option<Instant> {
        let now = Instant::now();
        let stable = self
            .seen
            .values()
            .filter_map(|(_, since)| since.checked_add(stable_for));
        stable.filter(|stable| *stable > now).min()
    }
}
