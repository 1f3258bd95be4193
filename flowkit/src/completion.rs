//! The shared outcome of one submitted run: set once, awaited by any number of handles.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::error::Error;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};

/// Where a waiting future's waker is kept, so that it can be replaced and removed.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(pub(crate) Option<u64>);

pub(crate) struct Completion<T> {
    inner: Mutex<Inner<T>>,
    /// How many handles there are. The last one may take the value instead of cloning it.
    handles: AtomicUsize,
}

struct Inner<T> {
    outcome: Outcome<T>,
    waiters: Slab<Waker>,
}

enum Outcome<T> {
    Open,
    Value(Arc<T>),
    Failed(Error),
    /// The run completed, and the last handle took its value. Who waits only for its end can still tell.
    Taken,
}

impl<T> Outcome<T> {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open)
            || (cfg!(flowkit_fault = "end-forgotten-with-the-value") && matches!(self, Self::Taken))
    }

    fn share(&self) -> Option<Result<Arc<T>, Error>> {
        match self {
            Self::Open | Self::Taken => None,
            Self::Value(value) => Some(Ok(Arc::clone(value))),
            Self::Failed(error) => Some(Err(error.clone())),
        }
    }
}

impl<T> Completion<T> {
    /// An open completion with one handle.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                outcome: Outcome::Open,
                waiters: Slab::new(),
            }),
            handles: AtomicUsize::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the outcome and wakes who waits for it. Only the first call has an effect.
    pub(crate) fn complete(&self, outcome: Result<T, Error>) {
        let outcome = match outcome {
            Ok(value) => Outcome::Value(Arc::new(value)),
            Err(error) => Outcome::Failed(error),
        };
        let waiters = {
            let mut inner = self.lock();
            if !inner.outcome.is_open() {
                return;
            }
            inner.outcome = outcome;
            std::mem::take(&mut inner.waiters)
        };
        for (_, waker) in waiters {
            waker.wake();
        }
    }

    /// Ready once there is an outcome; until then `cx` is woken for it.
    pub(crate) fn poll_done(&self, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
        let mut inner = self.lock();
        if !inner.outcome.is_open() {
            key.0 = None;
            return Poll::Ready(());
        }
        let kept = key
            .0
            .and_then(|key| inner.waiters.get_mut(usize::try_from(key).ok()?));
        match kept {
            Some(waker) => waker.clone_from(cx.waker()),
            None => key.0 = u64::try_from(inner.waiters.insert(cx.waker().clone())).ok(),
        }
        Poll::Pending
    }

    /// Forgets a waker whose future is gone.
    pub(crate) fn leave(&self, key: &mut WaiterKey) {
        if let Some(key) = key.0.take() {
            let mut inner = self.lock();
            if inner.outcome.is_open()
                && let Ok(key) = usize::try_from(key)
            {
                inner.waiters.try_remove(key);
            }
        }
    }

    /// The outcome, shared.
    pub(crate) fn outcome(&self) -> Option<Result<Arc<T>, Error>> {
        self.lock().outcome.share()
    }

    /// The outcome for a handle that is used up: taken out where no other handle could ask for it.
    pub(crate) fn take(&self) -> Option<Result<Arc<T>, Error>> {
        let mut inner = self.lock();
        // Only a handle makes another one, and the one that asks is being used up: one means the last.
        let is_last = self.handles.load(Ordering::Acquire) == 1;
        if is_last && matches!(inner.outcome, Outcome::Value(_)) {
            return match std::mem::replace(&mut inner.outcome, Outcome::Taken) {
                Outcome::Value(value) => Some(Ok(value)),
                _ => None,
            };
        }
        inner.outcome.share()
    }

    pub(crate) fn retain(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.handles.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
#[cfg(flowkit_shuttle)]
mod interleavings;
#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    #[test]
    fn the_last_handle_takes_the_value_and_others_share_it() {
        let completion = Completion::new();
        completion.retain();
        completion.complete(Ok(String::from("value")));
        let shared = completion.take().unwrap().unwrap();
        assert!(Arc::strong_count(&shared) > 1, "the other handle can still ask");
        drop(shared);
        completion.release();
        let taken = completion.take().unwrap().unwrap();
        assert_eq!(Arc::try_unwrap(taken).unwrap(), "value");
    }

    #[test]
    fn a_future_that_is_gone_leaves_no_waker_behind() {
        let completion = Completion::<u8>::new();
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let mut key = WaiterKey::default();
        assert!(completion.poll_done(&cx, &mut key).is_pending());
        assert!(completion.poll_done(&cx, &mut key).is_pending());
        assert_eq!(completion.lock().waiters.len(), 1, "one future, one waker");
        completion.leave(&mut key);
        assert!(completion.lock().waiters.is_empty());
    }

    #[test]
    fn only_the_first_outcome_counts() {
        let completion = Completion::new();
        completion.complete(Ok(1));
        completion.complete(Ok(2));
        assert_eq!(*completion.outcome().unwrap().unwrap(), 1);
    }
}
