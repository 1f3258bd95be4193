//! One computation for many callers of one key: the first leads, the others follow, and if the leader is lost one
//! follower takes its place.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::key::CacheKey;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The computations that are going on.
pub struct SingleFlight<V>(Arc<Flights<V>>);

/// The callers that wait, by the key they wait for. A key that is here is being computed.
type Waiting<V> = HashMap<CacheKey, VecDeque<oneshot::Sender<Role<V>>>>;

struct Flights<V>(Mutex<Waiting<V>>);

impl<V> Flights<V> {
    fn lock(&self) -> MutexGuard<'_, Waiting<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller is to do.
#[derive(Debug)]
pub enum Role<V> {
    /// Compute the value, and give it to the guard.
    Leader(LeaderGuard<V>),
    /// Here is the value that the leader computed.
    Follower(V),
}

/// Held by the one caller that computes a value. Dropped without [`complete`](Self::complete), it makes one of those who wait the leader.
pub struct LeaderGuard<V> {
    flights: Arc<Flights<V>>,
    key: CacheKey,
    /// Whether dropping it still means something.
    leads: bool,
}

impl<V> fmt::Debug for SingleFlight<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SingleFlight")
            .field("keys", &self.0.lock().len())
            .finish()
    }
}

impl<V> fmt::Debug for LeaderGuard<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LeaderGuard")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl<V> Default for SingleFlight<V> {
    fn default() -> Self {
        Self(Arc::new(Flights(Mutex::new(HashMap::new()))))
    }
}

impl<V> SingleFlight<V> {
    /// Nothing is being computed.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys are being computed.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Becomes the leader of a key, or waits for the one who is.
    ///
    /// Cancel safe: a caller that stops waiting is passed over.
    pub async fn join(&self, key: CacheKey) -> Role<V> {
        loop {
            let receiver = match self.0.lock().entry(key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(VecDeque::new());
                    return Role::Leader(LeaderGuard {
                        flights: Arc::clone(&self.0),
                        key,
                        leads: true,
                    });
                }
                Entry::Occupied(mut waiting) => {
                    let (sender, receiver) = oneshot::channel();
                    waiting.get_mut().push_back(sender);
                    receiver
                }
            };
            if let Ok(role) = receiver.await {
                return role;
            }
        }
    }
}

impl<V: Clone> LeaderGuard<V> {
    /// Gives the value to all who wait now. Who comes later begins anew.
    pub fn complete(mut self, value: V) {
        self.leads = false;
        let waiting = self.flights.lock().remove(&self.key).unwrap_or_default();
        for waiter in waiting {
            // One who has gone needs no value.
            drop(waiter.send(Role::Follower(value.clone())));
        }
    }
}

impl<V> Drop for LeaderGuard<V> {
    fn drop(&mut self) {
        if !self.leads || cfg!(flowkit_fault = "leader-not-replaced") {
            return;
        }
        loop {
            let next = {
                let mut flights = self.flights.lock();
                let next = flights.get_mut(&self.key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    flights.remove(&self.key);
                }
                next
            };
            let Some(waiter) = next else { return };
            let guard = Self {
                flights: Arc::clone(&self.flights),
                key: self.key,
                leads: true,
            };
            match waiter.send(Role::Leader(guard)) {
                Ok(()) => return,
                // That one has gone: the guard comes back and must not hand over by itself.
                Err(Role::Leader(mut returned)) => returned.leads = false,
                Err(Role::Follower(_)) => {}
            }
        }
    }
}

#[cfg(test)]
#[cfg(flowkit_shuttle)]
mod interleavings;
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;
    use crate::key_of;

    fn key() -> CacheKey {
        key_of("k").unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_callers_compute_once() {
        let flight = Arc::new(SingleFlight::<u32>::new());
        let Role::Leader(leader) = flight.join(key()).await else {
            panic!("the first leads")
        };
        let mut callers = JoinSet::new();
        for _ in 0..1_000 {
            let flight = Arc::clone(&flight);
            callers.spawn(async move {
                match flight.join(key()).await {
                    Role::Follower(value) => value,
                    Role::Leader(_) => panic!("there is a leader already"),
                }
            });
        }
        while flight
            .0
            .lock()
            .get(&key())
            .is_some_and(|waiting| waiting.len() < 1_000)
        {
            tokio::task::yield_now().await;
        }
        leader.complete(7);
        while let Some(value) = callers.join_next().await {
            assert_eq!(value.unwrap(), 7);
        }
        assert!(flight.is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn if_the_leader_is_lost_exactly_one_follower_leads() {
        let flight = Arc::new(SingleFlight::<u32>::new());
        let Role::Leader(leader) = flight.join(key()).await else {
            panic!("the first leads")
        };
        let leaders = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..10 {
            let (flight, leaders) = (Arc::clone(&flight), Arc::clone(&leaders));
            callers.spawn(async move {
                match flight.join(key()).await {
                    Role::Leader(leader) => {
                        leaders.fetch_add(1, Ordering::Relaxed);
                        leader.complete(9);
                        9
                    }
                    Role::Follower(value) => value,
                }
            });
        }
        tokio::task::yield_now().await;
        drop(leader);
        while let Some(value) = callers.join_next().await {
            assert_eq!(value.unwrap(), 9);
        }
        assert_eq!(leaders.load(Ordering::Relaxed), 1);
        assert!(flight.is_empty());
    }

    #[tokio::test]
    async fn a_follower_that_has_gone_is_passed_over() {
        let flight = Arc::new(SingleFlight::<u32>::new());
        let Role::Leader(leader) = flight.join(key()).await else {
            panic!("the first leads")
        };
        let gone = tokio::spawn({
            let flight = Arc::clone(&flight);
            async move { drop(flight.join(key()).await) }
        });
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        drop(leader);
        assert!(matches!(flight.join(key()).await, Role::Leader(_)));
    }

    #[tokio::test]
    async fn leadership_that_nobody_takes_is_not_lost() {
        let flight = Arc::new(SingleFlight::<u32>::new());
        let Role::Leader(leader) = flight.join(key()).await else {
            panic!("the first leads")
        };
        let mut chosen = Box::pin(flight.join(key()));
        assert!(futures_poll_once(&mut chosen).await.is_none());
        drop(leader);
        drop(chosen); // it was made the leader, and is dropped before it learns of it
        assert!(matches!(flight.join(key()).await, Role::Leader(_)));
        assert!(flight.is_empty());
    }

    async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn leaders_that_are_aborted_at_random_hold_up_nobody() {
        let flight = Arc::new(SingleFlight::<u32>::new());
        let mut callers = JoinSet::new();
        for index in 0..2_000u32 {
            let flight = Arc::clone(&flight);
            callers.spawn(async move {
                let key = key_of(&(index % 7)).unwrap();
                if let Role::Leader(leader) = flight.join(key).await {
                    tokio::task::yield_now().await;
                    if index % 3 != 0 {
                        leader.complete(index);
                    }
                }
            });
            if index % 5 == 0 {
                callers.spawn(std::future::ready(()));
                tokio::task::yield_now().await;
            }
        }
        while callers.join_next().await.is_some() {}
        assert!(flight.is_empty(), "{flight:?}");
    }
}
