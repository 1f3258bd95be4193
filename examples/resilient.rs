//! A service that goes down and comes back, and what keeps a flow from making it worse: `cargo run --example resilient`.
//!
//! At most four calls at a time, no more than a hundred a second, and none while a circuit breaker holds the service to be down. A hook says
//! which call failed for good.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{Breaker, Event, EventKind, HookRun, Observer};

/// Answers, then is down for a while, then answers again.
#[derive(Default)]
struct Service(AtomicU32);

impl Service {
    fn call(&self) -> Result<u32> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            call @ 10..13 => Err(format!("call {call} was not answered").into()),
            call => Ok(call),
        }
    }
}

fn report(run: HookRun) {
    let why = run.error().map(ToString::to_string).unwrap_or_default();
    println!("  hook: {why}");
}

#[task(
    limit = "service",
    rate_limit = "service",
    circuit_breaker = "service",
    retries = 2,
    retry_delay = "50ms",
    retry_backoff = 2.0,
    on_failure = report
)]
async fn call(n: u32, #[resource] service: &Service) -> Result<u32> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    service.call().map(|answer| answer + n)
}

#[flow]
async fn survey(calls: u32) -> Result<usize> {
    let mut answered = 0;
    for batch in 0..calls / 8 {
        let outcomes = (0..8).map(|n| call(batch * 8 + n)).submit_all().outcomes().await;
        answered += outcomes.values().count();
        // Somebody who sleeps like this holds no slot meanwhile.
        flowkit::sleep(Duration::from_millis(100)).await;
    }
    Ok(answered)
}

/// Says when the breaker changes.
struct Watch;

impl Observer for Watch {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::BreakerChanged { name, from, to } = event.kind {
            println!("  breaker `{name}`: {from:?} → {to:?}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let breaker = Breaker::new()
        .failure_threshold(3)
        .reset_timeout(Duration::from_millis(200));
    let runtime = Runtime::builder()
        .limit("service", 4)
        .rate_limit("service", 100, Duration::from_secs(1))
        .circuit_breaker("service", breaker)
        .resource(Service::default())
        .observe(Watch)
        .build()
        .await?;
    let run = runtime.run(survey(48u32)).await;
    println!(
        "{} of 48 calls were answered; the others were spared the service while it was down",
        run.into_result()?
    );
    Ok(())
}
