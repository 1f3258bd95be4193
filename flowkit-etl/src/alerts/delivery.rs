//! The way of alerts to a channel: one after the other, not too many, again if need be.

use std::collections::VecDeque;
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
use super::record::{Fate, Outcome, Records};
use super::{Alert, Channel, Failure};
use crate::error::{Error, ErrorKind};

/// So many alerts wait for a channel at most.
const WAITING: usize = 1000;

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

    /// No more alerts than these in any such time. More are not sent: they are recorded as held back, and counted in the next one that is sent. That something is well again is told in any case.
    #[must_use]
    pub fn at_most(mut self, alerts: u32, per: Duration) -> Self {
        (self.at_most, self.per) = (alerts, per);
        self
    }

    /// How often an alert is tried, the first time included; at least once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long is waited before the second attempt, twice as long each time after, and no longer than the second duration. If the other side says how long, it is that, in the same bound.
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
    alerts: Option<mpsc::Sender<(u64, Alert)>>,
    worker: JoinHandle<()>,
    records: Records,
    clock: Arc<dyn Clock>,
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
        let (alerts, received) = mpsc::channel(WAITING);
        let worker = Worker {
            name: name.clone(),
            channel,
            delivery,
            records: records.clone(),
            clock: clock.clone(),
            sent: VecDeque::new(),
            held_back: 0,
        };
        Self {
            name,
            alerts: Some(alerts),
            worker: tokio.spawn(worker.run(received)),
            records,
            clock,
        }
    }

    /// What the channel is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Has an alert delivered, without waiting for that.
    pub(super) fn send(&self, alert: Alert, fate: Fate) {
        let number = self
            .records
            .add(&self.name, alert.clone(), fate, self.clock.now());
        self.queue(number, alert);
    }

    fn queue(&self, number: u64, alert: Alert) {
        let alerts = self.alerts.as_ref();
        if alerts.is_none_or(|alerts| alerts.try_send((number, alert)).is_err()) {
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

/// Has delivered what was waiting when an earlier process ended.
pub(super) fn go_on(lines: &[Line], records: &Records, now: SystemTime) {
    for (number, record) in records.of(&[Outcome::Waiting]) {
        match lines.iter().find(|line| line.name == record.channel) {
            Some(line) => line.queue(number, record.alert),
            None => records.change(number, |record| {
                (record.outcome, record.at) = (Outcome::Undelivered, now);
                record.error = Some(format!("there is no channel `{}` any more", record.channel));
            }),
        }
    }
}

struct Worker {
    name: String,
    channel: Arc<dyn Channel>,
    delivery: Delivery,
    records: Records,
    clock: Arc<dyn Clock>,
    /// When alerts were sent lately.
    sent: VecDeque<Instant>,
    /// How many were not sent since the last one that was.
    held_back: u64,
}

impl Worker {
    async fn run(mut self, mut alerts: mpsc::Receiver<(u64, Alert)>) {
        while let Some((number, mut alert)) = alerts.recv().await {
            if alert.status == Status::Raised && !self.may_send() {
                self.held_back += 1;
                self.note(number, Outcome::HeldBack, None);
                tracing::warn!(target: "flowkit_etl", channel = self.name, %alert, "an alert was held back, since there were too many");
                continue;
            }
            alert.held_back = self.held_back;
            self.records
                .change(number, |record| record.alert.held_back = alert.held_back);
            if self.deliver(number, &alert).await {
                self.held_back = 0;
            }
        }
    }

    /// Whether there is room for one more, which takes it.
    fn may_send(&mut self) -> bool {
        let now = Instant::now();
        while self
            .sent
            .front()
            .is_some_and(|sent| now.saturating_duration_since(*sent) >= self.delivery.per)
        {
            self.sent.pop_front();
        }
        let may = self.sent.len() < self.delivery.at_most as usize;
        if may {
            self.sent.push_back(now);
        }
        may
    }

    /// Tries until it is delivered or given up.
    async fn deliver(&self, number: u64, alert: &Alert) -> bool {
        let mut delays = self.delivery.delays();
        let mut anybody = false;
        loop {
            self.records.change(number, |record| record.attempts += 1);
            let Err(Failure { error, after, partly }) = self.attempt(alert).await else {
                self.note(number, Outcome::Delivered, None);
                return true;
            };
            anybody |= partly;
            // It names no secret: that is part of the channel's contract.
            self.records
                .change(number, |record| record.error = Some(in_a_line(&error)));
            let Some(delay) = delays.next().filter(|_| error.is_transient()) else {
                self.give_up(number, alert, &error, anybody);
                return anybody;
            };
            let delay = after.map_or(delay, |after| after.min(self.delivery.longest_delay));
            tracing::warn!(target: "flowkit_etl", channel = self.name, %alert, error = in_a_line(&error), ?delay, "an alert is tried again");
            tokio::time::sleep(delay).await;
        }
    }

    fn give_up(&self, number: u64, alert: &Alert, error: &Error, anybody: bool) {
        let (outcome, message) = match anybody {
            true => (Outcome::Delivered, "an alert could not be delivered to all"),
            false => (Outcome::Undelivered, "an alert could not be delivered"),
        };
        self.note(number, outcome, Some(in_a_line(error)));
        tracing::error!(target: "flowkit_etl", channel = self.name, %alert, error = in_a_line(error), "{message}");
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
