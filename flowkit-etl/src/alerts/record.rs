//! What became of each alert.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::Alert;
use super::alert::rfc3339;

/// How many records are kept unless said otherwise.
pub const DEFAULT_RECORDS: usize = 1000;

/// What became of an alert on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits for its turn, or for another attempt.
    Waiting,
    /// It was delivered.
    Delivered,
    /// It was not sent, since the channel had too many.
    HeldBack,
    /// It could not be delivered, and was given up.
    Undelivered,
}

/// An alert on a channel, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertRecord {
    /// The channel.
    pub channel: String,
    /// What was to be told.
    pub alert: Alert,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, with all causes.
    pub error: Option<String>,
}

/// The last records. Clones are the same.
#[derive(Clone)]
pub(super) struct Records {
    shared: Arc<Mutex<Kept>>,
}

struct Kept {
    records: VecDeque<AlertRecord>,
    /// The number of the first one that is kept.
    first: u64,
    at_most: usize,
}

impl Records {
    pub(super) fn new(at_most: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Kept {
                records: VecDeque::new(),
                first: 0,
                at_most,
            })),
        }
    }

    /// Keeps a new record, and gives its number.
    pub(super) fn add(&self, channel: &str, alert: Alert, at: SystemTime) -> u64 {
        let mut kept = self.lock();
        kept.records.push_back(AlertRecord {
            channel: channel.to_owned(),
            alert,
            outcome: Outcome::Waiting,
            at,
            attempts: 0,
            error: None,
        });
        if kept.records.len() > kept.at_most {
            kept.records.pop_front();
            kept.first += 1;
        }
        kept.first + kept.records.len() as u64 - 1
    }

    /// Changes one, if it is still kept.
    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut AlertRecord)) {
        let mut kept = self.lock();
        let index = number
            .checked_sub(kept.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| kept.records.get_mut(index)) {
            change(record);
        }
    }

    pub(super) fn all(&self) -> Vec<AlertRecord> {
        self.lock().records.iter().cloned().collect()
    }

    /// Nothing will become of what waits. Returns all that were not delivered.
    pub(super) fn give_up(&self, at: SystemTime) -> Vec<AlertRecord> {
        let mut kept = self.lock();
        for record in kept
            .records
            .iter_mut()
            .filter(|record| record.outcome == Outcome::Waiting)
        {
            record.outcome = Outcome::Undelivered;
            record.at = at;
            record
                .error
                .get_or_insert_with(|| "the program ended before".to_owned());
            tracing::error!(target: "flowkit_etl", channel = record.channel, alert = %record.alert, "an alert was not delivered before the shutdown");
        }
        let undelivered = kept
            .records
            .iter()
            .filter(|record| record.outcome == Outcome::Undelivered);
        undelivered.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Records")
            .field(&self.lock().records.len())
            .finish()
    }
}
