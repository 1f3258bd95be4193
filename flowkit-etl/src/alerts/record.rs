//! What became of each alert.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Alert;
use super::alert::rfc3339;
use super::history::{Entry, Remembered};

/// How many records are kept unless said otherwise.
pub const DEFAULT_RECORDS: usize = 1000;

/// What became of an alert on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits for its turn, or for another attempt.
    Waiting,
    /// It was delivered, to some at least: if there is an error, that says to whom not.
    Delivered,
    /// It was not sent, since the channel had too many.
    HeldBack,
    /// It could not be delivered, and was given up.
    Undelivered,
}

/// An alert on a channel, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// The channel.
    pub channel: String,
    /// What was to be told.
    pub alert: Alert,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, or did not reach all, with all causes.
    pub error: Option<String>,
}

/// A flow that a rule listens for: its name, and the tags that its runs must have.
pub(super) type Listened = (String, Vec<String>);

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
    /// Since when flows have not succeeded.
    quiet: BTreeMap<Listened, SystemTime>,
    /// Where it is written down, too.
    written: Option<mpsc::UnboundedSender<Entry>>,
}

impl Kept {
    /// All of it as it is written down.
    fn entries(&self) -> Vec<Entry> {
        let records = (self.first..).zip(&self.records);
        let records = records.map(|(number, record)| Entry::Alert {
            number,
            record: Box::new(record.clone()),
        });
        let quiet = self.quiet.iter().map(|(flow, since)| Entry::quiet(flow, *since));
        records.chain(quiet).collect()
    }

    fn write(&self, entry: impl FnOnce() -> Entry) {
        if let Some(written) = &self.written {
            // Nobody writes after the shutdown.
            drop(written.send(entry()));
        }
    }

    fn write_record(&self, number: u64, record: &AlertRecord) {
        self.write(|| Entry::Alert {
            number,
            record: Box::new(record.clone()),
        });
    }
}

impl Records {
    /// What is remembered of earlier processes, and what comes. It is written down, too, if somebody does that.
    pub(super) fn new(
        at_most: usize,
        mut remembered: Remembered,
        written: Option<mpsc::UnboundedSender<Entry>>,
    ) -> Self {
        let surplus = remembered.records.len().saturating_sub(at_most);
        remembered.records.drain(..surplus);
        Self {
            shared: Arc::new(Mutex::new(Kept {
                records: remembered.records.into(),
                first: 0,
                at_most,
                quiet: remembered.quiet,
                written,
            })),
        }
    }

    /// Keeps a new record, and gives its number.
    pub(super) fn add(&self, channel: &str, alert: Alert, at: SystemTime) -> u64 {
        let mut kept = self.lock();
        let record = AlertRecord {
            channel: channel.to_owned(),
            alert,
            outcome: Outcome::Waiting,
            at,
            attempts: 0,
            error: None,
        };
        let number = kept.first + kept.records.len() as u64;
        kept.write_record(number, &record);
        kept.records.push_back(record);
        if kept.records.len() > kept.at_most {
            kept.records.pop_front();
            kept.first += 1;
        }
        number
    }

    /// Changes one, if it is still kept.
    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut AlertRecord)) {
        let mut kept = self.lock();
        let index = number
            .checked_sub(kept.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| kept.records.get_mut(index)) {
            let before = (record.outcome, record.error.clone());
            change(record);
            if before != (record.outcome, record.error.clone()) {
                let changed = record.clone();
                kept.write_record(number, &changed);
            }
        }
    }

    pub(super) fn all(&self) -> Vec<AlertRecord> {
        self.lock().records.iter().cloned().collect()
    }

    /// The numbers of what waits, of earlier processes.
    pub(super) fn waiting(&self) -> Vec<(u64, AlertRecord)> {
        let kept = self.lock();
        let records = (kept.first..).zip(&kept.records);
        let waiting = records.filter(|(_, record)| record.outcome == Outcome::Waiting);
        waiting.map(|(number, record)| (number, record.clone())).collect()
    }

    /// Since when a flow has not succeeded: as it is remembered, or else since now.
    pub(super) fn quiet_since(&self, flow: Listened, now: SystemTime) -> SystemTime {
        let known = self.lock().quiet.get(&flow).copied();
        known.unwrap_or_else(|| {
            self.heard(flow, now);
            now
        })
    }

    /// A flow succeeded.
    pub(super) fn heard(&self, flow: Listened, at: SystemTime) {
        let mut kept = self.lock();
        kept.write(|| Entry::quiet(&flow, at));
        kept.quiet.insert(flow, at);
    }

    /// Nothing will become of what waits. Returns all that were not delivered.
    pub(super) fn give_up(&self, at: SystemTime) -> Vec<AlertRecord> {
        for (number, record) in self.waiting() {
            self.change(number, |record| {
                (record.outcome, record.at) = (Outcome::Undelivered, at);
                record
                    .error
                    .get_or_insert_with(|| "the program ended before".to_owned());
            });
            tracing::error!(target: "flowkit_etl", channel = record.channel, alert = %record.alert, "an alert was not delivered before the shutdown");
        }
        let mut records = self.all();
        records.retain(|record| record.outcome == Outcome::Undelivered);
        records
    }

    /// Nothing more is written down.
    pub(super) fn close(&self) {
        self.lock().written = None;
    }

    /// For whoever writes it down, which ends with the last of these.
    pub(super) fn remembering(&self) -> Remembering {
        Remembering(Arc::downgrade(&self.shared))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records, as long as somebody has them.
#[derive(Clone)]
pub(super) struct Remembering(Weak<Mutex<Kept>>);

impl Remembering {
    pub(super) fn entries(&self) -> Option<Vec<Entry>> {
        let kept = self.0.upgrade()?;
        Some(kept.lock().unwrap_or_else(PoisonError::into_inner).entries())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Records")
            .field(&self.lock().records.len())
            .finish()
    }
}
