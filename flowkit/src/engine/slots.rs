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
    /// Parts of the body that wait for something else than these slots: while there are any, the body does not work.
    waiting: usize,
    /// Parts of the body that have waited, and are on their way back to work.
    returning: usize,
    /// Of those, whom to wake. The set itself wakes only the last of them that asked.
    wakers: Vec<Waker>,
}

impl RunSlots {
    /// The slots that a run needs, none of them acquired.
    pub(crate) fn new(set: SlotSet) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Held {
            set,
            working: false,
            waiting: 0,
            returning: 0,
            wakers: Vec::new(),
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
            Poll::Ready(()) => std::mem::take(&mut held.wakers),
            Poll::Pending => {
                if !held.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    held.wakers.push(cx.waker().clone());
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
        let others = std::mem::take(&mut held.wakers);
        drop(held);
        others.into_iter().for_each(Waker::wake);
    }

    /// The body was polled and is not done: gives back what is held if a part of it waits. Another part, which came back to work
    /// in this poll, took the slots again, and nobody polls the one that waits to give them back. Or there are slots for one that is on its way back and was not polled for
    /// them, as it may never be again: it gets in line anew if it is.
    pub(crate) fn after_poll(&self) {
        let mut held = self.lock();
        held.yield_slots();
        if held.waiting == 0 || held.returning == 0 || !held.set.is_left() {
            return;
        }
        held.set.release();
        let others = std::mem::take(&mut held.wakers);
        drop(held);
        others.into_iter().for_each(Waker::wake);
    }

    /// A part of the body begins to wait.
    fn begin_wait(&self) {
        let mut held = self.lock();
        held.waiting += 1;
        held.yield_slots();
    }

    /// A part of the body has waited, and wants to go on.
    fn begin_return(&self) {
        let mut held = self.lock();
        held.waiting = held.waiting.saturating_sub(1);
        held.returning += 1;
    }

    /// A part of the body goes on.
    fn end_return(&self) {
        let mut held = self.lock();
        held.returning = held.returning.saturating_sub(1);
    }

    /// A part of the body stopped waiting without having been let back in: the run gets in line all the same, since what is left
    /// of the body goes on, unless another part still waits.
    fn rejoin(&self, was_returning: bool) {
        let mut held = self.lock();
        let count = if was_returning {
            &mut held.returning
        } else {
            &mut held.waiting
        };
        *count = count.saturating_sub(1);
        let others = std::mem::take(&mut held.wakers);
        if held.working && held.returning == 0 && held.waiting == 0 {
            // Nobody polls for it; what is handed over is held from then on.
            let _ = held
                .set
                .poll_acquire(&task::Context::from_waker(noop_waker_ref()));
        }
        drop(held);
        others.into_iter().for_each(Waker::wake);
    }
}

impl Held {
    /// Gives back what is held if a part of the body waits, unless another is on its way back to work.
    fn yield_slots(&mut self) {
        if self.waiting > 0 && self.returning == 0 && !cfg!(flowkit_fault = "slots-held-while-waiting") {
            self.set.release();
        }
    }
}

/// Where one wait of a body stands with the slots of its run.
#[derive(Default)]
struct Yielded {
    /// Those that were given back for it.
    slots: Option<Arc<RunSlots>>,
    /// Whether the wait is over, and the slots are asked for.
    returning: bool,
}

impl Yielded {
    /// The wait is not over: the run works no more, until it is.
    fn pending(&mut self) {
        if self.slots.is_none() {
            self.slots = context::current_slots();
            if let Some(slots) = &self.slots {
                slots.begin_wait();
            }
        }
    }

    /// The wait is over: ready once the run may work again.
    fn poll_return(&mut self, cx: &task::Context<'_>) -> Poll<()> {
        if let Some(slots) = &self.slots {
            if !std::mem::replace(&mut self.returning, true) {
                slots.begin_return();
            }
            ready!(slots.poll_return(cx));
            slots.end_return();
            self.returning = false;
            self.slots = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Yielded {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            slots.rejoin(self.returning);
        }
    }
}

/// A wait that is polled: its outcome is kept until the run may work again.
pub(crate) struct Wait<T> {
    outcome: Option<T>,
    yielded: Yielded,
}

impl<T> Default for Wait<T> {
    fn default() -> Self {
        Self {
            outcome: None,
            yielded: Yielded::default(),
        }
    }
}

impl<T> Wait<T> {
    /// Ready with the outcome of `wait` once the run may go on with it; `wait` is polled until it is over, and not again.
    pub(crate) fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        wait: impl FnOnce(&mut task::Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.outcome.is_none() {
            match wait(cx) {
                Poll::Ready(outcome) => self.outcome = Some(outcome),
                Poll::Pending => {
                    self.yielded.pending();
                    return Poll::Pending;
                }
            }
        }
        ready!(self.yielded.poll_return(cx));
        self.outcome.take().map_or(Poll::Pending, Poll::Ready)
    }
}

pin_project! {
    /// A future that holds no slot while it waits.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct WithoutSlots<F: Future> {
        #[pin]
        future: F,
        wait: Wait<F::Output>,
    }
}

/// `future`, which holds no slot of the run that awaits it.
pub(crate) fn without_slots<F: Future>(future: F) -> WithoutSlots<F> {
    WithoutSlots {
        future,
        wait: Wait::default(),
    }
}

impl<F: Future> Future for WithoutSlots<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.wait.poll(cx, |cx| this.future.poll(cx))
    }
}
