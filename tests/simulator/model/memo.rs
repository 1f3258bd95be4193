//! What the attempts of a flow remember: a call's value, by its inputs and by the how-manieth such call it is.

use std::collections::BTreeMap;

use flowkit::State;

use super::trace::Trace;

/// A flow or a task, which, and with what inputs.
pub(super) type Key = (bool, usize, Vec<u64>);
pub(super) type Occurrence = (Key, u32);

#[derive(Debug, Clone, Default)]
pub(super) struct Memo {
    pub(super) values: BTreeMap<Occurrence, u64>,
    pub(super) subflows: BTreeMap<Occurrence, Self>,
}

/// One attempt of a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// None if the flow is not retried, and no flow above it.
    pub(super) memo: Option<Memo>,
    made: BTreeMap<Key, u32>,
}

impl Scope {
    pub(super) fn of(memo: Option<Memo>) -> Self {
        Self {
            memo,
            made: BTreeMap::new(),
        }
    }

    /// Counts a call.
    pub(super) fn occurrence(&mut self, key: &Key) -> Option<Occurrence> {
        self.memo.as_ref()?;
        let made = self.made.entry(key.clone()).or_insert(0);
        *made += 1;
        Some((key.clone(), *made))
    }

    pub(super) fn recall(&self, occurrence: &Occurrence) -> Option<u64> {
        self.memo.as_ref()?.values.get(occurrence).copied()
    }

    /// The counts, before something is worked out that may be cut off.
    pub(super) fn counts(&self) -> BTreeMap<Key, u32> {
        self.made.clone()
    }

    /// Counts again, from `before` on, what was left.
    pub(super) fn recount<'a>(
        &mut self,
        before: BTreeMap<Key, u32>,
        left: impl IntoIterator<Item = &'a Trace>,
    ) {
        self.made = before;
        left.into_iter().for_each(|trace| self.count(trace));
    }

    fn count(&mut self, trace: &Trace) {
        if let Some(key) = &trace.counted {
            *self.made.entry(key.clone()).or_insert(0) += 1;
        }
        if !trace.is_flow {
            trace.children().for_each(|child| self.count(child));
        }
    }
}

impl Memo {
    /// Remembers what completed.
    pub(super) fn harvest<'a>(&mut self, traces: impl IntoIterator<Item = &'a Trace>) {
        for trace in traces {
            if let Some(occurrence) = trace
                .occurrence
                .as_ref()
                .filter(|_| trace.state == State::Completed)
            {
                self.values.insert(occurrence.clone(), trace.value);
            }
            let children: Vec<_> = trace.children().collect();
            match &trace.occurrence {
                Some(occurrence) if trace.is_flow => {
                    self.subflows
                        .entry(occurrence.clone())
                        .or_default()
                        .harvest(children);
                }
                _ if trace.is_flow => {}
                _ => self.harvest(children),
            }
        }
    }
}
