//! The background sweep: at most one at a time for each cache, slice after slice until nothing is left to remove. Nobody waits for it,
//! and it holds nobody up: it ends with its runtime, and with its cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::entry::micros;

/// What is known of a cache's sweeps.
#[derive(Debug, Default)]
pub(crate) struct Sweeping {
    /// The newest time that callers passed in. No clock is read.
    newest: AtomicU64,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Whether another was asked for while one is running.
    again: bool,
}

impl Sweeping {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a time that a caller passed in. Says whether it is the first.
    pub(crate) fn note_time(&self, now: SystemTime) -> bool {
        let now = micros(now).max(1);
        let newest = self.newest.load(Ordering::Relaxed);
        newest < now && self.newest.fetch_max(now, Ordering::Relaxed) == 0
    }

    pub(crate) fn newest_time(&self) -> SystemTime {
        let newest = Duration::from_micros(self.newest.load(Ordering::Relaxed));
        UNIX_EPOCH.checked_add(newest).unwrap_or(UNIX_EPOCH)
    }

    /// Begins a sweep. While one is running, there is no other; that one will look once more before it ends.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<SweepRun> {
        let mut state = self.state();
        if state.running {
            state.again = true;
            return None;
        }
        state.running = true;
        Some(SweepRun {
            sweeping: Arc::clone(self),
            over: false,
        })
    }

    /// Returns when none is running.
    pub(crate) async fn until_none_runs(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.state().running {
                return;
            }
            ended.await;
        }
    }
}

/// A sweep that is running, until this is dropped.
#[derive(Debug)]
pub(crate) struct SweepRun {
    sweeping: Arc<Sweeping>,
    over: bool,
}

impl SweepRun {
    /// Ends it, unless another look was asked for in the meantime. Says whether it ended.
    pub(crate) fn end(&mut self) -> bool {
        let mut state = self.sweeping.state();
        if std::mem::take(&mut state.again) {
            return false;
        }
        state.running = false;
        self.over = true;
        true
    }
}

impl Drop for SweepRun {
    fn drop(&mut self) {
        if !self.over {
            let mut state = self.sweeping.state();
            state.running = false;
            state.again = false;
        }
        self.sweeping.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
