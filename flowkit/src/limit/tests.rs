//! Stories of one limit, and any history of it against a list of everyone in order of arrival.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use futures::task::noop_waker;
use proptest::prelude::*;

use super::*;

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waiter and its alarm.
struct Waiting {
    acquire: Acquire,
    alarm: Arc<Alarm>,
}

impl Waiting {
    fn join(limit: &Arc<Limit>, weight: u32) -> Self {
        let mut this = Self {
            acquire: limit.acquire(weight),
            alarm: Arc::default(),
        };
        assert!(this.poll().is_none(), "there was nothing to wait for");
        this
    }

    fn poll(&mut self) -> Option<Slot> {
        let waker = Waker::from(Arc::clone(&self.alarm));
        match self.acquire.poll_acquire(&Context::from_waker(&waker)) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    fn woken(&self) -> usize {
        self.alarm.0.load(Ordering::Relaxed)
    }
}

fn take(limit: &Arc<Limit>, weight: u32) -> Option<Slot> {
    let mut acquire = limit.acquire(weight);
    match acquire.poll_acquire(&Context::from_waker(&noop_waker())) {
        Poll::Ready(slot) => Some(slot),
        Poll::Pending => None,
    }
}

#[test]
fn a_slot_that_is_freed_wakes_the_next_and_nobody_else() {
    let limit = Limit::new("db", 1).unwrap();
    let held = take(&limit, 1).unwrap();
    let mut first = Waiting::join(&limit, 1);
    let second = Waiting::join(&limit, 1);
    assert_eq!((limit.in_use(), limit.waiting()), (1, 2));
    drop(held);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    assert_eq!(limit.in_use(), 1, "it is handed over, not put back");
    assert!(take(&limit, 1).is_none(), "a newcomer cannot snatch it");
    assert!(first.poll().is_some());
}

#[test]
fn a_heavy_waiter_is_not_overtaken_by_light_ones() {
    let limit = Limit::new("db", 3).unwrap();
    let (one, two) = (take(&limit, 1).unwrap(), take(&limit, 1).unwrap());
    let mut heavy = Waiting::join(&limit, 3);
    let mut light = Waiting::join(&limit, 1);
    assert!(light.poll().is_none(), "one slot is free, but not for this one");
    drop(one);
    assert_eq!((heavy.woken(), light.woken()), (0, 0));
    drop(two);
    let slot = heavy.poll().unwrap();
    assert!(light.poll().is_none());
    drop(slot);
    assert!(light.poll().is_some());
}

#[test]
fn several_waiters_are_let_in_at_once_if_they_fit() {
    let limit = Limit::new("db", 3).unwrap();
    let all = take(&limit, 3).unwrap();
    let mut waiting: Vec<_> = [1, 1, 2]
        .map(|weight| Waiting::join(&limit, weight))
        .into_iter()
        .collect();
    drop(all);
    assert_eq!(waiting.iter().map(Waiting::woken).collect::<Vec<_>>(), [1, 1, 0]);
    let held: Vec<_> = waiting.iter_mut().filter_map(Waiting::poll).collect();
    assert_eq!((held.len(), limit.in_use(), limit.waiting()), (2, 2, 1));
}

#[test]
fn a_waiter_that_gives_up_leaves_the_line_and_passes_on_what_it_was_handed() {
    let limit = Limit::new("db", 1).unwrap();
    let held = take(&limit, 1).unwrap();
    let gone = Waiting::join(&limit, 1);
    let handed = Waiting::join(&limit, 1);
    let mut last = Waiting::join(&limit, 1);
    drop(gone);
    assert_eq!(limit.waiting(), 2);
    drop(held);
    assert_eq!((handed.woken(), last.woken()), (1, 0));
    drop(handed); // it has the slot, and never learns of it
    assert_eq!(last.woken(), 1);
    assert!(last.poll().is_some());
}

#[test]
fn a_heavy_waiter_that_gives_up_lets_the_light_ones_in() {
    let limit = Limit::new("db", 2).unwrap();
    let _held = take(&limit, 1).unwrap();
    let heavy = Waiting::join(&limit, 2);
    let mut light = Waiting::join(&limit, 1);
    drop(heavy);
    assert_eq!(light.woken(), 1);
    assert!(light.poll().is_some());
}

#[test]
fn a_waiter_is_woken_where_it_was_last_polled() {
    let limit = Limit::new("db", 1).unwrap();
    let held = take(&limit, 1).unwrap();
    let mut moved = Waiting::join(&limit, 1);
    let before = std::mem::take(&mut moved.alarm);
    assert!(moved.poll().is_none());
    drop(held);
    assert_eq!(before.0.load(Ordering::Relaxed), 0);
    assert_eq!(moved.woken(), 1);
}

#[test]
fn a_weight_over_the_capacity_does_not_wait_forever() {
    let limit = Limit::new("db", 2).unwrap();
    let slot = take(&limit, 9).unwrap();
    assert_eq!(limit.in_use(), 2);
    drop(slot);
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_hundred_thousand_waiters_are_served_in_order_though_half_of_them_leave() {
    let limit = Limit::new("db", 1).unwrap();
    let mut held = take(&limit, 1);
    let mut waiting: VecDeque<_> = (0..100_000).map(|_| Waiting::join(&limit, 1)).collect();
    let mut index = 0;
    waiting.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    assert_eq!(limit.waiting(), 50_000);
    while let Some(mut next) = waiting.pop_front() {
        drop(held.take());
        held = next.poll();
        assert!(held.is_some());
    }
    drop(held);
    assert_eq!((limit.in_use(), limit.waiting()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_a_runtime_share_the_slots() {
    let limit = Limit::new("db", 3).unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..300 {
        let (limit, running) = (Arc::clone(&limit), Arc::clone(&running));
        tasks.spawn(async move {
            let slot = limit.acquire(1 + index % 3).await;
            let weight = slot.weight as usize;
            let before = running.fetch_add(weight, Ordering::SeqCst);
            assert!(before + weight <= 3);
            tokio::task::yield_now().await;
            running.fetch_sub(weight, Ordering::SeqCst);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!((limit.in_use(), limit.waiting()), (0, 0));
}

#[derive(Debug, Clone)]
enum Step {
    Join(u32),
    Leave(usize),
    Poll(usize),
    Free(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1u32..=4).prop_map(Step::Join),
        1 => (0usize..16).prop_map(Step::Leave),
        3 => (0usize..16).prop_map(Step::Poll),
        3 => (0usize..16).prop_map(Step::Free),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A limit as a list: everyone in order of arrival, and whether they were let in.
#[derive(Default)]
struct Model(Vec<(u32, bool)>);

impl Model {
    fn used(&self) -> u32 {
        self.0
            .iter()
            .filter(|(_, inside)| *inside)
            .map(|(weight, _)| weight)
            .sum()
    }

    fn settle(&mut self, capacity: u32) {
        while let Some(next) = self.0.iter().position(|(_, inside)| !inside) {
            if self.used() + self.0[next].0 > capacity {
                return;
            }
            self.0[next].1 = true;
        }
    }
}

/// The real counterpart of one entry of the model.
enum Guest {
    Waiting(Waiting),
    Holding {
        /// Only held.
        _slot: Slot,
    },
}

proptest! {
    #[test]
    fn any_history_is_that_of_a_list_in_order_of_arrival(capacity in 4u32..8, steps in steps()) {
        let limit = Limit::new("db", capacity).unwrap();
        let mut model = Model::default();
        let mut guests = Vec::<Guest>::new();
        for step in steps {
            match step {
                Step::Join(weight) => {
                    let mut waiting = Waiting { acquire: limit.acquire(weight), alarm: Arc::default() };
                    model.0.push((weight, false));
                    model.settle(capacity);
                    let guest = waiting.poll().map_or(Guest::Waiting(waiting), |_slot| Guest::Holding { _slot });
                    prop_assert_eq!(matches!(guest, Guest::Holding { .. }), model.0[guests.len()].1);
                    guests.push(guest);
                }
                Step::Leave(at) if at < guests.len() => {
                    drop(guests.remove(at));
                    model.0.remove(at);
                }
                Step::Poll(at) if at < guests.len() => {
                    if let Guest::Waiting(waiting) = &mut guests[at] {
                        let inside = model.0[at].1;
                        prop_assert_eq!(waiting.woken() > 0, inside, "woken exactly when let in");
                        let slot = waiting.poll();
                        prop_assert_eq!(slot.is_some(), inside);
                        if let Some(_slot) = slot {
                            guests[at] = Guest::Holding { _slot };
                        }
                    }
                }
                Step::Free(nth) => {
                    let holders: Vec<_> = (0..guests.len()).filter(|&at| matches!(guests[at], Guest::Holding { .. })).collect();
                    if let Some(&at) = holders.get(nth) {
                        drop(guests.remove(at));
                        model.0.remove(at);
                    }
                }
                Step::Leave(_) | Step::Poll(_) => {}
            }
            model.settle(capacity);
            prop_assert_eq!(limit.in_use(), model.used());
            prop_assert_eq!(limit.waiting(), model.0.iter().filter(|(_, inside)| !inside).count());
        }
        drop(guests);
        prop_assert_eq!(limit.in_use(), 0);
    }
}
