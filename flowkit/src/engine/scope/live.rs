//! What lives in a flow run: how much of it has not ended, and the ways to stop it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use flowkit_cache::SecretKey;

use super::Scope;
use crate::engine::memo::Memo;
use crate::error::Error;
use crate::graph::{Control, NodeKind};
use crate::ids::NodeRef;
use crate::journaling::calls::Calls;
use crate::secret_key::ProcessKey;
use crate::state::State;

/// In the count of runs: somebody waits until there are none.
const AWAITED: usize = 1 << (usize::BITS - 1);

/// Somebody waits for the end of what a run called.
struct Draining<'a>(&'a AtomicUsize);

impl<'a> Draining<'a> {
    fn begin(draining: &'a AtomicUsize) -> Self {
        draining.fetch_add(1, Ordering::AcqRel);
        Self(draining)
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Scope {
    /// Counts a submitted run in.
    pub(crate) fn enter(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a submitted run out, after its end was recorded.
    pub(crate) fn leave(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == AWAITED + 1 {
            self.drained.notify_waiters();
        }
    }

    /// Tells who waits for the end of what they called that something has ended.
    pub(super) fn tell_draining(&self) {
        if self.draining.load(Ordering::Acquire) > 0 {
            self.left.notify_waiters();
        }
    }

    fn beside(&self) -> MutexGuard<'_, Vec<NodeRef>> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins something beside its body.
    pub(crate) fn begin_beside(&self, place: NodeRef) {
        self.beside().push(place);
    }

    /// It ends.
    pub(crate) fn end_beside(&self, place: NodeRef) {
        let mut beside = self.beside();
        if let Some(index) = beside.iter().position(|known| *known == place) {
            beside.swap_remove(index);
        }
        drop(beside);
        self.tell_draining();
    }

    /// Whether nothing that was submitted lives any more.
    pub(crate) fn is_drained(&self) -> bool {
        self.live.load(Ordering::Acquire) & !AWAITED == 0
    }

    /// Returns when nothing that was submitted lives any more.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            let live = self.live.fetch_or(AWAITED, Ordering::AcqRel) & !AWAITED;
            if live == 0 || cfg!(flowkit_fault = "flow-not-waited-for") {
                return;
            }
            drained.await;
        }
    }

    /// Whether anything that a run called, itself or by what it called, has not ended, or anything that these began beside their bodies.
    pub(crate) fn has_live_descendants(&self, place: NodeRef) -> bool {
        let beside = self.beside().clone();
        let graph = self.graph();
        let is_below = |run: NodeRef| {
            let callers = std::iter::successors(Some(run), |run| match run.index() {
                Some(_) => Some(NodeRef::node(run.node)),
                None => graph.node(*run)?.parent(),
            });
            callers.into_iter().any(|caller| caller == place)
        };
        graph.node(place).is_some_and(|node| node.has_children)
            && (!graph.live_descendants(place).is_empty() || beside.into_iter().any(is_below))
            && !cfg!(flowkit_fault = "attempts-overlap")
    }

    /// Returns when nothing that a run called lives any more.
    pub(crate) async fn descendants_drained(&self, place: NodeRef) {
        // Who ends from here on says so.
        let _draining = Draining::begin(&self.draining);
        loop {
            let left = self.left.notified();
            if !self.has_live_descendants(place) {
                return;
            }
            left.await;
        }
    }

    /// Notes how a run is stopped; stops it at once if it came too late.
    pub(crate) fn set_control(&self, place: NodeRef, control: Control) {
        let too_late = {
            let mut graph = self.graph();
            match graph.node(place) {
                Some(node) if !node.record.state.is_terminal() => graph.set_control(place, control),
                _ => return,
            }
            self.is_closed()
        };
        if too_late {
            self.stop(place);
        }
    }

    /// Whether somebody stopped a run that drives itself. While nothing was ever stopped, this is a look at a flag.
    pub(crate) fn is_stopped(&self, place: NodeRef) -> bool {
        self.stops.load(Ordering::Acquire) && self.graph().node(place).is_some_and(|node| node.stopped)
    }

    /// A run that drives itself waits for the first time: it is woken when it is stopped. Whether it has been already.
    pub(crate) fn wait_stoppable(&self, place: NodeRef, waker: &Waker) -> bool {
        let mut graph = self.graph();
        let Some(node) = graph.node(place) else {
            return false;
        };
        if node.stopped || self.is_closed() {
            return true;
        }
        graph.set_control(place, Control::Wake(waker.clone()));
        false
    }

    /// Stops one run and what it called.
    pub(crate) fn stop(&self, place: NodeRef) {
        self.stop_all(&[place.node]);
    }

    /// Stops what a run called, after it failed or was cancelled itself.
    pub(crate) fn stop_descendants(&self, place: NodeRef) {
        let descendants = {
            let graph = self.graph();
            if !graph.node(place).is_some_and(|node| node.has_children)
                || cfg!(flowkit_fault = "descendants-not-stopped")
            {
                return;
            }
            graph.live_descendants(place)
        };
        self.stop_all(&descendants);
    }

    /// Stops nodes, without the lock: what is stopped may want to record its end.
    pub(super) fn stop_all(&self, nodes: &[u32]) {
        let mut subflows = self.stop_nodes(nodes);
        // One after another, however deep they are in each other.
        while let Some(subflow) = subflows.pop() {
            subflow.announce_cancel();
            subflows.extend(subflow.close_nodes());
        }
    }

    /// The same without the subflows that nodes stand for, which it gives.
    fn stop_nodes(&self, nodes: &[u32]) -> Vec<Arc<Self>> {
        let mut subflows = Vec::new();
        for &node in nodes {
            let (control, subflow) = {
                let mut graph = self.graph();
                let place = NodeRef::node(node);
                match graph.node_mut(place) {
                    Some(node)
                        if cfg!(flowkit_fault = "retry-after-a-cancel")
                            && node.record.state == State::AwaitingRetry =>
                    {
                        continue;
                    }
                    Some(node) => {
                        node.stopped = true;
                        self.stops.store(true, Ordering::Release);
                        let subflow = match node.kind() {
                            NodeKind::Subflow(scope) => Some(Arc::clone(scope)),
                            NodeKind::Task | NodeKind::FanOut(_) => None,
                        };
                        (graph.take_control(place), subflow)
                    }
                    None => continue,
                }
            };
            control.into_iter().for_each(Control::cancel);
            subflows.extend(subflow);
        }
        subflows
    }

    /// Cancels the run: its body is dropped at its next await, and what it submitted is stopped.
    pub(crate) fn cancel(&self) {
        self.announce_cancel();
        self.stop_live();
    }

    fn announce_cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.cancel.notify_waiters();
    }

    /// Ends the run with this error, since it cannot go on: its body is dropped, and what it submitted is stopped.
    pub(crate) fn stall(&self, stalled: Error) {
        // The first reason is as good as any.
        let _ = self.stalled.set(stalled);
        self.cancel();
    }

    /// Why it was ended, if it could not go on.
    pub(crate) fn stalled(&self) -> Option<&Error> {
        self.stalled.get()
    }

    /// Refuses what is submitted from now on, and stops what lives.
    pub(crate) fn stop_live(&self) {
        let live = self.close();
        self.stop_all(&live);
    }

    /// The same without the subflows in it, which it gives.
    fn close_nodes(&self) -> Vec<Arc<Self>> {
        let live = self.close();
        self.stop_nodes(&live)
    }

    /// Refuses what is submitted from now on, and gives what lives.
    fn close(&self) -> Vec<u32> {
        self.closed.store(true, Ordering::Release);
        let graph = self.graph();
        let live = (0u32..)
            .zip(&graph.nodes)
            .filter(|(_, node)| !node.record.state.is_terminal());
        live.map(|(index, _)| index).collect()
    }

    /// Takes runs again, for another attempt. What failed in the last one is that attempt's failure, and nobody else's.
    pub(crate) fn reopen(&self) {
        self.graph().observe_all();
        if let Some(memo) = self.memo() {
            memo.begin_attempt();
        }
        if let Some(calls) = self.calls() {
            calls.begin_attempt();
        }
        self.closed.store(false, Ordering::Release);
        // A cancel that came in between found it closed, and is not to find it open.
        if self.is_cancelled() {
            self.stop_live();
        }
    }

    /// What its runs returned in earlier attempts, if there may be more than one.
    pub(crate) fn memo(&self) -> Option<&Arc<Memo>> {
        self.memo.get()
    }

    /// Remembers what its runs return; only the first memo counts.
    pub(crate) fn set_memo(&self, memo: Arc<Memo>) {
        // A flow run has one memo from its beginning to its end.
        let _ = self.memo.set(memo);
    }

    /// What secrets are hashed with, so that a call is known again: by a later life, or by an attempt in this process.
    pub(crate) fn key_of_secrets(&self) -> Arc<dyn SecretKey> {
        match self.life {
            Some(_) => self.runtime.secrets(),
            None => Arc::new(ProcessKey),
        }
    }

    /// The calls of its own body, where they must be known again: by the journal, or by another attempt.
    pub(crate) fn calls(&self) -> Option<&Arc<Calls>> {
        self.calls.get()
    }

    /// Says which calls its body makes; only the first counts.
    pub(crate) fn set_calls(&self, calls: Calls) {
        // A flow run is one call; another attempt of it is the same.
        let _ = self.calls.set(Arc::new(calls));
    }

    /// Whether nothing new may begin.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether somebody asked for its end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Returns when the run is cancelled.
    pub(crate) async fn cancelled(&self) {
        loop {
            let mut cancel = pin!(self.cancel.notified());
            // Polled again by who was to be woken anyway, it asks only the flag, and takes no lock.
            let mut woken: Option<Waker> = None;
            let woken = poll_fn(|cx| {
                if self.is_cancelled() {
                    return Poll::Ready(());
                }
                if woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    return Poll::Pending;
                }
                woken = Some(cx.waker().clone());
                cancel.as_mut().poll(cx)
            });
            woken.await;
            if self.is_cancelled() {
                return;
            }
        }
    }
}
