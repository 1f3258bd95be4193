//! What errors say. How an error is put into words is the user's code, which may panic, or ask for the state of a run: so it is asked before a graph is locked.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::scope::Scope;
use crate::error::Error;
use crate::panics::caught;

/// What an error says, with all causes.
pub(crate) fn said_by(error: &Error) -> Arc<str> {
    let said = caught(|| format!("{error:?}"));
    said.unwrap_or_else(|message| format!("what it says cannot be said: {message}"))
        .into()
}

/// What the errors of a flow run's graph say.
pub(crate) struct Told(HashMap<usize, Arc<str>>);

impl Told {
    pub(crate) fn of(scope: &Scope) -> Self {
        let errors = scope.graph().errors();
        Self(
            errors
                .iter()
                .map(|error| (error.address(), said_by(error)))
                .collect(),
        )
    }

    /// What one of them says. One that came since says it in the next record.
    pub(crate) fn said(&self, error: &Error) -> String {
        self.0
            .get(&error.address())
            .map_or_else(String::new, |said| said.as_ref().to_owned())
    }
}
