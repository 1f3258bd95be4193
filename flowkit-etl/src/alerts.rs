//! Alerts about runs, by email and webhooks.
//!
//! [`Alerts`] observes a runtime. [`Rule`]s say what is worth an alert: a run that failed, one that takes too long (told while it still runs), quality that does not do, a flow that has not succeeded for too long.
//! [`Channel`]s are where alerts go: [`Email`], [`Slack`] and what is compatible with it, any [`Webhook`], or one of your own.
//!
//! - The same is told once in a while: of equal findings about one flow within an hour ([`Rule::once_per`]) the first is told, and the next one that is told says how many there were meanwhile. That all is well again is told by rules that say [`Rule::tell_resolved`].
//! - A channel takes only so many alerts in a time ([`Delivery::at_most`]); what is held back is counted in the next one.
//! - What cannot be delivered is tried again, and recorded either way: [`Alerts::records`]. No run fails or waits for it.
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
mod post;
mod record;
mod rule;
mod seen;
mod slack;
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
use std::sync::Arc;
use std::time::Duration;

use flowkit::{Clock, Event, Observer, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use self::delivery::Line;
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
}

/// Describes [`Alerts`].
#[must_use = "a builder does nothing until it is started"]
pub struct AlertsBuilder {
    rules: Vec<Rule>,
    channels: Vec<(String, Arc<dyn Channel>, Delivery)>,
    records: usize,
    clock: Arc<dyn Clock>,
}

impl Alerts {
    /// Describes what is alerted of, and where to.
    pub fn builder() -> AlertsBuilder {
        AlertsBuilder {
            rules: Vec::new(),
            channels: Vec::new(),
            records: DEFAULT_RECORDS,
            clock: Arc::new(SystemClock),
        }
    }

    /// What was alerted and what became of it, the first ones first; the last [`DEFAULT_RECORDS`] unless said otherwise. There is one for each channel that an alert goes to.
    pub fn records(&self) -> Vec<AlertRecord> {
        self.shared.records.all()
    }

    /// Takes no more, and waits until what is outstanding was delivered or given up, for so long at most. What is left then is given up.
    ///
    /// Returns the alerts that were not delivered, of all that are remembered. It is called after the runtime was shut down, so that the last runs are alerted of, too.
    pub async fn shutdown(&self, at_most: Duration) -> Vec<AlertRecord> {
        // Nobody takes it if it has ended.
        drop(self.shared.messages.send(Message::Stop));
        let ended = async {
            // Whoever else shuts down meanwhile waits for the same.
            let mut judge = self.shared.judge.lock().await;
            if let Some(ending) = judge.as_mut() {
                drop(ending.await);
                *judge = None;
            }
        };
        if tokio::time::timeout(at_most, ended).await.is_err() {
            // It holds those that deliver, which end with it.
            self.shared.judging.abort();
        }
        self.shared.records.give_up(self.shared.clock.now())
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

    /// How many records are kept; [`DEFAULT_RECORDS`] unless said otherwise.
    pub fn remember(mut self, records: usize) -> Self {
        self.records = records.max(1);
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
    /// When there is no channel, one cannot deliver as it is described, two have one name, a rule names one that is not there, or no tokio runtime is here.
    pub fn start(self) -> Result<Alerts> {
        let tokio = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Options, "alerts are started within a tokio runtime").because(error)
        })?;
        let routes = self.routes()?;
        for (name, channel, _) in &self.channels {
            channel.check().map_err(|error| {
                Error::new(error.kind(), format!("the channel `{name}` cannot deliver")).because(error)
            })?;
        }
        let records = Records::new(self.records);
        let (messages, received) = mpsc::unbounded_channel();
        let lines = self
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
        let judge = Judge {
            watch: Watch::new(self.rules, Instant::now(), self.clock.now()),
            routes,
            lines,
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

/// What judges what was seen, and hands alerts to those that deliver.
struct Judge {
    watch: Watch,
    routes: Vec<Vec<usize>>,
    lines: Vec<Line>,
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

    fn pass_on(&self, told: Vec<(usize, Alert)>) {
        for (rule, alert) in told {
            for channel in self.routes.get(rule).into_iter().flatten() {
                if let Some(line) = self.lines.get(*channel) {
                    line.send(alert.clone());
                }
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
