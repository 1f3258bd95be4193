//! What the attempts of a flow remember: a call's value, by its caller, its inputs, and by the how-manieth such call of its caller it is.

use std::collections::BTreeMap;

use flowkit::State;

use super::trace::Trace;

/// A flow or a task, which, and with what inputs.
pub(super) type Key = (bool, usize, Vec<u64>);
/// The calls from the flow's body down to this one, each with its number among its equals.
pub(super) type Place = Vec<(Key, u32)>;

#[derive(Debug, Clone, Default)]
pub(super) struct Memo {
    pub(super) values: BTreeMap<Place, u64>,
    pub(super) subflows: BTreeMap<Place, Self>,
}

/// One attempt of a flow, or of a task in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// None if the flow is not retried, and no flow above it.
    pub(super) memo: Option<Memo>,
    caller: Place,
    made: BTreeMap<Key, u32>,
}

impl Scope {
    pub(super) fn of(memo: Option<Memo>) -> Self {
        Self {
            memo,
            ..Self::default()
        }
    }

    /// An attempt of the call at this place.
    pub(super) fn below(&self, place: Option<&Place>) -> Self {
        Self {
            memo: self.memo.clone(),
            caller: place.cloned().unwrap_or_default(),
            made: BTreeMap::new(),
        }
    }

    /// Counts a call.
    pub(super) fn place(&mut self, key: Key) -> Option<Place> {
        self.memo.as_ref()?;
        let made = self.made.entry(key.clone()).or_insert(0);
        *made += 1;
        let mut place = self.caller.clone();
        place.push((key, *made));
        Some(place)
    }

    pub(super) fn recall(&self, place: &Place) -> Option<u64> {
        self.memo.as_ref()?.values.get(place).copied()
    }
}

impl Memo {
    /// Remembers what completed in an attempt.
    pub(super) fn harvest<'a>(&mut self, traces: impl IntoIterator<Item = &'a Trace>) {
        let before = self.clone();
        self.harvest_after(&before, traces);
    }

    fn harvest_after<'a>(&mut self, before: &Self, traces: impl IntoIterator<Item = &'a Trace>) {
        for trace in traces {
            let completed = trace.state == State::Completed;
            if let Some(place) = trace.place.as_ref().filter(|_| completed) {
                self.values.insert(place.clone(), trace.value);
            }
            let children: Vec<_> = trace.children().collect();
            match &trace.place {
                // Of a subflow that a retried task calls again only the last call counts.
                Some(place) if trace.is_flow => {
                    let mut known = before.subflows.get(place).cloned().unwrap_or_default();
                    known.harvest(children);
                    self.subflows.insert(place.clone(), known);
                }
                _ if trace.is_flow => {}
                _ => self.harvest_after(before, children),
            }
        }
    }
}
