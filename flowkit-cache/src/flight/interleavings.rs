//! Single flight under shuttle, which runs threads in many orders and notices when all of them wait.
//!
//! The channel in which a role is handed over is tokio's, and its inside is no place to switch at: tokio checks that itself. What is
//! checked here is everything around it, for each message between the locks before and after it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::key_of;

/// At random, and by the scheduler that looks for bugs of few preemptions.
fn explore(story: fn()) {
    shuttle::check_random(story, 3_000);
    shuttle::check_pct(story, 3_000, 3);
}

/// The computations of one key, and what became of them. The counts are std's and no places to switch at.
#[derive(Default)]
struct Watched {
    flight: SingleFlight<u32>,
    leading: AtomicU32,
    /// One bit for each value that a leader computed.
    computed: AtomicU32,
}

impl Watched {
    fn join(&self) -> impl Future<Output = Role<u32>> {
        self.flight.join(key_of("k").unwrap())
    }

    /// Plays a role; a leader computes `value`, or is lost if there is none.
    fn play(&self, role: Role<u32>, value: Option<u32>) {
        match role {
            Role::Leader(guard) => {
                assert_eq!(
                    self.leading.fetch_add(1, Ordering::SeqCst),
                    0,
                    "one leads at a time"
                );
                thread::yield_now();
                self.leading.fetch_sub(1, Ordering::SeqCst);
                match value {
                    Some(value) => {
                        self.computed.fetch_or(1 << value, Ordering::SeqCst);
                        guard.complete(value);
                    }
                    None => drop(guard),
                }
            }
            Role::Follower(value) => {
                assert_ne!(self.computed.load(Ordering::SeqCst) & (1 << value), 0);
            }
        }
    }

    /// Joins, and goes away before it knows its role, or with it.
    fn give_up(&self) {
        let mut join = Box::pin(self.join());
        block_on(std::future::poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(role) = join.as_mut().poll(cx) {
                self.play(role, None);
            }
            Poll::Ready(())
        }));
        thread::yield_now();
        drop(join);
    }
}

/// Threads of which each joins once: some compute, some are lost as leaders, some do not wait for their role.
fn callers(watched: &Arc<Watched>, calls: &[Call]) {
    let threads: Vec<_> = calls
        .iter()
        .copied()
        .map(|call| {
            let watched = Arc::clone(watched);
            thread::spawn(move || match call {
                Call::Compute(value) => watched.play(block_on(watched.join()), Some(value)),
                Call::Lose => watched.play(block_on(watched.join()), None),
                Call::GiveUp => watched.give_up(),
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(watched.flight.is_empty(), "nothing is left behind");
}

#[derive(Clone, Copy)]
enum Call {
    Compute(u32),
    Lose,
    GiveUp,
}

#[test]
fn one_leads_at_a_time_and_everybody_gets_a_value_that_was_computed() {
    explore(|| {
        let watched = Arc::<Watched>::default();
        callers(&watched, &[0, 1, 2, 3].map(Call::Compute));
    });
}

#[test]
fn no_caller_is_lost_when_leaders_are() {
    explore(|| {
        let watched = Arc::<Watched>::default();
        callers(
            &watched,
            &[Call::Lose, Call::Compute(0), Call::Lose, Call::Compute(1)],
        );
        assert_ne!(watched.computed.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn callers_that_go_away_hold_up_nobody_even_if_they_were_to_lead() {
    explore(|| {
        let watched = Arc::<Watched>::default();
        callers(
            &watched,
            &[
                Call::Lose,
                Call::GiveUp,
                Call::Compute(0),
                Call::GiveUp,
                Call::Compute(1),
            ],
        );
    });
}
