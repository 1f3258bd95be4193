//! The inputs of a call with what its attribute says of them. There is one of these for each list of types, not for each task.

use std::task::{Context, Poll};

use flowkit_cache::{KeyError, KeyHasher, KeyParts};

use super::shim::{HashInputs, RunName, ShowInputs};
use crate::error::Error;
use crate::input::{AnyInput, Inputs, Upstream};
use crate::panics::dropped_by;
use crate::parameters::Shown;

/// Inputs of any types. What runs the user's code may panic, which is for the caller to catch.
pub(crate) trait AnyInputs {
    /// See [`start_inputs`](super::Job::start_inputs).
    fn start(&mut self) -> bool;
    /// See [`upstreams`](super::Job::upstreams).
    fn upstreams(&mut self, visit: &mut dyn FnMut(usize, Upstream<'_>));
    /// See [`poll_inputs`](super::Job::poll_inputs).
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
    /// Drops those that no attempt took, each whether others panic or not.
    fn spend(&mut self);
    /// See [`run_name`](super::Job::run_name).
    fn run_name(&self) -> Option<String>;
    /// See [`hash_inputs`](super::Job::hash_inputs).
    fn hash(&self, hasher: &mut KeyHasher) -> Result<bool, KeyError>;
    /// See [`hash_parts`](super::Job::hash_parts).
    fn hash_parts(&self, hasher: KeyHasher) -> Result<Option<KeyParts>, KeyError>;
    /// See [`show_inputs`](super::Job::show_inputs).
    fn show(&self) -> Option<Shown>;
}

/// For all types, so that the catch is there once.
fn spend(input: &mut dyn AnyInput) {
    dropped_by("an input of a run that is over", || input.spend());
}

pub(super) struct BoundInputs<I> {
    pub(super) values: I,
    pub(super) run_name: Option<RunName<I>>,
    pub(super) key: Option<HashInputs<I>>,
    pub(super) all: Option<HashInputs<I>>,
    pub(super) show: Option<ShowInputs<I>>,
}

impl<I: Inputs> AnyInputs for BoundInputs<I> {
    fn start(&mut self) -> bool {
        let mut all_are_values = true;
        self.values.each(&mut |_, input| all_are_values &= input.start());
        all_are_values
    }

    fn upstreams(&mut self, visit: &mut dyn FnMut(usize, Upstream<'_>)) {
        self.values
            .each(&mut |index, input| input.upstreams(&mut |upstream| visit(index, upstream)));
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut all = Poll::Ready(Ok(()));
        self.values.each(&mut |_, input| {
            if matches!(all, Poll::Ready(Err(_))) {
                return;
            }
            match input.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => all = Poll::Ready(Err(error)),
                Poll::Pending => all = Poll::Pending,
            }
        });
        all
    }

    fn spend(&mut self) {
        self.values.each(&mut |_, input| spend(input));
    }

    fn run_name(&self) -> Option<String> {
        (self.run_name?)(&self.values)
    }

    fn hash(&self, hasher: &mut KeyHasher) -> Result<bool, KeyError> {
        self.key.map_or(Ok(false), |key| key(&self.values, hasher))
    }

    fn hash_parts(&self, mut hasher: KeyHasher) -> Result<Option<KeyParts>, KeyError> {
        let Some(hash) = self.all else {
            return Ok(None);
        };
        let known = hash(&self.values, &mut hasher)?;
        known.then(|| hasher.finish_parts()).transpose()
    }

    fn show(&self) -> Option<Shown> {
        Some((self.show?)(&self.values))
    }
}
