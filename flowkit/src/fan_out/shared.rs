//! What the lanes of a fan-out and its handles share: the outcome of each item, and who waits for which.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::task::AbortHandle;

use super::lanes::Signal;
use crate::call::TaskCall;
use crate::context::RunContext;
use crate::definition::Definition;
use crate::engine::scope::{Change, Scope};
use crate::error::Error;
use crate::ids::NodeRef;
use crate::state::State;
use crate::transaction::Member;

/// Stands for the whole fan-out where an index is asked for: done when every item has ended.
pub(crate) const WHOLE: u32 = u32::MAX;
/// Stands for any item: done whenever one more has ended.
pub(crate) const ANY: u32 = u32::MAX - 1;

/// The calls that have not begun.
pub(crate) type Calls<T> = Box<dyn Iterator<Item = TaskCall<T>> + Send>;

/// One fan-out.
pub(crate) struct SharedFanOut<T> {
    pub(crate) scope: Arc<Scope>,
    pub(crate) node: NodeRef,
    pub(crate) definition: &'static Definition,
    /// The context that items begin in: the one the fan-out was submitted from.
    pub(crate) caller: RunContext,
    pub(crate) concurrency: usize,
    pub(crate) calls: Mutex<Option<Calls<T>>>,
    state: Mutex<Items<T>>,
    pub(super) cancelled: AtomicBool,
    /// Whether others than its owner may ask for values, which the owner then leaves in place.
    is_shared: AtomicBool,
    /// Its place in the transaction that it was submitted in, until it ends: between two items that is all that says that it goes on.
    member: Mutex<Option<Member>>,
}

pub(super) struct Items<T> {
    pub(super) slots: Vec<Slot<T>>,
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

pub(super) enum Slot<T> {
    Open,
    Value(T),
    Shared(Arc<T>),
    Failed(Error),
    /// Taken by the owner of the fan-out.
    Taken,
}

impl<T> Slot<T> {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    pub(super) fn share(&mut self) -> Option<Result<Arc<T>, Error>> {
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

impl<T> SharedFanOut<T> {
    /// The same fan-out, for somebody else who wants its values.
    pub(super) fn shared(self: &Arc<Self>) -> Arc<Self> {
        self.is_shared.store(true, Ordering::Release);
        Arc::clone(self)
    }
}

impl<T: Send + Sync + 'static> SharedFanOut<T> {
    pub(crate) fn new(
        scope: Arc<Scope>,
        node: NodeRef,
        definition: &'static Definition,
        caller: RunContext,
        concurrency: usize,
        calls: Option<Calls<T>>,
        known: usize,
    ) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(known, || Slot::Open);
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
                slots,
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Items<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that have not begun, for who will drop them.
    pub(super) fn take_calls(&self) -> Option<Calls<T>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        if items.slots.len() <= index as usize {
            items.slots.push(Slot::Open);
        }
        if let Some(lane) = items.lanes.get_mut(&lane) {
            lane.item = Some(index);
        }
        (index, items.slots.get(index as usize).is_some_and(Slot::is_open))
    }

    /// Sets the outcome of an item.
    pub(crate) fn complete(&self, index: u32, outcome: Result<T, Error>) {
        let close = {
            let mut items = self.lock();
            let Some(slot) = items.slots.get_mut(index as usize) else {
                return;
            };
            if !slot.is_open() {
                return;
            }
            *slot = match outcome {
                Ok(value) => Slot::Value(value),
                Err(error) => Slot::Failed(error),
            };
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
        let failed = items.slots.iter().any(|slot| matches!(slot, Slot::Failed(_)));
        (if failed { State::Failed } else { State::Completed }, None)
    }

    // --- what owners ask ---

    /// How many items there are, as far as is known.
    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// How the items from `from` on stand, in input order.
    pub(crate) fn prefix(&self, from: u32) -> Prefix {
        let items = self.lock();
        let mut index = from;
        loop {
            match items.slots.get(index as usize) {
                Some(Slot::Open) => return Prefix::OpenAt(index),
                Some(Slot::Failed(error)) => return Prefix::Failed(error.clone()),
                Some(Slot::Value(_) | Slot::Shared(_) | Slot::Taken) => index += 1,
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
    pub(crate) fn outcomes(&self) -> Vec<Result<T, Error>>
    where
        T: Clone,
    {
        let take = !self.is_shared.load(Ordering::Acquire);
        let mut items = self.lock();
        let broken = items.broken_alone();
        let mut outcomes: Vec<_> = items
            .slots
            .iter_mut()
            .filter_map(|slot| outcome_of(slot, take))
            .collect();
        outcomes.extend(broken.map(Err));
        outcomes
    }

    /// The outcomes of the items that have ended, in input order, and this error in place of the others'.
    pub(crate) fn outcomes_so_far(&self, error: &Error) -> Vec<Result<T, Error>>
    where
        T: Clone,
    {
        let mut items = self.lock();
        let slots = items.slots.iter_mut();
        let outcomes = slots.map(|slot| outcome_of(slot, false).unwrap_or_else(|| Err(error.clone())));
        outcomes.collect()
    }

    /// The `nth` item to end, and its outcome; none if not so many have ended. After the last comes what broke the
    /// iterator, if no item has it.
    pub(crate) fn nth_ended(&self, nth: usize) -> Option<(u32, Result<T, Error>)>
    where
        T: Clone,
    {
        let mut items = self.lock();
        let Some(&index) = items.ended.get(nth) else {
            let broken = items
                .broken_alone()
                .filter(|_| items.closed && nth == items.ended.len())?;
            return Some((u32::try_from(nth).unwrap_or(u32::MAX), Err(broken)));
        };
        let slot = items.slots.get_mut(index as usize)?;
        Some((index, outcome_of(slot, false)?))
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

fn outcome_of<T: Clone>(slot: &mut Slot<T>, take: bool) -> Option<Result<T, Error>> {
    if take {
        return match std::mem::replace(slot, Slot::Taken) {
            Slot::Value(value) => Some(Ok(value)),
            Slot::Shared(value) => Some(Ok(Arc::unwrap_or_clone(value))),
            Slot::Failed(error) => {
                *slot = Slot::Failed(error.clone());
                Some(Err(error))
            }
            Slot::Open | Slot::Taken => None,
        };
    }
    match slot {
        Slot::Value(value) => Some(Ok(value.clone())),
        Slot::Shared(value) => Some(Ok(T::clone(value))),
        Slot::Failed(error) => Some(Err(error.clone())),
        Slot::Open | Slot::Taken => None,
    }
}

impl<T> Items<T> {
    /// Why the iterator gave up, if that is the outcome of no item.
    fn broken_alone(&self) -> Option<Error> {
        self.broken.clone().filter(|_| !self.broken_in_items)
    }

    /// Whether the last item has just ended. True only once.
    pub(super) fn closes(&mut self) -> bool {
        let closes = self.exhausted && !self.closed && self.ended.len() == self.slots.len();
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
            index => match self.slots.get(index as usize) {
                Some(slot) => !slot.is_open(),
                None => self.exhausted,
            },
        }
    }
}
