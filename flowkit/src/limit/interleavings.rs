//! Limits under shuttle, which runs threads in many orders and notices when all of them wait.

use std::sync::Mutex as Notebook;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::task::noop_waker;
use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::sync::explore;

/// A limit, and what the guards that threads hold weigh. The count is std's and no place to switch at, so that it is looked at
/// together with what the lock guards.
struct Watched {
    limit: Arc<Limit>,
    held: AtomicU32,
}

impl Watched {
    fn new(capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            limit: Limit::new("db", capacity).unwrap(),
            held: AtomicU32::new(0),
        })
    }

    /// What is true whenever nobody is in the middle of a change.
    fn check(&self) {
        let line = self.limit.lock();
        let in_use = self.limit.capacity - line.free;
        assert!(
            in_use >= self.held.load(Ordering::SeqCst),
            "a guard is not accounted for"
        );
        let head = line.waiters.values().next();
        assert!(
            head.is_none_or(|head| head.weight > line.free),
            "the head waits though it fits"
        );
    }

    fn hold(&self, slot: Slot) {
        self.held.fetch_add(slot.weight, Ordering::SeqCst);
        assert!(self.held.load(Ordering::SeqCst) <= self.limit.capacity);
        self.check();
        self.held.fetch_sub(slot.weight, Ordering::SeqCst);
        drop(slot);
        self.check();
    }

    fn acquire(&self, weight: u32) {
        self.hold(block_on(self.limit.acquire(weight)));
    }

    /// Asks, and goes away before it knows the answer, or with it.
    fn try_and_give_up(&self, weight: u32) {
        let mut acquire = self.limit.acquire(weight);
        let waker = noop_waker();
        for _ in 0..2 {
            if let Poll::Ready(slot) = acquire.poll_acquire(&Context::from_waker(&waker)) {
                self.hold(slot);
                return;
            }
            thread::yield_now();
        }
        drop(acquire);
        self.check();
    }

    fn finish(&self, threads: Vec<thread::JoinHandle<()>>) {
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((self.limit.in_use(), self.limit.waiting()), (0, 0));
    }
}

#[test]
fn every_waiter_gets_its_slots_and_no_slot_is_lost() {
    explore(|| {
        let watched = Watched::new(3);
        let threads = [1, 3, 2, 1].map(|weight| {
            let watched = Arc::clone(&watched);
            thread::spawn(move || {
                watched.acquire(weight);
                watched.acquire(1);
            })
        });
        watched.finish(threads.into());
    });
}

#[test]
fn waiters_that_give_up_hold_up_nobody_and_take_nothing_with_them() {
    explore(|| {
        let watched = Watched::new(2);
        let threads = [(2, true), (1, false), (2, false), (1, true), (1, false)].map(|(weight, patient)| {
            let watched = Arc::clone(&watched);
            thread::spawn(move || {
                if patient {
                    watched.acquire(weight);
                } else {
                    watched.try_and_give_up(weight);
                }
            })
        });
        watched.finish(threads.into());
    });
}

#[test]
fn slots_are_given_out_in_the_order_of_the_line() {
    explore(|| {
        let limit = Limit::new("db", 1).unwrap();
        let served = Arc::new(Notebook::new(Vec::new()));
        let threads = [(); 4].map(|()| {
            let (limit, served) = (Arc::clone(&limit), Arc::clone(&served));
            thread::spawn(move || {
                let mut acquire = limit.acquire(1);
                let mut ticket = None;
                let slot = block_on(std::future::poll_fn(|cx| {
                    let polled = acquire.poll_acquire(cx);
                    ticket = acquire.ticket.or(ticket);
                    polled
                }));
                // Who holds the only slot writes alone.
                served.lock().unwrap().extend(ticket);
                drop(slot);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(served.lock().unwrap().is_sorted());
    });
}

#[test]
fn runs_that_need_several_limits_never_wait_in_a_circle() {
    explore(|| {
        let limits = Arc::new(Limits::new([("api", 1), ("db", 2), ("mail", 1)], None).unwrap());
        let needs: [&[(&str, u32)]; 4] = [
            &[("mail", 1), ("api", 1)],
            &[("db", 2), ("mail", 1)],
            &[("api", 1), ("db", 1)],
            &[("db", 1), ("api", 1), ("mail", 1)],
        ];
        let threads = needs.map(|needs| {
            let limits = Arc::clone(&limits);
            thread::spawn(move || {
                let mut set = limits.slots(needs.iter().copied()).unwrap();
                block_on(std::future::poll_fn(|cx| set.poll_acquire(cx)));
                assert!(set.is_held());
                set.release();
                block_on(std::future::poll_fn(|cx| set.poll_acquire(cx)));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        for name in ["api", "db", "mail"] {
            assert_eq!(limits.get(name).unwrap().in_use(), 0);
        }
    });
}
