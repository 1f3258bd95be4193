//! The slots of one run while it has an attempt: held while its body works, given back while the body waits for another
//! run, and taken again before it goes on.
//!
//! So waiting holds nothing, and a tree of nested runs finishes at a limit of 1. A body that waits for several runs at once
//! counts as waiting as soon as it waits for one of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Waker, ready};

use futures::task::noop_waker_ref;
use pin_project_lite::pin_project;

use crate::context;
use crate::limit::SlotSet;

/// What one run holds.
pub(crate) struct RunSlots(Mutex<Held>);

struct Held {
    set: SlotSet,
    /// Whether an attempt is under way. Outside of one nothing is taken, whoever may still hold a piece of its body.
    working: bool,
    /// Parts of the body that wait to go on. The set itself wakes only the last of them that asked.
    returning: Vec<Waker>,
}

impl RunSlots {
    /// The slots that a run needs, none of them acquired.
    pub(crate) fn new(set: SlotSet) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Held {
            set,
            working: false,
            returning: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready once all slots are held: an attempt may begin.
    pub(crate) fn poll_begin(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        ready!(held.set.poll_acquire(cx));
        held.working = true;
        Poll::Ready(())
    }

    /// Ready once all slots are held again, at once if they are already or the attempt is over.
    fn poll_return(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        if !held.working {
            return Poll::Ready(());
        }
        let acquired = held.set.poll_acquire(cx);
        let others = match acquired {
            Poll::Ready(()) => std::mem::take(&mut held.returning),
            Poll::Pending => {
                if !held.returning.iter().any(|waker| waker.will_wake(cx.waker())) {
                    held.returning.push(cx.waker().clone());
                }
                Vec::new()
            }
        };
        drop(held);
        others.into_iter().for_each(Waker::wake);
        acquired
    }

    /// Gives everything back: the attempt is over.
    pub(crate) fn release(&self) {
        let mut held = self.lock();
        held.working = false;
        held.set.release();
        let others = std::mem::take(&mut held.returning);
        drop(held);
        others.into_iter().for_each(Waker::wake);
    }

    /// Gives back what is held, unless some part of the body is on its way back to work.
    fn yield_slots(&self) {
        let mut held = self.lock();
        // Without anybody on the way back, a place in line is one that `rejoin` took: it is given up too.
        if held.set.is_held() || held.returning.is_empty() {
            held.set.release();
        }
    }

    /// A part of the body stopped waiting without having been let back in: the run gets in line all the same, since what is left
    /// of the body goes on.
    fn rejoin(&self) {
        let mut held = self.lock();
        let others = std::mem::take(&mut held.returning);
        if others.is_empty() && held.working {
            // Nobody polls for it; what is handed over is held from then on.
            let _ = held
                .set
                .poll_acquire(&task::Context::from_waker(noop_waker_ref()));
        }
        drop(held);
        others.into_iter().for_each(Waker::wake);
    }
}

/// Where one wait of a body stands with the slots of its run.
#[derive(Default)]
pub(crate) struct Yielded {
    /// Those that were given back for it.
    slots: Option<Arc<RunSlots>>,
}

impl Yielded {
    /// The wait is not over: the run works no more, until it is.
    pub(crate) fn pending(&mut self) {
        if self.slots.is_none() {
            self.slots = context::current_slots();
        }
        if let Some(slots) = &self.slots {
            slots.yield_slots();
        }
    }

    /// The wait is over: ready once the run may work again.
    pub(crate) fn poll_return(&mut self, cx: &task::Context<'_>) -> Poll<()> {
        if let Some(slots) = &self.slots {
            ready!(slots.poll_return(cx));
            self.slots = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Yielded {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            slots.rejoin();
        }
    }
}

pin_project! {
    /// A future that holds no slot while it waits.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct WithoutSlots<F: Future> {
        #[pin]
        future: F,
        outcome: Option<F::Output>,
        yielded: Yielded,
    }
}

/// `future`, which holds no slot of the run that awaits it.
pub(crate) fn without_slots<F: Future>(future: F) -> WithoutSlots<F> {
    WithoutSlots {
        future,
        outcome: None,
        yielded: Yielded::default(),
    }
}

impl<F: Future> Future for WithoutSlots<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.outcome.is_none() {
            match this.future.poll(cx) {
                Poll::Ready(outcome) => *this.outcome = Some(outcome),
                Poll::Pending => {
                    this.yielded.pending();
                    return Poll::Pending;
                }
            }
        }
        ready!(this.yielded.poll_return(cx));
        match this.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}
