//! The lanes of a fan-out: tokio tasks that each take the next call, run it, and take another.
//!
//! There are as many lanes as items may run at a time, started one by one as calls are taken, so a short fan-out
//! starts few and a long one costs a spawn only for its first items.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::outcomes::NewOutcomes;
use super::shared::{Calls, SharedFanOut};
use crate::call::{AnyCall, Running, no_tokio};
use crate::context::{self, Ambient, RunContext};
use crate::definition::{Definition, DefinitionKind};
use crate::engine::drive::Entrance;
use crate::engine::scope::{Change, NewRun, Scope};
use crate::engine::standalone;
use crate::error::{Error, ErrorKind};
use crate::event::EventKind;
use crate::graph::{Cancel, Control};
use crate::panics::{caught, dropped};
use crate::state::State;

/// The definition of a fan-out that has no call to name it.
const EMPTY: &Definition = &Definition::nameless("empty fan-out");

/// The most items that are entered before their turn comes.
const MOST_AHEAD: usize = 16 << 20;

/// Enters a fan-out in the graph of the running flow and starts it; outside any flow it is a run of its own.
pub(super) fn submit(calls: Calls, concurrency: usize, outcomes: NewOutcomes) -> Arc<SharedFanOut> {
    let (runtime, tags) = match context::current_or_default() {
        Ambient::Run(caller) => return submit_in(caller, calls, concurrency, outcomes, None),
        Ambient::Runtime(runtime, tags) => (runtime, tags),
    };
    let mut calls = calls.peekable();
    let definition = calls.peek().map_or(EMPTY, AnyCall::definition);
    let scope = Scope::new(&runtime, definition, None, Vec::new());
    let caller = scope.context(tags, 1);
    let refused = standalone::open(&scope).err();
    let fan_out = submit_in(caller, Box::new(calls), concurrency, outcomes, refused);
    standalone::close_when_drained(&scope, fan_out.node);
    fan_out
}

fn submit_in(
    caller: RunContext,
    calls: Calls,
    concurrency: usize,
    outcomes: NewOutcomes,
    refused: Option<Error>,
) -> Arc<SharedFanOut> {
    let mut calls = calls.peekable();
    let definition = calls.peek().map_or(EMPTY, AnyCall::definition);
    // A length that memory could not hold is taken as it comes, like one that is not known.
    let known = match calls.size_hint() {
        (lower, Some(upper)) if lower == upper && lower <= MOST_AHEAD => Some(lower),
        _ => None,
    };
    let calls: Calls = Box::new(calls);
    let fan_out = enter(definition, caller, Some(calls), known, concurrency, outcomes);
    begin(&fan_out, refused, start);
    fan_out
}

/// Enters a fan-out in the graph of its caller's flow run.
pub(super) fn enter(
    definition: &'static Definition,
    mut caller: RunContext,
    calls: Option<Calls>,
    known: Option<usize>,
    concurrency: usize,
    outcomes: NewOutcomes,
) -> Arc<SharedFanOut> {
    let scope = Arc::clone(&caller.scope);
    let node = scope.add(NewRun {
        definition,
        parent: caller.place,
        items: Some(known.unwrap_or(0)),
        name: None,
        tags: Vec::new(),
        edges: Vec::new(),
    });
    scope.journal_fan_out(node, definition, &mut caller);
    scope.enter();
    let items = known.and_then(|items| u64::try_from(items).ok());
    if let Some(name) = scope.watched_name(node) {
        scope.tell_now(EventKind::FanOutStarted {
            id: scope.task_run_id(node),
            name: &name,
            items,
        });
    }
    let known = known.unwrap_or(0);
    Arc::new(SharedFanOut::new(
        scope,
        node,
        definition,
        caller,
        concurrency,
        calls,
        outcomes(known),
    ))
}

/// Starts a fan-out with what runs its items, unless it is refused, or there is nothing to run it on, or its flow run is cancelled.
pub(super) fn begin(
    fan_out: &Arc<SharedFanOut>,
    refused: Option<Error>,
    start: impl FnOnce(&Arc<SharedFanOut>),
) {
    let no_tokio = || tokio::runtime::Handle::try_current().is_err().then(no_tokio);
    if let Some(refused) = refused.or_else(no_tokio) {
        fan_out.drop_calls();
        return fan_out.exhaust(Some(refused));
    }
    let control: Weak<dyn Cancel> = Arc::<SharedFanOut>::downgrade(fan_out);
    fan_out.scope.set_control(fan_out.node, Control::FanOut(control));
    if fan_out.is_cancelled() {
        Cancel::cancel(&**fan_out);
    } else {
        start(fan_out);
    }
}

/// Starts the first lane.
fn start(fan_out: &Arc<SharedFanOut>) {
    start_lane(fan_out, &Arc::new(AtomicUsize::new(0)));
}

/// Starts one more lane, if there may be one.
fn start_lane(fan_out: &Arc<SharedFanOut>, running: &Arc<AtomicUsize>) {
    let Some((lane, signal)) = fan_out.next_lane(running.load(Ordering::Relaxed)) else {
        return;
    };
    running.fetch_add(1, Ordering::Relaxed);
    let task = tokio::spawn(run_lane(Arc::clone(fan_out), Arc::clone(running), lane, signal));
    fan_out.add_lane(lane, task.abort_handle());
}

async fn run_lane(fan_out: Arc<SharedFanOut>, running: Arc<AtomicUsize>, lane: u64, signal: Arc<Signal>) {
    while let Some((index, call)) = {
        fan_out.scope.room_in_journal().await;
        next_call(&fan_out, lane)
    } {
        start_lane(&fan_out, &running);
        let Some(call) = call else { continue };
        Item::enter(&*fan_out, index, call).run(&signal).await;
        // Items that never wait would keep the other tasks of this worker waiting.
        tokio::task::coop::consume_budget().await;
    }
    fan_out.end_lane(lane);
}

/// The fan-out has its first item.
pub(super) fn note_running(fan_out: &SharedFanOut) {
    let change = Change {
        attempt: 1,
        ..Change::default()
    };
    fan_out.scope.change(fan_out.node, State::Running, &change);
}

/// What broke the source of a fan-out's calls.
pub(super) fn broken_by(fan_out: &SharedFanOut, what: &str, message: &str) -> Error {
    Error::new(
        ErrorKind::Crashed,
        DefinitionKind::Task,
        fan_out.definition.name(),
    )
    .in_task_run(fan_out.scope.task_run_id(fan_out.node))
    .detailed(format!("its {what} panicked: {message}"))
}

/// Takes the next call, which is none if its item was cancelled before its turn came. The iterator is the user's code: it runs in the context that the fan-out was submitted from, and
/// its panic ends the fan-out.
fn next_call(fan_out: &SharedFanOut, lane: u64) -> Option<(u32, Option<AnyCall>)> {
    let mut calls = fan_out.calls.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ambient = Some(Ambient::Run(fan_out.caller.clone()));
    let next = context::enter(&mut ambient, || {
        let calls = calls.as_mut()?;
        caught(|| calls.next()).transpose()
    });
    match next {
        Some(Ok(call)) => {
            let (index, runs) = fan_out.take_index(lane);
            if index == 0 {
                note_running(fan_out);
            }
            drop(calls);
            if runs {
                return Some((index, Some(call)));
            }
            dropped("a call that was cancelled", call);
            Some((index, None))
        }
        Some(Err(message)) => {
            let broken = calls.take();
            drop(calls);
            dropped("the iterator of a fan-out", broken);
            fan_out.exhaust(Some(broken_by(fan_out, "iterator", &message)));
            None
        }
        None => {
            let open = calls.take();
            drop(calls);
            if let Some(open) = open {
                dropped("the iterator of a fan-out", open);
                fan_out.exhaust(None);
            }
            None
        }
    }
}

/// Tells a lane to drop the item that it runs, and to go on with the next.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The item that was asked for: the lane may have gone on to another since.
    asked: AtomicU32,
    waker: AtomicWaker,
}

impl Default for Signal {
    fn default() -> Self {
        Self {
            asked: AtomicU32::new(u32::MAX),
            waker: AtomicWaker::new(),
        }
    }
}

impl Signal {
    /// Asks for an item that the lane runs.
    pub(super) fn ask(&self, item: u32) {
        self.asked.store(item, Ordering::Release);
        self.waker.wake();
    }

    fn is_asked(&self, item: u32) -> bool {
        self.asked.load(Ordering::Acquire) == item
    }

    fn poll_asked(&self, item: u32, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_asked(item) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// One item that runs: its outcome is set also when the lane is dropped.
pub(super) struct Item<F: Deref<Target = SharedFanOut>> {
    item: Running,
    fan_out: F,
    index: u32,
}

impl<F: Deref<Target = SharedFanOut>> Item<F> {
    /// Enters the item in the graph.
    pub(super) fn enter(fan_out: F, index: u32, call: AnyCall) -> Self {
        let entrance = Entrance::Item {
            node: fan_out.node,
            item: index,
        };
        let item = call.enter(fan_out.caller.clone(), entrance, false);
        Self { item, fan_out, index }
    }

    /// Runs the item to its end, or until the lane is told to drop it.
    pub(super) async fn run(mut self, signal: &Signal) {
        let ended = poll_fn(|cx| {
            if signal.is_asked(self.index) {
                return Poll::Ready(None);
            }
            match self.item.poll_run(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending => signal.poll_asked(self.index, cx).map(|()| None),
            }
        });
        if let Some(ended) = ended.await {
            self.fan_out.complete(self.index, ended);
        }
    }
}

impl<F: Deref<Target = SharedFanOut>> Drop for Item<F> {
    fn drop(&mut self) {
        if let Some(ended) = self.item.abandon() {
            self.fan_out.complete(self.index, ended);
        }
    }
}
