//! The lock of what is checked in all its interleavings: std's, or shuttle's when it is built for that.
//!
//! Under `--cfg flowkit_shuttle` it is a place where shuttle may go on with another thread. CONTRIBUTING.md says how to run it.

#[cfg(flowkit_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(not(flowkit_shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
