//! Stories of one circuit breaker, told with times that are handed in.

use super::BreakerState::{Closed, HalfOpen, Open};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn breaker(description: Breaker) -> Arc<CircuitBreaker> {
    CircuitBreaker::new("api", &description).unwrap()
}

fn call(breaker: &Arc<CircuitBreaker>, now: Instant) -> Permit {
    breaker.try_call(now).ok().unwrap().0
}

fn refused(breaker: &Arc<CircuitBreaker>, now: Instant) -> Refused {
    breaker.try_call(now).err().unwrap()
}

/// Calls that end as said, all at `now`; what the last one changed.
fn calls(breaker: &Arc<CircuitBreaker>, now: Instant, successes: &[bool]) -> Option<StateChange> {
    let mut last = None;
    for ok in successes {
        let permit = call(breaker, now);
        last = if *ok {
            permit.success(now)
        } else {
            permit.failure(now)
        };
    }
    last
}

fn change(from: BreakerState, to: BreakerState) -> Option<StateChange> {
    Some(StateChange { from, to })
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not_count_against_it() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_threshold(3));
    assert_eq!(calls(&breaker, now, &[false, false, true, false, false]), None);
    assert_eq!(breaker.state(now), Closed);
    assert_eq!(calls(&breaker, now, &[false]), change(Closed, Open));
    assert_eq!(breaker.state(now), Open);
}

#[test]
fn by_default_it_opens_after_five_failures_for_a_minute() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new());
    assert_eq!(calls(&breaker, now, &[false; 4]), None);
    assert_eq!(calls(&breaker, now, &[false]), change(Closed, Open));
    assert_eq!(refused(&breaker, now).retry_after, MINUTE);
    let later = now + Duration::from_secs(45);
    assert_eq!(refused(&breaker, later).retry_after, Duration::from_secs(15));
    assert_eq!(
        breaker.refusal(refused(&breaker, later)).to_string(),
        "the circuit breaker `api` is open, and may let a call through in 15s"
    );
}

#[test]
fn after_the_reset_timeout_one_probe_decides() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_threshold(1));
    calls(&breaker, now, &[false]);
    let later = now + MINUTE;
    assert_eq!(breaker.state(later), HalfOpen);
    let (probe, changed) = breaker.try_call(later).ok().unwrap();
    assert_eq!(changed, change(Open, HalfOpen));
    assert_eq!(
        refused(&breaker, later).retry_after,
        MINUTE,
        "one probe at a time"
    );
    assert_eq!(probe.failure(later), change(HalfOpen, Open));
    assert_eq!(
        refused(&breaker, later).retry_after,
        MINUTE,
        "the time begins anew"
    );
    let (probe, _) = breaker.try_call(later + MINUTE).ok().unwrap();
    assert_eq!(probe.success(later + MINUTE), change(HalfOpen, Closed));
    assert_eq!(breaker.state(later + MINUTE), Closed);
}

#[test]
fn as_many_successes_close_it_as_may_probe_at_a_time() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_threshold(1).half_open_probes(2));
    calls(&breaker, now, &[false]);
    let later = now + MINUTE;
    let (first, second) = (call(&breaker, later), call(&breaker, later));
    refused(&breaker, later);
    assert_eq!(first.success(later), None);
    let third = call(&breaker, later);
    assert_eq!(second.success(later), change(HalfOpen, Closed));
    assert_eq!(
        third.failure(later),
        None,
        "it was a probe, and the probing is over"
    );
    assert_eq!(breaker.state(later), Closed);
}

#[test]
fn a_cancelled_probe_frees_its_place_and_counts_as_nothing() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_threshold(1));
    calls(&breaker, now, &[false]);
    let later = now + MINUTE;
    let cancelled = call(&breaker, later);
    refused(&breaker, later);
    drop(cancelled);
    assert_eq!(breaker.state(later), HalfOpen);
    assert_eq!(call(&breaker, later).success(later), change(HalfOpen, Closed));
}

#[test]
fn a_call_from_before_it_opened_neither_closes_nor_reopens_it() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_threshold(1));
    let (slow_success, slow_failure) = (call(&breaker, now), call(&breaker, now));
    let (slower, cancelled) = (call(&breaker, now), call(&breaker, now));
    calls(&breaker, now, &[false]);
    assert_eq!(slow_success.success(now), None);
    assert_eq!(breaker.state(now), Open);

    let later = now + MINUTE;
    let probe = call(&breaker, later);
    assert_eq!(slow_failure.failure(later), None);
    drop(cancelled);
    refused(&breaker, later);
    assert_eq!(breaker.state(later), HalfOpen);

    assert_eq!(probe.success(later), change(HalfOpen, Closed));
    assert_eq!(
        slower.failure(later),
        None,
        "even though one failure would open it"
    );
    assert_eq!(breaker.state(later), Closed);
}

#[test]
fn a_rate_of_failures_opens_it_once_there_were_enough_calls() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_rate(0.5, MINUTE, 10));
    assert_eq!(calls(&breaker, now, &[false; 6]), None, "the rate alone decides");
    assert_eq!(calls(&breaker, now, &[true; 3]), None, "nine calls are too few");
    assert_eq!(calls(&breaker, now, &[true]), change(Closed, Open));
}

#[test]
fn failures_that_left_the_window_do_not_count() {
    let now = Instant::now();
    let breaker = breaker(Breaker::new().failure_rate(0.5, MINUTE, 4));
    calls(&breaker, now, &[false; 3]);
    let later = now + MINUTE;
    assert_eq!(calls(&breaker, later, &[true, true, true, false]), None);
    assert_eq!(calls(&breaker, later, &[false, false]), change(Closed, Open));
}

#[test]
fn a_breaker_that_makes_no_sense_is_not_built() {
    let message = |description: Breaker| {
        let error = CircuitBreaker::new("api", &description).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Build);
        error.to_string()
    };
    assert_eq!(
        message(Breaker::new().failure_threshold(0)),
        "the circuit breaker `api`: a failure threshold of 0 would never let a call through: give at least 1"
    );
    for rate in [0.0, -0.5, 1.01, f64::NAN] {
        assert!(message(Breaker::new().failure_rate(rate, MINUTE, 1)).contains("over 0 and up to 1"));
    }
    assert!(message(Breaker::new().failure_rate(0.5, Duration::ZERO, 1)).contains("window"));
    assert!(message(Breaker::new().failure_rate(0.5, MINUTE, 0)).contains("at least 0 calls"));
    assert!(message(Breaker::new().reset_timeout(Duration::ZERO)).contains("reset timeout"));
    assert!(message(Breaker::new().half_open_probes(0)).contains("probes"));
    breaker(Breaker::new().reset_timeout(Duration::MAX));
}

#[test]
fn breakers_are_found_by_name() {
    let breakers = Breakers::new([("api", Breaker::new()), ("db", Breaker::new())]).unwrap();
    assert_eq!(&**breakers.find("db").unwrap().name(), "db");
    let error = breakers.find("mail").err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no circuit breaker named `mail`; the runtime has `api`, `db`"
    );
    assert!(Breakers::new([("api", Breaker::new()), ("api", Breaker::new())]).is_err());
}
