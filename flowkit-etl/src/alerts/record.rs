//! What became of each alert.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Alert;
use super::alert::{Status, rfc3339};
use super::fate::{Before, Fate};
use super::history::{Entry, Remembered};

/// How many records are kept unless said otherwise.
pub const DEFAULT_RECORDS: usize = 1000;

/// What became of an alert on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It waits for its turn, or for another attempt. With [a file](super::AlertsBuilder::keep_in), what waits at a shutdown waits for the next process, unless it reached some.
    Waiting,
    /// It was delivered, to some at least: if there is an error, that says to whom not.
    Delivered,
    /// It was not sent, since the channel had too many.
    HeldBack,
    /// It could not be delivered, and was given up.
    Undelivered,
    /// It was not sent: that something is well again is nothing to tell where nobody heard that it was not.
    NotNeeded,
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
    /// How often it was tried, by all processes that knew of it.
    pub attempts: u32,
    /// Why the last attempt failed, or did not reach all, with all causes. Where an earlier one reached some, it says, too, whom not.
    pub error: Option<String>,
    /// Whether somebody has it, even while it waits to be tried again for others.
    #[serde(default)]
    pub reached_some: bool,
}

impl AlertRecord {
    /// It will not be tried any more: who of those whom it is for has it is not known to another process.
    pub(super) fn give_up(&mut self, at: SystemTime) {
        self.at = at;
        self.outcome = match self.reached_some {
            true => Outcome::Delivered,
            false => Outcome::Undelivered,
        };
        let error = &mut self.error;
        error.get_or_insert_with(|| "the program ended before".to_owned());
    }
}

/// A flow that a rule listens for: its name, and the tags that its runs must have.
pub(super) type Listened = (String, Vec<String>);

/// The last records. Clones are the same.
#[derive(Clone)]
pub(super) struct Records {
    shared: Arc<Mutex<Kept>>,
}

struct Kept {
    /// By number, the first ones first.
    records: BTreeMap<u64, (AlertRecord, Fate)>,
    /// The number of the next one.
    next: u64,
    at_most: usize,
    /// Since when flows have not succeeded.
    quiet: BTreeMap<Listened, SystemTime>,
    /// Where it is written down, too.
    written: Option<mpsc::UnboundedSender<Entry>>,
    /// Whether another process will know of it.
    lasts: bool,
}

impl Kept {
    fn add(&mut self, record: AlertRecord, fate: Fate) -> u64 {
        let number = self.next;
        self.next += 1;
        fate.follows(record.outcome);
        self.records.insert(number, (record, fate));
        number
    }

    /// Forgets the first ones that are too many. What waits is not forgotten: something is to become of it.
    fn forget(&mut self) {
        while self.records.len() > self.at_most {
            let mut records = self.records.iter();
            let done = records.find(|(_, (record, _))| record.outcome != Outcome::Waiting);
            let Some(number) = done.map(|(number, _)| *number) else {
                return;
            };
            self.records.remove(&number);
        }
    }

    /// All of it as it is written down.
    fn entries(&self) -> Vec<Entry> {
        let records = self.records.iter().map(|(number, (record, _))| Entry::Alert {
            number: *number,
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
        remembered: Remembered,
        written: Option<mpsc::UnboundedSender<Entry>>,
    ) -> Self {
        let mut kept = Kept {
            records: BTreeMap::new(),
            next: 0,
            at_most,
            quiet: remembered.quiet,
            lasts: written.is_some(),
            written,
        };
        for mut record in remembered.records {
            record.reached_some |= record.outcome == Outcome::Delivered;
            kept.add(record, Fate::default());
        }
        kept.forget();
        Self {
            shared: Arc::new(Mutex::new(kept)),
        }
    }

    /// Keeps a new record, and gives its number.
    pub(super) fn add(&self, channel: &str, alert: Alert, fate: Fate, at: SystemTime) -> u64 {
        let mut kept = self.lock();
        let record = AlertRecord {
            channel: channel.to_owned(),
            alert,
            outcome: Outcome::Waiting,
            at,
            attempts: 0,
            error: None,
            reached_some: false,
        };
        let number = kept.add(record.clone(), fate);
        kept.write_record(number, &record);
        kept.forget();
        number
    }

    /// Changes one, if it is still kept.
    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut AlertRecord)) {
        let mut kept = self.lock();
        let Some((record, fate)) = kept.records.get_mut(&number) else {
            return;
        };
        let state = |record: &AlertRecord| {
            let AlertRecord {
                outcome,
                attempts,
                reached_some,
                ..
            } = record;
            (*outcome, *attempts, *reached_some, record.error.clone())
        };
        let before = state(record);
        change(record);
        fate.follows(record.outcome);
        if before != state(record) {
            let changed = record.clone();
            kept.write_record(number, &changed);
        }
        kept.forget();
    }

    pub(super) fn all(&self) -> Vec<AlertRecord> {
        let kept = self.lock();
        kept.records.values().map(|(record, _)| record.clone()).collect()
    }

    /// What earlier processes told, the first things first, and what is to become of it.
    pub(super) fn before(&self) -> Vec<(AlertRecord, Fate)> {
        self.lock().records.values().cloned().collect()
    }

    /// What waits, by number: the alerts, on which channel, and what was told of the same before, where that is needed and known.
    pub(super) fn waiting(&self) -> Vec<(u64, AlertRecord, Option<Before>)> {
        let kept = self.lock();
        let mut raised: HashMap<_, Before> = HashMap::new();
        let mut waiting = Vec::new();
        for (number, (record, fate)) in &kept.records {
            let alert = &record.alert;
            let about = (&record.channel, &alert.rule, &alert.subject);
            let before = match alert.status {
                Status::Raised => {
                    let before = raised.remove(&about).unwrap_or_default();
                    raised.insert(about, before.then(fate.clone(), 0));
                    None
                }
                Status::Resolved => raised.remove(&about),
            };
            if record.outcome == Outcome::Waiting {
                waiting.push((*number, record.clone(), before));
            }
        }
        waiting
    }

    /// How many alerts wait for a channel.
    pub(super) fn waiting_for(&self, channel: &str) -> usize {
        let kept = self.lock();
        let records = kept.records.values().map(|(record, _)| record);
        let waiting =
            records.filter(|record| record.outcome == Outcome::Waiting && record.channel == channel);
        waiting.count()
    }

    /// How often an alert was tried, and why that failed.
    pub(super) fn tried(&self, number: u64) -> (u32, Option<String>) {
        let kept = self.lock();
        let record = kept.records.get(&number).map(|(record, _)| record);
        record.map_or((0, None), |record| (record.attempts, record.error.clone()))
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

    /// Nothing will become of what waits, unless another process knows of it, and nobody has it yet. Returns all that were not delivered.
    pub(super) fn give_up(&self, at: SystemTime) -> Vec<AlertRecord> {
        let mut kept = self.lock();
        let lasts = kept.lasts;
        let (mut undelivered, mut given_up) = (Vec::new(), Vec::new());
        for (number, (record, fate)) in &mut kept.records {
            match record.outcome {
                Outcome::Waiting if lasts && !record.reached_some => {
                    tracing::warn!(target: "flowkit_etl", channel = record.channel, alert = %record.alert, "an alert was not delivered before the shutdown: it waits for the next process");
                }
                Outcome::Waiting => {
                    tracing::error!(target: "flowkit_etl", channel = record.channel, alert = %record.alert, "an alert was not delivered before the shutdown");
                    record.give_up(at);
                    fate.follows(record.outcome);
                    given_up.push((*number, record.clone()));
                }
                _ => {}
            }
            if matches!(record.outcome, Outcome::Waiting | Outcome::Undelivered) {
                undelivered.push(record.clone());
            }
        }
        for (number, record) in &given_up {
            kept.write_record(*number, record);
        }
        kept.forget();
        undelivered
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
