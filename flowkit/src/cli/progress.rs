//! How a run goes, in one line that is drawn over and over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Event, EventKind, Observer};
use crate::ids::TaskRunId;
use crate::state::State;

/// Counts the task runs by their states.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    states: BTreeMap<State, usize>,
    /// What began last and goes on.
    latest: Option<(TaskRunId, String)>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Progress")
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub(super) fn line(&self) -> String {
        let counted = self.lock();
        let states = counted.states.iter().rev().filter(|(_, runs)| **runs > 0);
        let states: Vec<_> = states.map(|(state, runs)| format!("{runs} {state}")).collect();
        match &counted.latest {
            Some((_, name)) => format!("{}: {name}", states.join(", ")),
            None => states.join(", "),
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event<'_>) {
        let EventKind::TaskRunState {
            id, name, from, to, ..
        } = &event.kind
        else {
            return;
        };
        let mut counted = self.lock();
        if let Some(from) = from
            && let Some(runs) = counted.states.get_mut(from)
        {
            *runs = runs.saturating_sub(1);
        }
        *counted.states.entry(*to).or_default() += 1;
        if *to == State::Running {
            counted.latest = Some((*id, super::screen::one_line(name)));
        } else if counted.latest.as_ref().is_some_and(|(latest, _)| latest == id) {
            counted.latest = None;
        }
    }
}
