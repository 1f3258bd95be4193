//! What the lanes of a fan-out and its handles share: the outcome of each item, and who waits for which.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::task::AbortHandle;

use super::lanes::Signal;
use super::outcomes::{AnyOutcomes, ItemOutcomes, Standing};
use crate::call::AnyCall;
use crate::completion::{Given, Outcome};
use crate::context::RunContext;
use crate::definition::Definition;
use crate::engine::scope::{Change, Scope};
use crate::error::Error;
use crate::ids::NodeRef;
use crate::job::{Ended, no_output};
use crate::panics::dropped;
use crate::state::State;
use crate::transaction::Member;

/// Stands for the whole fan-out where an index is asked for: done when every item has ended.
pub(crate) const WHOLE: u32 = u32::MAX;
/// Stands for any item: done whenever one more has ended.
pub(crate) const ANY: u32 = u32::MAX - 1;

/// The calls that have not begun.
pub(crate) type Calls = Box<dyn Iterator<Item = AnyCall> + Send>;

/// One fan-out.
pub(crate) struct SharedFanOut {
    pub(crate) scope: Arc<Scope>,
    pub(crate) node: NodeRef,
    pub(crate) definition: &'static Definition,
    /// The context that items begin in: the one the fan-out was submitted from.
    pub(crate) caller: RunContext,
    pub(crate) concurrency: usize,
    pub(crate) calls: Mutex<Option<Calls>>,
    state: Mutex<Items>,
    pub(super) cancelled: AtomicBool,
    /// Whether others than its owner may ask for values, which the owner then leaves in place.
    is_shared: AtomicBool,
    /// Its place in the transaction that it was submitted in, until it ends: between two items that is all that says that it goes on.
    member: Mutex<Option<Member>>,
}

pub(super) struct Items {
    pub(super) outcomes: Box<dyn AnyOutcomes>,
    /// The indexes in the order in which items ended.
    pub(super) ended: Vec<u32>,
    /// How many calls were taken from the iterator.
    pub(super) taken: u32,
    pub(super) exhausted: bool,
    pub(super) closed: bool,
    /// Why the iterator itself gave up.
    pub(super) broken: Option<Error>,
    /// Whether items that were announced and never made have that error for their outcome.
    pub(super) broken_in_items: bool,
    /// In order: they are stopped in the same order each time.
    pub(super) lanes: BTreeMap<u64, Lane>,
    next_lane: u64,
    pub(super) waiters: BTreeMap<(u32, u64), Waker>,
    pub(super) next_waiter: u64,
}

/// What is known of a lane from outside.
pub(super) struct Lane {
    /// None until it was spawned.
    pub(super) task: Option<AbortHandle>,
    /// The item that it runs.
    pub(super) item: Option<u32>,
    pub(super) signal: Arc<Signal>,
}

/// How the items before an index ended.
pub(crate) enum Prefix {
    /// All of them, and there are no more, with values.
    Complete,
    /// One failed.
    Failed(Error),
    /// This one is still open.
    OpenAt(u32),
}

impl SharedFanOut {
    pub(crate) fn new(
        scope: Arc<Scope>,
        node: NodeRef,
        definition: &'static Definition,
        caller: RunContext,
        concurrency: usize,
        calls: Option<Calls>,
        outcomes: Box<dyn AnyOutcomes>,
    ) -> Self {
        let known = outcomes.len();
        let group = caller.around().transaction.as_ref();
        let member = group.map(|group| group.enter(&scope, node));
        Self {
            scope,
            node,
            definition,
            caller,
            concurrency,
            calls: Mutex::new(calls),
            state: Mutex::new(Items {
                outcomes,
                ended: Vec::with_capacity(known),
                taken: 0,
                exhausted: false,
                closed: false,
                broken: None,
                broken_in_items: false,
                lanes: BTreeMap::new(),
                next_lane: 0,
                waiters: BTreeMap::new(),
                next_waiter: 0,
            }),
            cancelled: AtomicBool::new(false),
            is_shared: AtomicBool::new(false),
            member: Mutex::new(member),
        }
    }

    /// The same fan-out, for somebody else who wants its values.
    pub(super) fn shared(self: &Arc<Self>) -> Arc<Self> {
        self.is_shared.store(true, Ordering::Release);
        Arc::clone(self)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Items> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the calls that have not begun.
    pub(super) fn drop_calls(&self) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        dropped("a call that has not begun", calls);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire) || self.scope.is_closed()
    }

    /// The index of a call that has just come from a stream; none if the fan-out was cancelled meanwhile.
    pub(super) fn take_next(&self, lane: u64) -> Option<u32> {
        if self.lock().exhausted {
            return None;
        }
        Some(self.take_index(lane).0)
    }

    /// The index of a call that a lane has just taken from the iterator, and whether it is to be run: it may have been
    /// cancelled before its turn came.
    pub(crate) fn take_index(&self, lane: u64) -> (u32, bool) {
        let mut items = self.lock();
        let index = items.taken;
        items.taken = index.saturating_add(1);
        if items.outcomes.len() <= index as usize {
            items.outcomes.push();
        }
        if let Some(lane) = items.lanes.get_mut(&lane) {
            lane.item = Some(index);
        }
        (index, items.is_open(index))
    }

    /// Sets the outcome of an item.
    pub(crate) fn complete(&self, index: u32, mut ended: Ended) {
        let close = {
            let mut items = self.lock();
            if !items.is_open(index) {
                drop(items);
                return dropped("a value that came too late", ended);
            }
            match &mut ended {
                // The job itself is dropped after the lock: what it has is the user's.
                Ok(job) => items.outcomes.put(index, job.as_mut().output_mut()),
                Err(error) => items.outcomes.fail(index, error.clone()),
            }
            items.ended.push(index);
            items.closes()
        };
        self.after_end(close, Some(index));
    }

    /// Records the end of the whole, and wakes who waits for what has just ended.
    pub(super) fn after_end(&self, close: bool, index: Option<u32>) {
        if close {
            let (state, error) = self.final_state();
            let change = Change {
                attempt: 1,
                error: error.as_ref(),
                observed: false,
                ..Change::default()
            };
            if self.scope.state_of(self.node) == State::Pending {
                self.scope.change(
                    self.node,
                    State::Running,
                    &Change {
                        attempt: 1,
                        ..Change::default()
                    },
                );
            }
            self.scope.change(self.node, state, &change);
        }
        let wakers = {
            let mut items = self.lock();
            let mut wakers = items.take_waiters(ANY);
            match index {
                Some(index) => wakers.extend(items.take_waiters(index)),
                // The number of items has become known: who waits for one that is not there must learn it.
                None => wakers.extend(std::mem::take(&mut items.waiters).into_values()),
            }
            if close {
                wakers.extend(std::mem::take(&mut items.waiters).into_values());
            }
            wakers
        };
        for waker in wakers {
            waker.wake();
        }
        if close {
            drop(self.member.lock().unwrap_or_else(PoisonError::into_inner).take());
            self.scope.leave();
        }
    }

    fn final_state(&self) -> (State, Option<Error>) {
        let items = self.lock();
        if let Some(broken) = &items.broken {
            return (State::of_error(broken), Some(broken.clone()));
        }
        if self.cancelled.load(Ordering::Acquire) || self.scope.is_closed() {
            return (State::Cancelled, None);
        }
        let failed = items.outcomes.has_failure();
        (if failed { State::Failed } else { State::Completed }, None)
    }

    // --- what owners ask ---

    /// How many items there are, as far as is known.
    pub(crate) fn len(&self) -> usize {
        self.lock().outcomes.len()
    }

    /// How the items from `from` on stand, in input order.
    pub(crate) fn prefix(&self, from: u32) -> Prefix {
        let items = self.lock();
        let mut index = from;
        loop {
            match items.outcomes.standing(index) {
                Some(Standing::Open) => return Prefix::OpenAt(index),
                Some(Standing::Failed(error)) => return Prefix::Failed(error.clone()),
                Some(Standing::Completed) => index += 1,
                None if !items.exhausted => return Prefix::OpenAt(index),
                None => {
                    return match &items.broken {
                        Some(error) => Prefix::Failed(error.clone()),
                        None => Prefix::Complete,
                    };
                }
            }
        }
    }

    /// All outcomes, in input order, once every item has ended. An only owner takes the values, others clone them.
    pub(crate) fn outcomes<T: Clone + 'static>(&self) -> Vec<Result<T, Error>> {
        let take = !self.is_shared.load(Ordering::Acquire);
        let mut items = self.lock();
        let broken = items.broken_alone();
        let outcome = |outcome: &mut Outcome<T>| match take {
            true => outcome.take().map(|taken| taken.map(Given::into_value)),
            false => outcome.copy(),
        };
        let mut outcomes: Vec<_> = match items.outcomes_of() {
            Ok(outcomes) => outcomes.iter_mut().filter_map(outcome).collect(),
            Err(error) => vec![Err(error)],
        };
        outcomes.extend(broken.map(Err));
        outcomes
    }

    /// The outcomes of the items that have ended, in input order, and this error in place of the others'.
    pub(crate) fn outcomes_so_far<T: Clone + 'static>(&self, error: &Error) -> Vec<Result<T, Error>> {
        let mut items = self.lock();
        let outcome = |outcome: &Outcome<T>| outcome.copy().unwrap_or_else(|| Err(error.clone()));
        match items.outcomes_of() {
            Ok(outcomes) => outcomes.iter().map(outcome).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    /// The `nth` item to end, and its outcome; none if not so many have ended. After the last comes what broke the
    /// iterator, if no item has it.
    pub(crate) fn nth_ended<T: Clone + 'static>(&self, nth: usize) -> Option<(u32, Result<T, Error>)> {
        let mut items = self.lock();
        let Some(&index) = items.ended.get(nth) else {
            let broken = items
                .broken_alone()
                .filter(|_| items.closed && nth == items.ended.len())?;
            return Some((u32::try_from(nth).unwrap_or(u32::MAX), Err(broken)));
        };
        match items.outcomes_of::<T>() {
            Ok(outcomes) => Some((index, outcomes.get(index as usize)?.copy()?)),
            Err(error) => Some((index, Err(error))),
        }
    }

    /// Whether every item has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Notes a lane that was spawned; stops it if it came too late.
    pub(crate) fn add_lane(&self, lane: u64, handle: AbortHandle) {
        if self.is_cancelled() {
            handle.abort();
            return;
        }
        // One that has ended meanwhile is not there any more.
        if let Some(lane) = self.lock().lanes.get_mut(&lane) {
            lane.task = Some(handle);
        }
    }

    /// The number of a lane that may begin, and how it is told to drop its item; none if there are enough.
    pub(crate) fn next_lane(&self, running: usize) -> Option<(u64, Arc<Signal>)> {
        let mut items = self.lock();
        if running >= self.concurrency || items.exhausted {
            return None;
        }
        items.next_lane += 1;
        let number = items.next_lane;
        let signal = Arc::<Signal>::default();
        let lane = Lane {
            task: None,
            item: None,
            signal: Arc::clone(&signal),
        };
        items.lanes.insert(number, lane);
        Some((number, signal))
    }

    pub(crate) fn end_lane(&self, lane: u64) {
        self.lock().lanes.remove(&lane);
    }
}

impl Items {
    /// Whether there is such an item, and it has not ended.
    pub(super) fn is_open(&self, index: u32) -> bool {
        matches!(self.outcomes.standing(index), Some(Standing::Open))
    }

    /// The outcomes of a fan-out whose items give a `T`, as those who ask for such know.
    ///
    /// # Errors
    /// When they give something else, which is a bug of ours.
    pub(super) fn outcomes_of<T: 'static>(&mut self) -> Result<&mut Vec<Outcome<T>>, Error> {
        let outcomes = self.outcomes.as_any().downcast_mut::<ItemOutcomes<T>>();
        outcomes.map(|outcomes| &mut outcomes.0).ok_or_else(no_output)
    }

    /// Why the iterator gave up, if that is the outcome of no item.
    fn broken_alone(&self) -> Option<Error> {
        self.broken.clone().filter(|_| !self.broken_in_items)
    }

    /// Whether the last item has just ended. True only once.
    pub(super) fn closes(&mut self) -> bool {
        let closes = self.exhausted && !self.closed && self.ended.len() == self.outcomes.len();
        self.closed |= closes;
        closes
    }

    fn take_waiters(&mut self, index: u32) -> Vec<Waker> {
        let keys: Vec<_> = self
            .waiters
            .range((index, 0)..=(index, u64::MAX))
            .map(|(key, _)| *key)
            .collect();
        keys.iter().filter_map(|key| self.waiters.remove(key)).collect()
    }

    pub(super) fn is_done(&self, index: u32) -> bool {
        match index {
            WHOLE => self.closed,
            index => match self.outcomes.standing(index) {
                Some(standing) => !matches!(standing, Standing::Open),
                None => self.exhausted,
            },
        }
    }
}
