//! Alerts about runs, by email and webhooks.
//!
//! [`Alerts`] observes a runtime. [`Rule`]s say what is worth an alert: a run that failed, one that takes too long (told while it still runs), quality that does not do, a flow that has not succeeded for too long.
//! [`Channel`]s are where alerts go: [`Email`], [`Slack`] and what is compatible with it, any [`Webhook`], or one of your own.
//!
//! - The same is told once in a while: of equal findings about one flow within an hour ([`Rule::once_per`]) the first is told, and the next one that is told says how many there were meanwhile. That all is well again is told by rules that say [`Rule::tell_resolved`].
//! - Told is what a channel took. What it did not take counts as found and not told there: it is told when it is found again, after a rest of no more than the longest delay between attempts ([`Delivery::backoff`]), and that all is well only where somebody heard that it was not.
//! - A channel takes only so many alerts in a time ([`Delivery::at_most`]); what is held back is counted in the next one.
//! - What cannot be delivered is tried again, and recorded either way: [`Alerts::records`]. No run fails or waits for it.
//! - With [a file](AlertsBuilder::keep_in), a program that is started again knows what was told, what was not, and when flows last succeeded.
//! - Addresses of webhooks, passwords and headers are [`Secret`](flowkit::Secret)s. They are in no error, log or record.
//!
//! ```no_run
//! use flowkit::{Runtime, Secret};
//! use flowkit_etl::alerts::{Alerts, Delivery, Email, Rule, Slack};
//! use std::time::Duration;
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let hour = Duration::from_secs(3600);
//! let password = Secret::new(std::env::var("SMTP_PASSWORD")?);
//! let email = Email::new("smtp.example", "etl@farm.example", ["ops@farm.example"])?.credentials("etl", password);
//! let alerts = Alerts::builder()
//!     .channel("chat", Slack::from_env("SLACK_WEBHOOK")?)
//!     .channel_with("mail", email, Delivery::new().at_most(5, hour))
//!     .rule(Rule::run_failed().tell_resolved())
//!     .rule(Rule::took_over(2 * hour).flow("nightly").to("chat"))
//!     .rule(Rule::no_success_within("nightly", 26 * hour).to("mail"))
//!     .start()?;
//! let runtime = Runtime::builder().observe(alerts.clone()).build().await?;
//! // … and at the program's end:
//! runtime.shutdown(Duration::from_secs(10)).await;
//! let undelivered = alerts.shutdown(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```

mod alert;
mod channel;
mod delivery;
mod email;
mod fate;
mod found;
mod history;
#[cfg(feature = "quality")]
mod judged;
mod post;
mod record;
mod rule;
mod seen;
mod slack;
mod smtp;
mod watch;
mod webhook;

pub use self::alert::{Alert, Status};
pub use self::channel::{Channel, Failure};
pub use self::delivery::Delivery;
pub use self::email::{Email, Encryption};
pub use self::record::{AlertRecord, DEFAULT_RECORDS, Outcome};
pub use self::rule::{DEFAULT_WINDOW, Rule};
pub use self::slack::Slack;
pub use self::webhook::Webhook;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flowkit::{Clock, Event, Observer, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use self::delivery::Line;
use self::found::{Findings, Listener, Told};
use self::history::{History, Remembered};
use self::record::Records;
use self::seen::{Message, Seen};
use self::watch::Watch;
use crate::error::{Error, ErrorKind, Result};

/// An observer that alerts. Clones are the same.
///
/// What is observed is handed to a task of tokio's, which judges it, and one for each channel, which delivers. They go on until [`shutdown`](Self::shutdown), or until nobody holds this any more and all is delivered.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

struct Shared {
    messages: mpsc::UnboundedSender<Message>,
    records: Records,
    clock: Arc<dyn Clock>,
    /// What judges, and ends after what delivers.
    judge: Mutex<Option<JoinHandle<()>>>,
    judging: AbortHandle,
    /// What writes records down, where that is asked for.
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Describes [`Alerts`].
#[must_use = "a builder does nothing until it is started"]
pub struct AlertsBuilder {
    rules: Vec<Rule>,
    channels: Vec<(String, Arc<dyn Channel>, Delivery)>,
    records: usize,
    kept_in: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl Alerts {
    /// Describes what is alerted of, and where to.
    pub fn builder() -> AlertsBuilder {
        AlertsBuilder {
            rules: Vec::new(),
            channels: Vec::new(),
            records: DEFAULT_RECORDS,
            kept_in: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// What was alerted and what became of it, the first ones first; the last [`DEFAULT_RECORDS`] unless said otherwise. There is one for each channel that an alert goes to.
    pub fn records(&self) -> Vec<AlertRecord> {
        self.shared.records.all()
    }

    /// Takes no more, and waits until what is outstanding was delivered or given up, for so long at most. What is left then is given up; with [a file](AlertsBuilder::keep_in), it waits for the next process, which goes on with what [attempts](Delivery::attempts) are left, unless somebody has it: who, only this process knows, so that it counts as delivered.
    ///
    /// Returns the alerts that were not delivered, of all that are remembered or were waiting, those that wait still among them. It is called after the runtime was shut down, so that the last runs are alerted of, too.
    pub async fn shutdown(&self, at_most: Duration) -> Vec<AlertRecord> {
        // Nobody takes it if it has ended.
        drop(self.shared.messages.send(Message::Stop));
        let judged = ended(&self.shared.judge);
        if tokio::time::timeout(at_most, judged).await.is_err() {
            // It holds those that deliver, which end with it.
            self.shared.judging.abort();
        }
        let undelivered = self.shared.records.give_up(self.shared.clock.now());
        self.shared.records.close();
        let written = ended(&self.shared.writer);
        if tokio::time::timeout(at_most, written).await.is_err() {
            tracing::error!(target: "flowkit_etl", "the last records of alerts are not written yet");
        }
        undelivered
    }
}

/// Waits until a task has ended. Whoever else does meanwhile waits for the same.
async fn ended(task: &Mutex<Option<JoinHandle<()>>>) {
    let mut task = task.lock().await;
    if let Some(ending) = task.as_mut() {
        // Whatever ended it.
        drop(ending.await);
        *task = None;
    }
}

impl AlertsBuilder {
    /// With a rule more.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// With a channel more, of this name.
    pub fn channel(self, name: impl Into<String>, channel: impl Channel) -> Self {
        self.channel_with(name, channel, Delivery::new())
    }

    /// With a channel more, and how it is delivered to.
    pub fn channel_with(
        mut self,
        name: impl Into<String>,
        channel: impl Channel,
        delivery: Delivery,
    ) -> Self {
        self.channels.push((name.into(), Arc::new(channel), delivery));
        self
    }

    /// How many records are kept; [`DEFAULT_RECORDS`] unless said otherwise. What waits to be delivered is kept beyond that.
    pub fn remember(mut self, records: usize) -> Self {
        self.records = records.max(1);
        self
    }

    /// Keeps the records in a file, too, which is made if it is not there: a line of JSON for each change of an [`AlertRecord`], of which the last one with its `number` counts, and one for each
    /// success that a rule listens for. It does not grow beyond what is [remembered](Self::remember) and some megabytes.
    ///
    /// Whoever is started with the same file after that knows all of it: [`Alerts::records`] has the alerts of before, those that were waiting when the process ended and had reached nobody are delivered now (of each channel the last 1,001, and none more often than it
    /// may be [tried](Delivery::attempts) in all), what was told lately is not told again, what is well again is told, and [`Rule::no_success_within`] counts from the last success, or from when it was first listened for.
    ///
    /// No run or alert waits for the file. One that cannot be written is logged as an error, tried again every minute, and written as a whole once it can be. One process at a time has it, by a lock on a file beside it.
    pub fn keep_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.kept_in = Some(path.into());
        self
    }

    /// Where wall time comes from, for what is told of without an event; the system's clock unless said otherwise.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// When there is no channel, one cannot deliver as it is described, two have one name, a rule names one that is not there or says what is for other rules, or no tokio runtime is here;
    /// with [a file](Self::keep_in), when that cannot be read or written as a whole (the disk may be full), another process has it, or it has no records of alerts and something else.
    pub fn start(self) -> Result<Alerts> {
        let tokio = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Options, "alerts are started within a tokio runtime").because(error)
        })?;
        let routes = self.routes()?;
        for rule in &self.rules {
            rule.check()?;
        }
        for (name, channel, _) in &self.channels {
            channel.check().map_err(|error| {
                Error::new(error.kind(), format!("the channel `{name}` cannot deliver")).because(error)
            })?;
        }
        let now = self.clock.now();
        let (records, writer) = kept(self.kept_in, self.records, &tokio)?;
        let (messages, received) = mpsc::unbounded_channel();
        let lines: Vec<Line> = self
            .channels
            .into_iter()
            .map(|(name, channel, delivery)| {
                Line::open(
                    &tokio,
                    name,
                    channel,
                    delivery,
                    records.clone(),
                    self.clock.clone(),
                )
            })
            .collect();
        let mut rules = self.rules;
        for rule in &mut rules {
            rule.remember(&records, now);
        }
        let listeners: Vec<Listener<'_>> = lines.iter().map(Line::listener).collect();
        let at = (Instant::now(), now);
        let findings = Findings::new(&rules, &listeners, routes, records.before(), at);
        let watch = Watch::new(rules, findings, at.0, now);
        delivery::go_on(&lines, &records, now);
        let judge = Judge {
            watch,
            lines,
            records: records.clone(),
            clock: self.clock.clone(),
        };
        let judge = tokio.spawn(judge.run(received));
        Ok(Alerts {
            shared: Arc::new(Shared {
                messages,
                records,
                clock: self.clock,
                judging: judge.abort_handle(),
                judge: Mutex::new(Some(judge)),
                writer: Mutex::new(writer),
            }),
        })
    }

    /// For each rule, to which channels it goes.
    fn routes(&self) -> Result<Vec<Vec<usize>>> {
        let names: Vec<&str> = self.channels.iter().map(|(name, ..)| name.as_str()).collect();
        let wrong = |message: String| Err(Error::new(ErrorKind::Options, message));
        if names.is_empty() {
            return wrong("alerts go nowhere: add a channel".to_owned());
        }
        for (index, name) in names.iter().enumerate() {
            if names.iter().skip(index + 1).any(|other| other == name) {
                return wrong(format!("two channels are called `{name}`"));
            }
        }
        let mut routes = Vec::new();
        for rule in &self.rules {
            let mut route: Vec<usize> = Vec::new();
            for channel in &rule.channels {
                match names.iter().position(|name| name == channel) {
                    Some(index) => route.push(index),
                    None => {
                        let names = names.join("`, `");
                        return wrong(format!(
                            "the rule `{rule}` goes to `{channel}`, and there are the channels `{names}`"
                        ));
                    }
                }
            }
            if route.is_empty() {
                route.extend(0..names.len());
            }
            routes.push(route);
        }
        Ok(routes)
    }
}

/// The records, and what writes them down if that is asked for.
fn kept(path: Option<PathBuf>, at_most: usize, tokio: &Handle) -> Result<(Records, Option<JoinHandle<()>>)> {
    let Some(path) = path else {
        return Ok((Records::new(at_most, Remembered::default(), None), None));
    };
    let (mut history, remembered) = History::open(path)?;
    let (written, received) = mpsc::unbounded_channel();
    let records = Records::new(at_most, remembered, Some(written));
    let remembering = records.remembering();
    // As it is numbered now.
    history.rewrite(&remembering.entries().unwrap_or_default())?;
    let writer = tokio.spawn(history.follow(received, remembering));
    Ok((records, Some(writer)))
}

/// What judges what was seen, and hands alerts to those that deliver.
struct Judge {
    watch: Watch,
    lines: Vec<Line>,
    records: Records,
    clock: Arc<dyn Clock>,
}

impl Judge {
    async fn run(mut self, mut received: mpsc::UnboundedReceiver<Message>) {
        loop {
            let due = self.watch.next_due();
            let message = tokio::select! {
                biased;
                message = received.recv() => message,
                () = until(due) => {
                    let told = self.watch.due(Instant::now(), self.clock.now());
                    self.pass_on(told);
                    continue;
                }
            };
            match message {
                Some(Message::Seen(seen)) => {
                    for flow in self.watch.listens(&seen) {
                        self.records.heard(flow, seen.at);
                    }
                    let told = self.watch.seen(seen, Instant::now());
                    self.pass_on(told);
                }
                Some(Message::Stop) | None => break,
            }
        }
        for line in self.lines {
            line.close().await;
        }
    }

    fn pass_on(&self, told: Vec<Told>) {
        for told in told {
            if let Some(line) = self.lines.get(told.channel) {
                line.send(told);
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Observer for Alerts {
    fn on_event(&self, event: &Event<'_>) {
        if let Some(seen) = Seen::of(event) {
            // Nobody takes it after the shutdown.
            drop(self.shared.messages.send(Message::Seen(seen)));
        }
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").finish_non_exhaustive()
    }
}

impl fmt::Debug for AlertsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertsBuilder")
            .field("rules", &self.rules)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}
