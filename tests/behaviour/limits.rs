//! Limits, rate limits, circuit breakers and the retry budget: what attempts pass before they begin.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{Breaker, BreakerState, Event, EventKind, LimitUse, RetryBudget};
use tokio::time::Instant;

use crate::recorder::Recorder;

/// Counts how many work at once, and remembers the most.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    pub(crate) fn enter(&self) -> Inside<'_> {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

pub(crate) struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[task(limit = "db")]
pub(crate) async fn query(n: u32, #[resource] gauge: &Gauge) -> u32 {
    let _inside = gauge.enter();
    tokio::time::sleep(Duration::from_secs(1)).await;
    n
}

#[flow]
async fn queries(count: u32) -> Result<Vec<u32>> {
    Ok((0..count).map(query).submit_all().await?)
}

pub(crate) async fn with_db(slots: u32) -> (Runtime, Gauge, Recorder) {
    let (gauge, recorder) = (Gauge::default(), Recorder::default());
    let runtime = Runtime::builder()
        .limit("db", slots)
        .resource(gauge.clone())
        .observe(recorder.clone())
        .build()
        .await
        .unwrap();
    (runtime, gauge, recorder)
}

#[tokio::test(start_paused = true)]
async fn no_more_work_at_once_than_a_limit_has_slots_and_no_fewer() {
    let (runtime, gauge, recorder) = with_db(3).await;
    let began = Instant::now();
    let run = runtime.run(queries(9)).await;
    assert_eq!(run.into_result().unwrap().len(), 9);
    assert_eq!(gauge.most(), 3);
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(3),
        "a freed slot is taken at once"
    );
    assert!(recorder.states("query").contains(&State::AwaitingSlot));
    let free = LimitUse {
        capacity: 3,
        in_use: 0,
        waiting: 0,
    };
    assert_eq!(runtime.limit_use("db"), Some(free));
}

#[tokio::test(start_paused = true)]
async fn a_weight_takes_more_than_one_slot_and_the_heavy_one_is_not_overtaken() {
    #[task(limit("db", 2))]
    async fn heavy(#[resource] order: &Mutex<Vec<&'static str>>) {
        order.lock().unwrap().push("heavy");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    #[task(limit = "db")]
    async fn light(name: &'static str, #[resource] order: &Mutex<Vec<&'static str>>) {
        order.lock().unwrap().push(name);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    #[flow]
    async fn mixed() -> Result<()> {
        let first = light("first").submit();
        tokio::task::yield_now().await;
        let heavy = heavy().submit();
        tokio::task::yield_now().await;
        let last = light("last").submit();
        first.await?;
        heavy.await?;
        Ok(last.await?)
    }
    let runtime = Runtime::builder()
        .limit("db", 2)
        .resource(Mutex::new(Vec::<&'static str>::new()))
        .build()
        .await
        .unwrap();
    #[task]
    async fn look(#[resource] order: &Mutex<Vec<&'static str>>) -> Vec<&'static str> {
        order.lock().unwrap().clone()
    }
    #[flow]
    async fn looking() -> Result<Vec<&'static str>> {
        Ok(look().await?)
    }
    runtime.run(mixed()).await.into_result().unwrap();
    assert_eq!(
        runtime.run(looking()).await.into_result().unwrap(),
        ["first", "heavy", "last"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_gives_back_what_it_holds_and_leaves_the_line() {
    #[flow]
    async fn cancelling() -> Result<()> {
        let holds = query(1u32).submit();
        let waits = query(2u32).submit();
        let last = query(3u32).submit();
        tokio::task::yield_now().await;
        waits.cancel();
        holds.cancel();
        assert!(holds.await.is_err() && waits.await.is_err());
        last.await?;
        Ok(())
    }
    let (runtime, ..) = with_db(1).await;
    let began = Instant::now();
    runtime.run(cancelling()).await.into_result().unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

// 190
#[tokio::test]
async fn what_cannot_be_had_is_an_error_and_not_a_wait() {
    #[task(limit("db", 5))]
    async fn too_heavy() {}
    #[task(limit = "nowhere")]
    async fn unknown() {}
    #[flow]
    async fn both() -> Result<Vec<flowkit::Error>> {
        Ok(vec![too_heavy().await.unwrap_err(), unknown().await.unwrap_err()])
    }
    let (runtime, ..) = with_db(2).await;
    let errors = runtime.run(both()).await.into_result().unwrap();
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::MissingLimit));
    assert!(errors.iter().all(|error| error.attempts() == 0));
    assert_eq!(
        errors[0].to_string(),
        "task `too_heavy`: a weight of 5 was asked of the limit `db`, which gives 1 to 2; the runtime has `db`"
    );
    let error = Runtime::builder().limit("db", 0).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    let error = Runtime::builder().task_limit(0).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
}

// 188
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slot_no_longer_than_it_likes_never_begins() {
    #[flow]
    async fn impatient() -> Result<()> {
        let first = query(1u32).submit();
        tokio::task::yield_now().await;
        let gave_up = tokio::time::timeout(Duration::from_millis(10), query(2u32).into_future()).await;
        assert!(gave_up.is_err());
        first.await?;
        Ok(())
    }
    let (runtime, _, recorder) = with_db(1).await;
    let run = runtime.run(impatient()).await;
    assert_eq!(run.tasks()[1].state, State::Cancelled);
    assert_eq!(run.tasks()[1].attempts, 0);
    run.into_result().unwrap();
    assert_eq!(
        recorder
            .states("query")
            .iter()
            .filter(|state| **state == State::Running)
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_body_may_take_begins_when_it_has_its_slot() {
    #[task(limit = "db", timeout = "2s")]
    async fn patient() {}
    #[flow]
    async fn behind() -> Result<()> {
        let _first = query(1u32).submit();
        let _second = query(2u32).submit();
        let _third = query(3u32).submit();
        tokio::task::yield_now().await;
        // It waits for three seconds.
        Ok(patient().await?)
    }
    let (runtime, ..) = with_db(1).await;
    runtime.run(behind()).await.into_result().unwrap();
}

// 187
#[tokio::test(start_paused = true)]
async fn attempts_begin_no_faster_than_a_rate_limit_allows() {
    #[task(rate_limit = "api")]
    async fn call(#[resource] times: &Mutex<Vec<Instant>>) {
        times.lock().unwrap().push(Instant::now());
    }
    #[flow]
    async fn many() -> Result<()> {
        (0..25).map(|_| call()).submit_all().await?;
        Ok(())
    }
    #[task]
    async fn read(#[resource] times: &Mutex<Vec<Instant>>) -> Vec<Instant> {
        times.lock().unwrap().clone()
    }
    #[flow]
    async fn reading() -> Result<Vec<Instant>> {
        Ok(read().await?)
    }
    let runtime = Runtime::builder()
        .rate_limit("api", 10, Duration::from_secs(1))
        .resource(Mutex::new(Vec::<Instant>::new()))
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    runtime.run(many()).await.into_result().unwrap();
    let times = runtime.run(reading()).await.into_result().unwrap();
    let at = |index: usize| times[index] - began;
    assert_eq!(at(9), Duration::ZERO, "a whole period's worth at once");
    assert_eq!(at(10).as_millis() / 10, 10, "and then one each tenth of it");
    assert_eq!(at(24).as_millis() / 10, 150);
}

/// A service that is down until it is told otherwise.
#[derive(Clone, Default)]
struct Service(Arc<(AtomicU32, AtomicU32)>);

impl Service {
    fn calls(&self) -> u32 {
        self.0.1.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("503")
    }
}

impl std::error::Error for Down {}

#[task(circuit_breaker = "api")]
async fn ask(#[resource] service: &Service) -> Result<(), Down> {
    service.0.1.fetch_add(1, Ordering::SeqCst);
    if service.0.0.load(Ordering::SeqCst) == 0 {
        Err(Down)
    } else {
        Ok(())
    }
}

#[flow]
async fn asking(times: u32) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for _ in 0..times {
        said.push(match ask().await {
            Ok(()) => "fine".to_owned(),
            Err(error) => format!("{:?} after {}", error.kind(), error.attempts()),
        });
    }
    Ok(said)
}

/// Remembers how breakers changed.
#[derive(Clone, Default)]
struct Changes(Arc<Mutex<Vec<(BreakerState, BreakerState)>>>);

impl flowkit::Observer for Changes {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::BreakerChanged { from, to, .. } = event.kind {
            self.0.lock().unwrap().push((from, to));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_fails_fast_and_closes_again_when_a_probe_succeeds() {
    let (service, changes) = (Service::default(), Changes::default());
    let breaker = Breaker::new()
        .failure_threshold(3)
        .reset_timeout(Duration::from_secs(60));
    let runtime = Runtime::builder()
        .circuit_breaker("api", breaker)
        .resource(service.clone())
        .observe(changes.clone())
        .build()
        .await
        .unwrap();
    let said = runtime.run(asking(5)).await.into_result().unwrap();
    assert_eq!(
        said,
        [
            "Failed after 1",
            "Failed after 1",
            "Failed after 1",
            "CircuitOpen after 0",
            "CircuitOpen after 0"
        ]
    );
    assert_eq!(service.calls(), 3, "what is refused does not reach the service");
    assert_eq!(runtime.breaker_state("api"), Some(BreakerState::Open));

    tokio::time::sleep(Duration::from_secs(60)).await;
    let said = runtime.run(asking(2)).await.into_result().unwrap();
    assert_eq!(
        said,
        ["Failed after 1", "CircuitOpen after 0"],
        "the one probe failed"
    );

    tokio::time::sleep(Duration::from_secs(60)).await;
    service.0.0.store(1, Ordering::SeqCst);
    let said = runtime.run(asking(2)).await.into_result().unwrap();
    assert_eq!(said, ["fine", "fine"]);
    assert_eq!(runtime.breaker_state("api"), Some(BreakerState::Closed));
    use BreakerState::{Closed, HalfOpen, Open};
    assert_eq!(
        *changes.0.lock().unwrap(),
        [
            (Closed, Open),
            (Open, HalfOpen),
            (HalfOpen, Open),
            (Open, HalfOpen),
            (HalfOpen, Closed)
        ]
    );
}

#[tokio::test]
async fn errors_that_are_not_worth_a_retry_do_not_open_a_breaker() {
    fn is_down(error: &std::io::Error) -> bool {
        error.kind() == std::io::ErrorKind::ConnectionRefused
    }
    #[task(circuit_breaker = "api", retries = 1, retry_if = is_down)]
    async fn missing() -> std::io::Result<()> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    #[flow]
    async fn many() -> Result<()> {
        for _ in 0..9 {
            assert_eq!(missing().await.unwrap_err().kind(), ErrorKind::Failed);
        }
        Ok(())
    }
    let runtime = Runtime::builder()
        .circuit_breaker("api", Breaker::new().failure_threshold(2))
        .build()
        .await
        .unwrap();
    runtime.run(many()).await.into_result().unwrap();
    assert_eq!(runtime.breaker_state("api"), Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn retries_of_a_whole_runtime_stay_within_its_budget() {
    #[task(retries = 100)]
    async fn dying(#[resource] attempts: &AtomicU32) -> Result<()> {
        attempts.fetch_add(1, Ordering::SeqCst);
        Err("no".into())
    }
    #[flow]
    async fn many() -> Result<u32> {
        let outcomes = (0..10).map(|_| dying()).submit_all().outcomes().await;
        assert_eq!(outcomes.failures().count(), 10);
        Ok(read().await?)
    }
    #[task]
    async fn read(#[resource] attempts: &AtomicU32) -> u32 {
        attempts.load(Ordering::SeqCst)
    }
    let budget = RetryBudget::new()
        .ratio(0.5)
        .min_per_second(1)
        .window(Duration::from_secs(10));
    let runtime = Runtime::builder()
        .retry_budget(budget)
        .resource(AtomicU32::new(0))
        .build()
        .await
        .unwrap();
    let attempts = runtime.run(many()).await.into_result().unwrap();
    // Ten first attempts, ten retries of the floor, and half a retry for each call.
    assert_eq!(attempts, 25);
}

#[tokio::test]
async fn options_of_a_call_name_limits_too() {
    #[task]
    async fn plain(#[resource] seen: &Mutex<BTreeMap<&'static str, u32>>) {
        *seen.lock().unwrap().entry("plain").or_default() += 1;
    }
    #[flow]
    async fn around() -> Result<()> {
        plain().with(TaskOptions::new().limit("db", 2)).await?;
        let error = plain().with(TaskOptions::new().limit("db", 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingLimit);
        query(1u32).with(TaskOptions::new().no_limit()).await?;
        Ok(())
    }
    let runtime = Runtime::builder()
        .limit("db", 2)
        .resource(Gauge::default())
        .resource(Mutex::new(BTreeMap::<&'static str, u32>::new()))
        .build()
        .await
        .unwrap();
    runtime.run(around()).await.into_result().unwrap();
}
