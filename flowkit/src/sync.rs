//! The locks and atomics of what is checked in all its interleavings: std's, or shuttle's when it is built for that.
//!
//! Under `--cfg flowkit_shuttle` each of them is a place where shuttle may go on with another thread. CONTRIBUTING.md says how to run
//! it. `Arc` is std's either way.

#[cfg(flowkit_shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicUsize, Ordering};
#[cfg(flowkit_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(not(flowkit_shuttle))]
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(flowkit_shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs a story of threads in many interleavings: at random, and by the scheduler that looks for bugs of few preemptions.
///
/// It fails where an assertion does, and where all threads wait for each other: so a lost wake-up shows.
#[cfg(test)]
#[cfg(flowkit_shuttle)]
pub(crate) fn explore(story: fn()) {
    shuttle::check_random(story, 3_000);
    shuttle::check_pct(story, 3_000, 3);
}
