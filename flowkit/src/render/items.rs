//! How the items of a fan-out stand, counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::state::State;

/// How many items are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ItemStates(BTreeMap<State, u64>);

impl ItemStates {
    pub(crate) fn add(&mut self, state: State, items: u64) {
        *self.0.entry(state).or_default() += items;
    }

    fn count(&self, counts: impl Fn(State) -> bool) -> u64 {
        let counted = self.0.iter().filter(|(state, _)| counts(**state));
        counted.map(|(_, items)| items).sum()
    }

    /// All of them, as far as they are known: a fan-out that goes on may get more.
    pub(crate) fn total(&self) -> u64 {
        self.count(|_| true)
    }

    /// Those that have ended, whichever way.
    pub(crate) fn finished(&self) -> u64 {
        self.count(State::is_terminal)
    }

    /// Those that ended without a value and were not cancelled.
    pub(crate) fn failed(&self) -> u64 {
        self.count(State::is_failure)
    }

    /// Those whose value came from the cache.
    pub(crate) fn cached(&self) -> u64 {
        self.count(|state| state == State::Cached)
    }

    /// What is notable of them: those that are missing, failed or cached. Empty if there is nothing of that.
    pub(crate) fn notable(&self) -> String {
        let mut notable = Vec::new();
        let (finished, total) = (self.finished(), self.total());
        if finished < total {
            notable.push(format!("{finished}/{total} finished"));
        }
        for (items, what) in [(self.failed(), "failed"), (self.cached(), "cached")] {
            if items > 0 {
                notable.push(format!("{items} {what}"));
            }
        }
        notable.join(", ")
    }
}

#[cfg(feature = "cli")]
impl ItemStates {
    /// The states that any are in.
    pub(crate) fn states(&self) -> impl Iterator<Item = (State, u64)> {
        self.0.iter().map(|(state, items)| (*state, *items))
    }
}

impl FromIterator<(State, u64)> for ItemStates {
    fn from_iter<I: IntoIterator<Item = (State, u64)>>(counted: I) -> Self {
        let mut states = Self::default();
        for (state, items) in counted {
            states.add(state, items);
        }
        states
    }
}

/// All that is counted, in a few words.
impl fmt::Display for ItemStates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (finished, total) = (self.finished(), self.total());
        if finished == total {
            write!(formatter, "{finished}/{total} finished")?;
        }
        let notable = self.notable();
        let comma = if finished == total && !notable.is_empty() {
            ", "
        } else {
            ""
        };
        write!(formatter, "{comma}{notable}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_in_a_few_words() {
        let states = |counted: &[(State, u64)]| counted.iter().copied().collect::<ItemStates>();
        let done = states(&[(State::Completed, 7)]);
        assert_eq!(
            (done.to_string().as_str(), done.notable().as_str()),
            ("7/7 finished", "")
        );
        let mixed = states(&[
            (State::Completed, 5),
            (State::Cached, 3),
            (State::Failed, 1),
            (State::UpstreamFailed, 1),
            (State::Running, 2),
        ]);
        assert_eq!(mixed.to_string(), "10/12 finished, 2 failed, 3 cached");
        assert_eq!(mixed.notable(), mixed.to_string());
        assert_eq!(ItemStates::default().to_string(), "0/0 finished");
        assert_eq!(
            states(&[(State::Cached, 2)]).to_string(),
            "2/2 finished, 2 cached"
        );
    }
}
