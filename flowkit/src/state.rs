//! The states of a run and the one table of which may follow which.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The state of a task run or a flow run.
///
/// `Scheduled` → `Pending` → `Running` → a terminal state; between attempts `AwaitingRetry`, while waiting for a
/// slot `AwaitingSlot`. A terminal state never changes, except that a transaction may roll a completed one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
#[repr(u8)]
pub enum State {
    /// Known, and not due yet.
    Scheduled,
    /// Submitted; waits for its inputs.
    Pending,
    /// Waits for a slot of a limit.
    AwaitingSlot,
    /// Its body runs.
    Running,
    /// An attempt failed; the next one is due after the retry delay.
    AwaitingRetry,
    /// Waits to be resumed.
    Paused,
    /// Its body returned a value.
    Completed,
    /// Its value came from the cache, or from an equal run at the same time.
    Cached,
    /// Its last attempt returned an error.
    Failed,
    /// Its last attempt, or all of them, took longer than allowed.
    TimedOut,
    /// Its body panicked.
    Crashed,
    /// It was cancelled before it came to an end of its own.
    Cancelled,
    /// It did not run, because a run that it needs did not complete. Where that one and this one are stopped together, as when their flow
    /// is cancelled, this one may end as [`Cancelled`](Self::Cancelled) just as well.
    UpstreamFailed,
    /// It had completed, and its transaction was rolled back.
    RolledBack,
}

impl State {
    /// Every state, in the order of a run's life.
    pub const ALL: [Self; 14] = [
        Self::Scheduled,
        Self::Pending,
        Self::AwaitingSlot,
        Self::Running,
        Self::AwaitingRetry,
        Self::Paused,
        Self::Completed,
        Self::Cached,
        Self::Failed,
        Self::TimedOut,
        Self::Crashed,
        Self::Cancelled,
        Self::UpstreamFailed,
        Self::RolledBack,
    ];

    /// Whether the run has come to its end.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Scheduled
            | Self::Pending
            | Self::AwaitingSlot
            | Self::Running
            | Self::AwaitingRetry
            | Self::Paused => false,
            Self::Completed
            | Self::Cached
            | Self::Failed
            | Self::TimedOut
            | Self::Crashed
            | Self::Cancelled
            | Self::UpstreamFailed
            | Self::RolledBack => true,
        }
    }

    /// Whether the run ended with a value.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Completed | Self::Cached)
    }

    /// Whether the run ended without a value through something other than being cancelled or rolled back.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::TimedOut | Self::Crashed | Self::UpstreamFailed
        )
    }

    /// Whether `next` may follow. This is the only place that says so.
    pub const fn may_become(self, next: Self) -> bool {
        use State::{
            AwaitingRetry, AwaitingSlot, Cached, Cancelled, Completed, Crashed, Failed, Paused, Pending,
            RolledBack, Running, Scheduled, TimedOut, UpstreamFailed,
        };
        match self {
            Scheduled => matches!(next, Pending | Cancelled),
            Pending => {
                matches!(
                    next,
                    AwaitingSlot
                        | Running
                        // What an earlier life of the flow run completed.
                        | Completed
                        | Cached
                        | Failed
                        | TimedOut
                        | Crashed
                        | Cancelled
                        | UpstreamFailed
                )
            }
            AwaitingSlot => matches!(next, Running | Failed | TimedOut | Crashed | Cancelled),
            Running => {
                matches!(
                    next,
                    Completed
                        | Failed
                        | TimedOut
                        | Crashed
                        | Cancelled
                        | AwaitingRetry
                        | AwaitingSlot
                        | Paused
                )
            }
            AwaitingRetry => matches!(next, Running | AwaitingSlot | Failed | TimedOut | Cancelled),
            Paused => matches!(next, Running | AwaitingSlot | Failed | TimedOut | Cancelled),
            Completed => matches!(next, RolledBack),
            Cached | Failed | TimedOut | Crashed | Cancelled | UpstreamFailed | RolledBack => false,
        }
    }

    /// The state that an error of a run stands for.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::Crashed => Self::Crashed,
            ErrorKind::Cancelled | ErrorKind::Unavailable => Self::Cancelled,
            ErrorKind::UpstreamFailed => Self::UpstreamFailed,
            _ => Self::Failed,
        }
    }

    /// The state's name, as in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Pending => "Pending",
            Self::AwaitingSlot => "AwaitingSlot",
            Self::Running => "Running",
            Self::AwaitingRetry => "AwaitingRetry",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Cached => "Cached",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Crashed => "Crashed",
            Self::Cancelled => "Cancelled",
            Self::UpstreamFailed => "UpstreamFailed",
            Self::RolledBack => "RolledBack",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_state() -> impl Strategy<Value = State> {
        (0..State::ALL.len()).prop_map(|index| State::ALL[index])
    }

    #[test]
    fn a_terminal_state_changes_only_by_rolling_back_what_completed() {
        for state in State::ALL {
            for next in State::ALL {
                if state.is_terminal() && state.may_become(next) {
                    assert_eq!((state, next), (State::Completed, State::RolledBack));
                }
            }
        }
    }

    #[test]
    fn every_state_that_is_not_terminal_can_be_cancelled() {
        for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            assert!(state.may_become(State::Cancelled), "{state} can be cancelled");
        }
    }

    #[test]
    fn nothing_leads_back_to_the_beginning() {
        for state in State::ALL {
            assert!(!state.may_become(State::Scheduled));
            assert!(!state.may_become(state), "{state} does not follow itself");
        }
    }

    proptest! {
        #[test]
        fn a_walk_along_the_table_passes_at_most_one_end(steps in prop::collection::vec(any_state(), 0..64)) {
            let mut state = State::Scheduled;
            let mut ends = 0;
            for next in steps {
                if state.may_become(next) {
                    state = next;
                    ends += u32::from(next.is_terminal() && next != State::RolledBack);
                }
            }
            prop_assert!(ends <= 1);
        }
    }
}
