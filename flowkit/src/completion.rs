//! The shared outcome of one submitted run: set once, awaited by any number of handles.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use slab::Slab;

use crate::error::Error;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};

/// Where a waiting future's waker is kept, so that it can be replaced and removed.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(pub(crate) Option<u64>);

/// An outcome's value, for whom it was kept.
#[derive(Debug)]
pub(crate) enum Given<T> {
    /// Nobody else can ask for it.
    Whole(T),
    /// Others may ask for it too.
    Shared(Arc<T>),
}

impl<T> Given<T> {
    /// The value itself: cloned if it is shared.
    pub(crate) fn into_value(self) -> T
    where
        T: Clone,
    {
        match self {
            Self::Whole(value) => value,
            Self::Shared(value) => Arc::unwrap_or_clone(value),
        }
    }
}

pub(crate) struct Completion<T> {
    inner: Mutex<Inner<T>>,
    /// How many handles there are. The last one may take the value instead of cloning it.
    handles: AtomicUsize,
}

struct Inner<T> {
    outcome: Outcome<T>,
    waiters: Waiters,
}

/// Who waits for an outcome, whatever its type. Most runs are waited for by one, who needs no list.
#[derive(Default)]
struct Waiters {
    first: Option<Waker>,
    others: Slab<Waker>,
}

/// The key of the first waiter; that of another is its place in the list, after this one.
const FIRST: u64 = 0;

impl Waiters {
    /// From now on `cx` is woken, in place of what was at `key`.
    fn wait(&mut self, cx: &Context<'_>, key: &mut WaiterKey) {
        match key.0.and_then(|key| self.get_mut(key)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => key.0 = self.add(cx.waker().clone()),
        }
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut Waker> {
        match key.checked_sub(1) {
            None => self.first.as_mut(),
            Some(other) => self.others.get_mut(usize::try_from(other).ok()?),
        }
    }

    fn add(&mut self, waker: Waker) -> Option<u64> {
        if self.first.is_none() {
            self.first = Some(waker);
            return Some(FIRST);
        }
        u64::try_from(self.others.insert(waker)).ok()?.checked_add(1)
    }

    fn remove(&mut self, key: u64) {
        match key.checked_sub(1) {
            None => self.first = None,
            Some(other) => {
                if let Ok(other) = usize::try_from(other) {
                    self.others.try_remove(other);
                }
            }
        }
    }

    fn wake(self) {
        self.first.into_iter().for_each(Waker::wake);
        for (_, waker) in self.others {
            waker.wake();
        }
    }
}

/// How a run ended, and who was given its value.
pub(crate) enum Outcome<T> {
    Open,
    /// Nobody has asked for it yet.
    Value(T),
    Shared(Arc<T>),
    Failed(Error),
    /// The run completed, and the last who could ask took its value. Who waits only for its end can still tell.
    Taken,
}

impl<T> Outcome<T> {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open)
            || (cfg!(flowkit_fault = "end-forgotten-with-the-value") && matches!(self, Self::Taken))
    }

    /// The outcome, for one of several who may ask for it; none while there is none.
    pub(crate) fn share(&mut self) -> Option<Result<Arc<T>, Error>> {
        if matches!(self, Self::Value(_))
            && let Self::Value(value) = std::mem::replace(self, Self::Taken)
        {
            *self = Self::Shared(Arc::new(value));
        }
        match self {
            Self::Shared(value) => Some(Ok(Arc::clone(value))),
            Self::Failed(error) => Some(Err(error.clone())),
            Self::Open | Self::Value(_) | Self::Taken => None,
        }
    }

    /// A copy of the outcome.
    pub(crate) fn copy(&self) -> Option<Result<T, Error>>
    where
        T: Clone,
    {
        match self {
            Self::Value(value) => Some(Ok(value.clone())),
            Self::Shared(value) => Some(Ok(T::clone(value))),
            Self::Failed(error) => Some(Err(error.clone())),
            Self::Open | Self::Taken => None,
        }
    }

    /// The value itself, which nobody will ask for again.
    pub(crate) fn take(&mut self) -> Option<Result<Given<T>, Error>> {
        match self {
            Self::Value(_) | Self::Shared(_) => match std::mem::replace(self, Self::Taken) {
                Self::Value(value) => Some(Ok(Given::Whole(value))),
                Self::Shared(value) => Some(Ok(Given::Shared(value))),
                _ => None,
            },
            _ => self.share().map(|outcome| outcome.map(Given::Shared)),
        }
    }
}

impl<T> Completion<T> {
    /// An open completion with one handle.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                outcome: Outcome::Open,
                waiters: Waiters::default(),
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
            Ok(value) => Outcome::Value(value),
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
        waiters.wake();
    }

    /// Ready once there is an outcome; until then `cx` is woken for it.
    pub(crate) fn poll_done(&self, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
        wait(&mut self.lock(), cx, key)
    }

    /// The same, and then the outcome for a handle that is used up.
    pub(crate) fn poll_take(
        &self,
        cx: &Context<'_>,
        key: &mut WaiterKey,
    ) -> Poll<Option<Result<Given<T>, Error>>> {
        let mut inner = self.lock();
        ready!(wait(&mut inner, cx, key));
        Poll::Ready(self.take_from(&mut inner))
    }

    /// Forgets a waker whose future is gone.
    pub(crate) fn leave(&self, key: &mut WaiterKey) {
        if let Some(key) = key.0.take() {
            let mut inner = self.lock();
            if inner.outcome.is_open() {
                inner.waiters.remove(key);
            }
        }
    }

    /// The outcome, shared.
    pub(crate) fn outcome(&self) -> Option<Result<Arc<T>, Error>> {
        self.lock().outcome.share()
    }

    /// The outcome for a handle that is used up: taken out where no other handle could ask for it.
    fn take_from(&self, inner: &mut Inner<T>) -> Option<Result<Given<T>, Error>> {
        // Only a handle makes another one, and the one that asks is being used up: one means the last.
        if self.handles.load(Ordering::Acquire) == 1 {
            return inner.outcome.take();
        }
        inner.outcome.share().map(|outcome| outcome.map(Given::Shared))
    }

    pub(crate) fn retain(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.handles.fetch_sub(1, Ordering::Release);
    }
}

/// Ready once there is an outcome; until then `cx` is woken for it.
fn wait<T>(inner: &mut Inner<T>, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
    if !inner.outcome.is_open() {
        key.0 = None;
        return Poll::Ready(());
    }
    inner.waiters.wait(cx, key);
    Poll::Pending
}

#[cfg(test)]
#[cfg(flowkit_shuttle)]
mod interleavings;
#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    impl<T> Completion<T> {
        pub(super) fn waiters(&self) -> usize {
            let inner = self.lock();
            usize::from(inner.waiters.first.is_some()) + inner.waiters.others.len()
        }
    }

    pub(super) fn take<T>(completion: &Completion<T>) -> Given<T> {
        let waker = noop_waker();
        match completion.poll_take(&Context::from_waker(&waker), &mut WaiterKey::default()) {
            Poll::Ready(outcome) => outcome.unwrap().unwrap(),
            Poll::Pending => panic!("there is an outcome"),
        }
    }

    #[test]
    fn the_last_handle_takes_the_value_and_others_share_it() {
        let completion = Completion::new();
        completion.retain();
        completion.complete(Ok(String::from("value")));
        let Given::Shared(shared) = take(&completion) else {
            panic!("the other handle can still ask");
        };
        assert!(Arc::strong_count(&shared) > 1, "the other handle can still ask");
        drop(shared);
        completion.release();
        assert_eq!(take(&completion).into_value(), "value");
        assert!(completion.outcome().is_none(), "it was the last");
    }

    #[test]
    fn a_value_that_only_one_handle_asks_for_is_given_as_it_is() {
        let completion = Completion::new();
        completion.complete(Ok(7));
        assert!(matches!(take(&completion), Given::Whole(7)));
    }

    #[test]
    fn a_future_that_is_gone_leaves_no_waker_behind() {
        let completion = Completion::<u8>::new();
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let mut key = WaiterKey::default();
        assert!(completion.poll_done(&cx, &mut key).is_pending());
        assert!(completion.poll_done(&cx, &mut key).is_pending());
        let mut other = WaiterKey::default();
        assert!(completion.poll_done(&cx, &mut other).is_pending());
        assert!(completion.poll_done(&cx, &mut other).is_pending());
        assert_eq!(completion.waiters(), 2, "one future, one waker");
        completion.leave(&mut key);
        assert_eq!(completion.waiters(), 1);
        completion.leave(&mut other);
        assert_eq!(completion.waiters(), 0);
    }

    #[test]
    fn only_the_first_outcome_counts() {
        let completion = Completion::new();
        completion.complete(Ok(1));
        completion.complete(Ok(2));
        assert_eq!(*completion.outcome().unwrap().unwrap(), 1);
    }
}
