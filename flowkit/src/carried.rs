//! A task that is awaited, and waits: it is carried on in a tokio task of its own.
//!
//! Whoever awaits it may stop polling it without dropping it, as a loop over `buffer_unordered` does while its body awaits something else. Were the run
//! polled by its caller alone, it would keep the slot that it holds, or its place in a queue, from what the caller awaits meanwhile, and both would
//! wait for ever.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::call::Running;
use crate::context::{descend, is_deep};
use crate::engine::scope::Scope;
use crate::ids::NodeRef;
use crate::job::{Ended, no_output};
use crate::panics::dropped;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A run that is carried on, held by whoever awaits it: dropped before its end, it is cancelled.
pub(crate) struct Carried {
    shared: Arc<Shared>,
    carrier: AbortHandle,
}

struct Shared {
    scope: Arc<Scope>,
    place: NodeRef,
    inner: Mutex<Inner>,
}

struct Inner {
    stands: Stands,
    awaiter: Option<Waker>,
    /// Whether nobody awaits it any more.
    is_forsaken: bool,
}

enum Stands {
    /// The run waits to be polled.
    Waiting(Running),
    /// The carrier polls it.
    Polled,
    Ended(Ended),
    /// Nobody awaits it any more, or somebody was given how it ended.
    Over,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has ended: tells whoever awaits it.
    fn end(&self, ended: Ended) {
        let mut inner = self.lock();
        if inner.is_forsaken || matches!(inner.stands, Stands::Over) {
            drop(inner);
            return dropped("a value that nobody asked for", ended);
        }
        inner.stands = Stands::Ended(ended);
        let awaiter = inner.awaiter.take();
        drop(inner);
        if let Some(awaiter) = awaiter {
            awaiter.wake();
        }
    }
}

impl Carried {
    /// Carries a run on.
    pub(crate) fn new(tokio: &Handle, running: Running) -> Self {
        let (scope, place) = (Arc::clone(running.scope()), running.place());
        // The flow ends after it, also if it is dropped in the middle of being polled.
        scope.enter();
        let inner = Inner {
            stands: Stands::Waiting(running),
            awaiter: None,
            is_forsaken: false,
        };
        let shared = Arc::new(Shared {
            scope,
            place,
            inner: Mutex::new(inner),
        });
        let carrier = Carrier {
            shared: Arc::clone(&shared),
        };
        let carrier = tokio.spawn(carrier).abort_handle();
        Self { shared, carrier }
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.shared.scope
    }

    pub(crate) fn place(&self) -> NodeRef {
        self.shared.place
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Ended> {
        let mut inner = self.shared.lock();
        match mem::replace(&mut inner.stands, Stands::Over) {
            Stands::Ended(ended) => Poll::Ready(ended),
            stands => {
                inner.stands = stands;
                match &mut inner.awaiter {
                    Some(awaiter) => awaiter.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let stands = {
            let mut inner = self.shared.lock();
            inner.is_forsaken = true;
            // It may hold one that holds one: where that goes deep, it is dropped by its carrier.
            if is_deep() && matches!(inner.stands, Stands::Waiting(_)) {
                None
            } else {
                Some(mem::replace(&mut inner.stands, Stands::Over))
            }
        };
        // What it runs when it is dropped is the user's.
        descend(|| drop(stands));
        self.carrier.abort();
    }
}

/// Polls a run on.
struct Carrier {
    shared: Arc<Shared>,
}

impl Future for Carrier {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        let stands = mem::replace(&mut shared.lock().stands, Stands::Polled);
        let Stands::Waiting(mut running) = stands else {
            shared.lock().stands = stands;
            return Poll::Ready(());
        };
        // What called it may be stopped since, and is polled no more: it drops this soon.
        if let Poll::Ready(ended) = running.poll_alone(cx) {
            if let Some(ended) = ended {
                shared.end(ended);
            }
            return Poll::Ready(());
        }
        let mut inner = shared.lock();
        if matches!(inner.stands, Stands::Over) {
            drop(inner);
            drop(running);
            return Poll::Ready(());
        }
        inner.stands = Stands::Waiting(running);
        Poll::Pending
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        match mem::replace(&mut inner.stands, Stands::Polled) {
            // The tokio runtime ends before the run does.
            Stands::Waiting(mut running) => {
                drop(inner);
                if let Some(ended) = running.abandon() {
                    self.shared.end(ended);
                }
            }
            // What polled it panicked, which is a bug of ours.
            Stands::Polled => {
                drop(inner);
                self.shared.end(Err(no_output()));
            }
            stands => inner.stands = stands,
        }
        self.shared.scope.leave();
    }
}
