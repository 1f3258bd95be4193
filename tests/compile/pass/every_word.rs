//! Every word, with values that are constants where they can be.

use std::time::Duration;

use flowkit::HookRun;
use flowkit::prelude::*;

const RETRIES: u32 = 2;
const LONG: Duration = Duration::from_secs(5);
const TABLE: [(&str, u8); 1] = [("a", 1)];

#[flowkit::fingerprint(cache_includes(TABLE))]
fn helper(n: u8) -> u8 {
    n + TABLE[0].1
}

fn is_transient(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::TimedOut
}

fn wait_asked_for(error: &std::io::Error) -> Option<Duration> {
    is_transient(error).then_some(LONG)
}

pub(crate) fn noted(run: HookRun) {
    drop(run);
}

async fn told(run: HookRun) -> Result<()> {
    Err(run.name().into())
}

mod hooks {
    pub(crate) use super::noted;
}

#[task(
    name = "everything",
    description = "All words.",
    tags("a", "b"),
    version = "1",
    run_name = "run-{source}-{options:?}",
    cache = inputs + run,
    cache_exclude(options),
    cache_includes(helper, TABLE, other),
    cache_expiration = "1h 30m",
    cache_durable,
    retries = RETRIES,
    retry_delay = LONG,
    retry_backoff = 2,
    retry_max_delay = "1m",
    retry_jitter = 1.0 / 4.0,
    retry_if = is_transient,
    retry_after = wait_asked_for,
    retry_deadline = LONG,
    retry_panics,
    retry_timeouts = RETRIES == 0,
    timeout = Duration::from_millis(500),
    total_timeout = "1h",
    limit("db", 2, "api"),
    rate_limit = "api",
    circuit_breaker = "api",
    on_running = noted,
    on_success(noted, told),
    on_failure = [told],
    on_cancellation = hooks::noted,
    on_crash = noted,
    on_commit(noted, told),
    on_rollback = told
)]
async fn all(source: &str, options: Option<u8>) -> std::io::Result<u8> {
    Ok(helper(source.len() as u8 + options.unwrap_or(0)))
}

#[task(retries = 3, retry_delay = ["1s", LONG, "10s"])]
async fn other() -> std::io::Result<()> {
    Ok(())
}

#[flow(
    retries = 2,
    retry_delay = "1s",
    retry_if = is_transient,
    timeout = "1m",
    on_running = noted,
    on_success = noted,
    on_failure(noted, told),
    on_cancellation = noted,
    on_crash = told
)]
async fn retried() -> std::io::Result<()> {
    Ok(())
}

#[task(limit = "db")]
async fn one_limit(name: &'static str) -> usize {
    name.len()
}

#[task(limit = ["db", "api"])]
async fn two_limits() {}

#[task(cache = none, retries = 0)]
async fn off() {}

pub(crate) fn main() {
    let definition = all::DEFINITION;
    assert_eq!(
        (definition.name(), definition.description()),
        ("everything", "All words.")
    );
    assert!(definition.cache().is_some_and(|policy| policy.holds_run()));
    assert!(off::DEFINITION.cache().is_none());
    let _ = all("a", None);
    let _ = (one_limit("a"), two_limits());
    assert_eq!(retried::NAME, "retried");
    let options = format!("{:?}", other::DEFINITION.options());
    assert!(options.contains("[1s, 5s, 10s]"), "{options}");
}
