//! The way of alerts to a channel: one after the other, not too many, again if need be.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use flowkit::Clock;
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::alert::Status;
use super::fate::Before;
use super::found::{Listener, Told};
use super::record::{Outcome, Records};
use super::{Alert, Channel, Failure};
use crate::error::{Error, ErrorKind};

/// So many alerts wait for a channel at most.
const WAITING: usize = 1000;

/// So many of those that earlier processes left wait beside them: what waits, and the one that is tried.
const MOST_LEFT: usize = WAITING + 1;

/// So many things of which alerts are held back are told apart.
const MOST_HELD_BACK: usize = 1000;

/// How alerts are delivered to a channel.
#[derive(Debug, Clone)]
pub struct Delivery {
    at_most: u32,
    per: Duration,
    attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    timeout: Duration,
}

impl Delivery {
    /// 30 alerts an hour at most; each tried 10 times, the second time after a second, then after delays that double up to 5 minutes, for 30 seconds each.
    pub fn new() -> Self {
        Self {
            at_most: 30,
            per: Duration::from_secs(3600),
            attempts: 10,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(300),
            timeout: Duration::from_secs(30),
        }
    }

    /// No more alerts than these are delivered in any such time. More are not sent: they are recorded as held back, and counted in the next one that is sent. That something is well again is told in any case.
    #[must_use]
    pub fn at_most(mut self, alerts: u32, per: Duration) -> Self {
        (self.at_most, self.per) = (alerts, per);
        self
    }

    /// How often an alert is tried, the first time included; at least once. With [a file](super::AlertsBuilder::keep_in), what earlier processes tried counts.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long is waited before the second attempt, twice as long each time after, and no longer than the second duration. If the other side says how long, it is that, in the same bound.
    /// What was given up or held back is not told again before that longest delay has passed either.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_delay, self.longest_delay) = (first, longest);
        self
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.longest_delay)
            .with_max_times(self.attempts.saturating_sub(1) as usize)
            .build()
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self::new()
    }
}

/// A channel, and what is on its way to it. Dropped, it stops.
pub(super) struct Line {
    name: String,
    alerts: Option<mpsc::Sender<Queued>>,
    worker: JoinHandle<()>,
    records: Records,
    clock: Arc<dyn Clock>,
    after_loss: Duration,
}

/// An alert that waits for its turn.
struct Queued {
    number: u64,
    alert: Alert,
    /// What was told of the same before, if that matters and is known.
    before: Option<Before>,
}

impl Line {
    pub(super) fn open(
        tokio: &Handle,
        name: String,
        channel: Arc<dyn Channel>,
        delivery: Delivery,
        records: Records,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // There is room for what earlier processes left.
        let left = records.waiting_for(&name).min(MOST_LEFT);
        let (alerts, received) = mpsc::channel(WAITING + left);
        let after_loss = delivery.longest_delay;
        let worker = Worker {
            name: name.clone(),
            channel,
            delivery,
            records: records.clone(),
            clock: clock.clone(),
            sent: VecDeque::new(),
            held_back: HeldBack::default(),
        };
        Self {
            after_loss,
            name,
            alerts: Some(alerts),
            worker: tokio.spawn(worker.run(received)),
            records,
            clock,
        }
    }

    /// What is found for it.
    pub(super) fn listener(&self) -> Listener<'_> {
        Listener {
            name: &self.name,
            after_loss: self.after_loss,
        }
    }

    /// Has an alert delivered, without waiting for that.
    pub(super) fn send(&self, told: Told) {
        let Told {
            alert, fate, before, ..
        } = told;
        let number = self
            .records
            .add(&self.name, alert.clone(), fate, self.clock.now());
        let before = Some(before);
        self.queue(Queued {
            number,
            alert,
            before,
        });
    }

    fn queue(&self, queued: Queued) {
        let number = queued.number;
        let alerts = self.alerts.as_ref();
        if alerts.is_none_or(|alerts| alerts.try_send(queued).is_err()) {
            tracing::error!(target: "flowkit_etl", channel = self.name, "too many alerts wait for a channel: one was given up");
            self.records.change(number, |record| {
                record.outcome = Outcome::Undelivered;
                record.error = Some(format!("{WAITING} alerts were waiting for the channel"));
            });
        }
    }

    /// Waits until all was delivered or given up.
    pub(super) async fn close(mut self) {
        self.alerts = None;
        // Whatever ended it, nothing is on its way any more.
        drop((&mut self.worker).await);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// Has delivered what was waiting when an earlier process ended: of each channel the last ones, and of these what reached nobody yet.
pub(super) fn go_on(lines: &[Line], records: &Records, now: SystemTime) {
    let waiting = records.waiting();
    let mut left: HashMap<String, usize> = HashMap::new();
    for (_, record, _) in &waiting {
        *left.entry(record.channel.clone()).or_default() += 1;
    }
    for (number, record, before) in waiting {
        let left = left.entry(record.channel.clone()).or_default();
        let is_too_much = *left > MOST_LEFT;
        *left = left.saturating_sub(1);
        let line = lines.iter().find(|line| line.name == record.channel);
        let why = match line {
            _ if record.reached_some => None,
            None => Some(format!("there is no channel `{}` any more", record.channel)),
            Some(_) if is_too_much => Some(format!("{MOST_LEFT} later alerts were waiting for the channel")),
            Some(line) => {
                let alert = record.alert;
                line.queue(Queued {
                    number,
                    alert,
                    before,
                });
                continue;
            }
        };
        tracing::error!(target: "flowkit_etl", channel = record.channel, alert = %record.alert, why = why.as_deref(), "an alert that an earlier process left is not sent any more");
        records.change(number, |record| {
            record.error = why.or(record.error.take());
            record.give_up(now);
        });
    }
}

struct Worker {
    name: String,
    channel: Arc<dyn Channel>,
    delivery: Delivery,
    records: Records,
    clock: Arc<dyn Clock>,
    /// When alerts were delivered lately.
    sent: VecDeque<Instant>,
    /// What was not sent since the last one that was.
    held_back: HeldBack,
}

/// How many alerts were held back, and of what.
#[derive(Default)]
struct HeldBack {
    all: u64,
    /// By rule and subject, as many as are told apart.
    of: HashMap<(String, String), u64>,
}

impl HeldBack {
    fn add(&mut self, alert: &Alert) {
        self.all += 1;
        let about = (alert.rule.clone(), alert.subject.clone());
        if self.of.len() < MOST_HELD_BACK || self.of.contains_key(&about) {
            *self.of.entry(about).or_default() += 1;
        }
    }

    /// Those about something else. Those about the same are what it says that it [repeats](Alert::repeated).
    fn others(&self, alert: &Alert) -> u64 {
        let about = (alert.rule.clone(), alert.subject.clone());
        let same = self.of.get(&about).copied().unwrap_or_default();
        self.all.saturating_sub(same)
    }
}

impl Worker {
    async fn run(mut self, mut alerts: mpsc::Receiver<Queued>) {
        while let Some(queued) = alerts.recv().await {
            self.take(queued).await;
        }
    }

    /// Takes what is next. By now it is known what became of all before it.
    async fn take(&mut self, queued: Queued) {
        let Queued {
            number,
            mut alert,
            before,
        } = queued;
        let is_raised = alert.status == Status::Raised;
        if let Some(mut before) = before {
            if !is_raised && !before.is_heard_of() {
                self.note(number, Outcome::NotNeeded, None);
                return;
            }
            alert.repeated = alert.repeated.max(before.untold());
        }
        let is_held_back = is_raised && !self.has_room();
        if !is_held_back {
            alert.held_back = self.held_back.others(&alert);
        }
        self.records.change(number, |record| {
            (record.alert.repeated, record.alert.held_back) = (alert.repeated, alert.held_back);
        });
        if is_held_back {
            self.held_back.add(&alert);
            self.note(number, Outcome::HeldBack, None);
            tracing::warn!(target: "flowkit_etl", channel = self.name, %alert, "an alert was held back, since there were too many");
        } else if self.deliver(number, &alert).await {
            self.held_back = HeldBack::default();
            // What the channel did not take is none of those that are too many.
            self.sent.extend(is_raised.then(Instant::now));
        }
    }

    /// Whether the channel may be given one more.
    fn has_room(&mut self) -> bool {
        let now = Instant::now();
        while self
            .sent
            .front()
            .is_some_and(|sent| now.saturating_duration_since(*sent) >= self.delivery.per)
        {
            self.sent.pop_front();
        }
        self.sent.len() < self.delivery.at_most as usize
    }

    /// Tries until it is delivered or given up. Whether anybody has it then.
    async fn deliver(&self, number: u64, alert: &Alert) -> bool {
        let (tried, why) = self.records.tried(number);
        if tried >= self.delivery.attempts {
            let mut said = "the program ended during the last attempt that there was to be".to_owned();
            if let Some(why) = why {
                said.push_str(&format!("; before that, {why}"));
            }
            self.give_up(number, alert, said, false);
            return false;
        }
        let mut delays = self.delivery.delays().skip(tried as usize);
        // Whom it did not reach, if it reached some.
        let mut missed: Option<String> = None;
        loop {
            self.records.change(number, |record| record.attempts += 1);
            let Err(Failure { error, after, partly }) = self.attempt(alert).await else {
                self.note(number, Outcome::Delivered, None);
                return true;
            };
            // It names no secret: that is part of the channel's contract.
            let mut said = in_a_line(&error);
            match &missed {
                _ if partly => missed = Some(said.clone()),
                Some(missed) => said.push_str(&format!("; before that, {missed}")),
                None => {}
            }
            self.records.change(number, |record| {
                record.reached_some |= partly;
                record.error = Some(said.clone());
            });
            let Some(delay) = delays.next().filter(|_| error.is_transient()) else {
                self.give_up(number, alert, said, missed.is_some());
                return missed.is_some();
            };
            let delay = after.map_or(delay, |after| after.min(self.delivery.longest_delay));
            tracing::warn!(target: "flowkit_etl", channel = self.name, %alert, error = said, ?delay, "an alert is tried again");
            tokio::time::sleep(delay).await;
        }
    }

    fn give_up(&self, number: u64, alert: &Alert, error: String, anybody: bool) {
        let (outcome, message) = match anybody {
            true => (Outcome::Delivered, "an alert could not be delivered to all"),
            false => (Outcome::Undelivered, "an alert could not be delivered"),
        };
        tracing::error!(target: "flowkit_etl", channel = self.name, %alert, error, "{message}");
        self.note(number, outcome, Some(error));
    }

    async fn attempt(&self, alert: &Alert) -> Result<(), Failure> {
        let sending = AssertUnwindSafe(async { self.channel.send(alert).await }).catch_unwind();
        match tokio::time::timeout(self.delivery.timeout, sending).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => Err(Error::new(ErrorKind::Options, "the channel panicked").into()),
            Err(_) => {
                let message = format!("the channel took longer than {:?}", self.delivery.timeout);
                Err(Error::new(ErrorKind::Unavailable, message).into())
            }
        }
    }

    fn note(&self, number: u64, outcome: Outcome, error: Option<String>) {
        let at = self.clock.now();
        self.records.change(number, |record| {
            (record.outcome, record.at, record.error) = (outcome, at, error);
            record.reached_some |= outcome == Outcome::Delivered;
        });
    }
}

/// An error with its causes.
fn in_a_line(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}
