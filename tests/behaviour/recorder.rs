//! An observer that remembers what happened, so that a test can say it in words.

use std::sync::{Arc, Mutex};

use flowkit::{Event, EventKind, Observer, State};

/// Remembers the state changes of every task run, in order.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<(String, State)>>>);

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::TaskRunState { name, to, .. } = &event.kind {
            self.0.lock().unwrap().push(((*name).to_owned(), *to));
        }
    }
}

impl Recorder {
    /// The states that runs of this name went through.
    pub(crate) fn states(&self, name: &str) -> Vec<State> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|(task, _)| task == name)
            .map(|(_, state)| *state)
            .collect()
    }
}
