//! One thread for each store that settles its orders and writes it out: twice a second if there is anything, at once for
//! who waits for it.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Inner;
use crate::store::{StoreError, StoreErrorKind};

/// How long what is kept may stay in memory.
const EVERY: Duration = Duration::from_millis(500);
/// While puts come so fast that the thread is woken to settle before that time is over, every so many wakings it flushes.
const SETTLES_PER_FLUSH: u32 = 16;

/// Who waits for a flush is told how it went.
type Waiter = Sender<Result<(), Arc<StoreError>>>;

/// What the thread is asked for.
enum Ask {
    Settle,
    Flush(Waiter),
}

/// The thread and the way to ask it.
pub(super) struct Flusher {
    asks: Mutex<Option<Sender<Ask>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Flusher {
    pub(super) fn start(inner: Arc<Inner>) -> Result<Self, StoreError> {
        let (asks, asked) = mpsc::channel::<Ask>();
        let run = move || {
            let (mut settles, mut warned) = (0, false);
            loop {
                let first = match asked.recv_timeout(EVERY) {
                    Ok(ask) => Some(ask),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let only_settle = matches!(first, Some(Ask::Settle)) && settles < SETTLES_PER_FLUSH;
                // Everybody who asks by now is served by one flush.
                let waiters: Vec<Waiter> = first
                    .into_iter()
                    .chain(asked.try_iter())
                    .filter_map(Ask::waiter)
                    .collect();
                if only_settle && waiters.is_empty() {
                    settles += 1;
                    settle(&inner);
                } else {
                    settles = 0;
                    flush(&inner, &waiters, &mut warned);
                }
            }
            flush(&inner, &[], &mut warned);
        };
        let thread = std::thread::Builder::new()
            .name("flowkit-cache".to_owned())
            .spawn(run)
            .map_err(|error| StoreError::io("starting the thread that writes the cache", error))?;
        Ok(Self {
            asks: Mutex::new(Some(asks)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has the orders settled soon.
    pub(super) fn settle(&self) {
        self.ask(Ask::Settle);
    }

    fn ask(&self, ask: Ask) -> bool {
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        asks.is_some_and(|asks| asks.send(ask).is_ok())
    }

    /// Returns when everything kept before is on the disk.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let (told, tell) = mpsc::channel();
        let asked = self.ask(Ask::Flush(told));
        match tell.recv() {
            Ok(Ok(())) if asked => Ok(()),
            Ok(Err(error)) => Err(StoreError::new(error.kind(), error.to_string()).because(error)),
            _ => Err(StoreError::new(
                StoreErrorKind::Io,
                "the thread that writes the cache has ended",
            )),
        }
    }
}

impl Ask {
    fn waiter(self) -> Option<Waiter> {
        match self {
            Self::Flush(waiter) => Some(waiter),
            Self::Settle => None,
        }
    }
}

fn settle(inner: &Inner) {
    match inner.trees.orders.settle_queue() {
        Ok(0) => {}
        Ok(_) => inner.dirty.store(true, Ordering::Release),
        // What could not be settled waits on, and the flush that follows says why.
        Err(_) => {}
    }
}

/// Warns of trouble when it begins, and not again until it has ended.
fn flush(inner: &Inner, waiters: &[Waiter], warned: &mut bool) {
    if waiters.is_empty() {
        settle(inner);
    }
    if !inner.dirty.swap(false, Ordering::AcqRel) && waiters.is_empty() {
        return;
    }
    let flushed = inner.flush().map_err(Arc::new);
    if let Err(error) = &flushed {
        inner.dirty.store(true, Ordering::Release);
        if !std::mem::replace(warned, true) {
            tracing::warn!(target: "flowkit_cache", %error, "the cache could not be written out; it is tried again");
        }
    } else {
        *warned = false;
    }
    for waiter in waiters {
        // One who has gone need not be told.
        drop(waiter.send(flushed.clone()));
    }
    if !waiters.is_empty() {
        // Not before: who waits wants entries on the disk, and an opening finds their hints missing.
        settle(inner);
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.asks.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The thread does not panic; if it did, there is nobody left to tell.
            drop(thread.join());
        }
    }
}
