//! Named limits of concurrency: slots that are given out in the order in which they were asked for.
//!
//! The line is strict: a heavy waiter at its head is not overtaken by light ones, and a newcomer does not overtake anybody. Whoever
//! frees a slot hands it over to the head of the line and wakes nobody else.

mod slots;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use slots::{Limits, SlotSet};

use crate::error::{Error, ErrorKind};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A number of slots, of which each task run takes one or more while it runs.
pub(crate) struct Limit {
    name: Arc<str>,
    capacity: u32,
    line: Mutex<Line>,
}

/// Every unit of the capacity is at one place: here in `free`, or in a guard. What is in use is what is not free; no second count
/// could drift away from it.
struct Line {
    free: u32,
    /// The ticket of the next one to join; tickets grow, so the lowest has waited longest.
    next_ticket: u64,
    /// Who waits. The first of them does not fit into `free`, or it would not wait.
    waiters: BTreeMap<u64, Waiter>,
}

struct Waiter {
    weight: u32,
    waker: Waker,
}

impl Line {
    /// Hands what is free over to the head of the line, as long as it fits, and says whom to wake once the lock is released.
    fn hand_over(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(first) = self.waiters.first_entry() {
            let weight = first.get().weight;
            if weight > self.free {
                break;
            }
            self.free -= weight;
            woken.push(first.remove().waker);
        }
        woken
    }
}

impl Limit {
    /// A limit of `capacity` slots, all of them free.
    pub(crate) fn new(name: impl Into<Arc<str>>, capacity: u32) -> Result<Arc<Self>, Error> {
        let name = name.into();
        if capacity == 0 {
            let detail = format!(
                "the limit `{name}` has no slots, so whoever needs one would wait forever: give it at least 1"
            );
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        let line = Line {
            free: capacity,
            next_ticket: 0,
            waiters: BTreeMap::new(),
        };
        Ok(Arc::new(Self {
            name,
            capacity,
            line: Mutex::new(line),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How much of the capacity is held by guards.
    pub(crate) fn in_use(&self) -> u32 {
        self.capacity - self.lock().free
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiters.len()
    }

    /// A future of a slot that weighs `weight`. It joins the line when it is first polled.
    ///
    /// A weight over the capacity is cut to it, so that nothing waits forever; [`Limits::slots`] refuses it beforehand.
    pub(crate) fn acquire(self: &Arc<Self>, weight: u32) -> Acquire {
        Acquire {
            limit: Arc::clone(self),
            weight: weight.min(self.capacity),
            ticket: None,
        }
    }

    /// Takes back what a guard held.
    fn give_back(&self, weight: u32) {
        let mut line = self.lock();
        line.free += weight;
        if cfg!(flowkit_fault = "slot-given-back-twice") {
            line.free = line.free.saturating_add(weight).min(self.capacity);
        }
        let woken = line.hand_over();
        drop(line);
        wake(woken);
    }
}

/// Only ever called without the lock: a waker runs foreign code.
fn wake(mut woken: Vec<Waker>) {
    if cfg!(flowkit_fault = "waiter-not-woken") {
        woken.clear();
    }
    for waker in woken {
        waker.wake();
    }
}

/// Waits for a slot. Dropped before it is ready, it leaves the line.
///
/// Once it has given a slot, it asks for another one if it is polled again.
#[must_use = "a slot is asked for when this is polled"]
pub(crate) struct Acquire {
    limit: Arc<Limit>,
    weight: u32,
    /// Its place in the line. A ticket that the line does not know any more has been handed its weight: then this future is the
    /// guard of it, until it is polled or dropped.
    ticket: Option<u64>,
}

impl Acquire {
    /// Whether it was handed a slot, and not polled since.
    pub(crate) fn is_given(&self) -> bool {
        let waiters = &self.limit.lock().waiters;
        self.ticket.is_some_and(|ticket| !waiters.contains_key(&ticket))
    }

    pub(crate) fn poll_acquire(&mut self, cx: &Context<'_>) -> Poll<Slot> {
        let mut line = self.limit.lock();
        match self.ticket {
            None if line.waiters.is_empty() && self.weight <= line.free => line.free -= self.weight,
            None => {
                let ticket = line.next_ticket;
                line.next_ticket += 1;
                let waiter = Waiter {
                    weight: self.weight,
                    waker: cx.waker().clone(),
                };
                line.waiters.insert(ticket, waiter);
                self.ticket = Some(ticket);
                return Poll::Pending;
            }
            Some(ticket) => {
                if let Some(waiter) = line.waiters.get_mut(&ticket) {
                    if !waiter.waker.will_wake(cx.waker()) {
                        let stale = std::mem::replace(&mut waiter.waker, cx.waker().clone());
                        drop(line);
                        drop(stale);
                    }
                    return Poll::Pending;
                }
            }
        }
        drop(line);
        self.ticket = None;
        Poll::Ready(Slot {
            limit: Arc::clone(&self.limit),
            weight: self.weight,
        })
    }
}

impl Future for Acquire {
    type Output = Slot;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Slot> {
        self.poll_acquire(cx)
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let mut line = self.limit.lock();
        let left = line.waiters.remove(&ticket);
        if left.is_none() && !cfg!(flowkit_fault = "slot-lost-in-the-hand-over") {
            line.free += self.weight;
        }
        // Also if it only left: it may have been the heavy one that held up the others.
        let woken = line.hand_over();
        drop(line);
        drop(left);
        wake(woken);
    }
}

/// What a task run holds while it runs. Dropped, it goes to the head of the line.
#[must_use = "a slot that is dropped is given back"]
pub(crate) struct Slot {
    limit: Arc<Limit>,
    weight: u32,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limit.give_back(self.weight);
    }
}

#[cfg(test)]
#[cfg(flowkit_shuttle)]
mod interleavings;
#[cfg(test)]
mod tests;
