//! How many runs of a flow run ended in which way.

use crate::state::State;

/// How many runs ended in which way, the items of fan-outs each counted, subflows' own runs not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs whose body returned a value.
    pub completed: usize,
    /// Runs whose value came from the cache.
    pub cached: usize,
    /// Runs that failed, timed out or crashed.
    pub failed: usize,
    /// Runs that did not begin because one they need failed.
    pub upstream_failed: usize,
    /// Runs that were cancelled.
    pub cancelled: usize,
    /// Attempts that followed a failed one.
    pub retries: usize,
}

impl Counts {
    pub(super) fn add(&mut self, state: State, runs: usize) {
        match state {
            State::Completed | State::RolledBack => self.completed += runs,
            State::Cached => self.cached += runs,
            State::Failed | State::TimedOut | State::Crashed => self.failed += runs,
            State::UpstreamFailed => self.upstream_failed += runs,
            State::Cancelled => self.cancelled += runs,
            _ => {}
        }
    }
}
