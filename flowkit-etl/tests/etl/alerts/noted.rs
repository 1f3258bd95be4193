//! A channel in memory, and runs that are watched, for tests of alerts under a paused clock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{SeededIds, TokioClock};
use flowkit_etl::alerts::{Alert, Alerts, AlertsBuilder, Channel, Failure};
use flowkit_etl::{Error, ErrorKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What a channel does when it is asked for the how-manieth time.
pub(crate) type Reply = Arc<dyn Fn(u32) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// A channel that keeps what it is sent, and when, if it takes it.
#[derive(Clone)]
pub(crate) struct Noted {
    pub(crate) taken: Arc<Mutex<Vec<(Duration, Alert)>>>,
    asked: Arc<AtomicU32>,
    pub(crate) tried: Arc<Mutex<Vec<Duration>>>,
    began: Instant,
    reply: Reply,
}

impl Noted {
    pub(crate) fn new() -> Self {
        Self::replying(|_| async { Ok(()) }.boxed())
    }

    pub(crate) fn replying(
        reply: impl Fn(u32) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            taken: Arc::default(),
            asked: Arc::default(),
            tried: Arc::default(),
            began: Instant::now(),
            reply: Arc::new(reply),
        }
    }

    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(_, alert)| alert.clone())
            .collect()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.alerts().iter().map(ToString::to_string).collect()
    }
}

impl std::fmt::Debug for Noted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Noted")
    }
}

impl Channel for Noted {
    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.tried.lock().unwrap().push(self.began.elapsed());
            (self.reply)(self.asked.fetch_add(1, Ordering::SeqCst)).await?;
            self.taken
                .lock()
                .unwrap()
                .push((self.began.elapsed(), alert.clone()));
            Ok(())
        }
        .boxed()
    }
}

pub(crate) fn unavailable() -> Failure {
    Error::new(ErrorKind::Unavailable, "nobody is there").into()
}

pub(crate) fn clock() -> TokioClock {
    TokioClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
}

/// A runtime that is watched, with one channel.
pub(crate) async fn watched(builder: AlertsBuilder, channel: &Noted) -> (Runtime, Alerts) {
    let alerts = builder
        .channel("noted", channel.clone())
        .clock(clock())
        .start()
        .unwrap();
    let runtime = Runtime::builder()
        .clock(clock())
        .ids(SeededIds::new(1))
        .observe(alerts.clone());
    (runtime.build().await.unwrap(), alerts)
}

#[flow(tags("farm"), run_name = "nightly-{outcome}")]
pub(crate) async fn nightly(outcome: String, takes: Duration) -> Result<()> {
    flowkit::sleep(takes).await;
    match outcome.as_str() {
        "well" => Ok(()),
        _ => Err(format!("the barn is {outcome}").into()),
    }
}

pub(crate) async fn run(runtime: &Runtime, outcome: &str) {
    drop(runtime.run(nightly(outcome, Duration::ZERO)).await);
}
