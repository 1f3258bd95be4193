//! Faults: what a test has happen in an attempt of a task, as if its body had done it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::error::{BoxError, Failure};
use crate::ids::TaskRunId;

/// How long a fault hangs that nothing ends. The longest that a timer of tokio's takes is a little more than two years.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something that goes wrong in attempts of a task.
///
/// Without more said it happens in every attempt of every run of the task, in place of the body, which does not begin.
/// [`on_attempt`](Self::on_attempt) and [`on_run`](Self::on_run) narrow that down, and [`after_body`](Self::after_body) lets the body
/// do its work first. Several faults of one attempt happen one after the other, in the order in which they were given, up to the first
/// that ends the attempt. The engine treats what happens as it treats what a body does: it is retried, timed, recorded
/// and counted by circuit breakers in the same way. A run that is served from the cache has no attempt, and meets no fault.
///
/// ```
/// use flowkit::testing::Fault;
/// use std::time::Duration;
///
/// let no_route = Fault::fail("no route to host").on_attempt(1);
/// let answer_lost = Fault::fail_with(|| std::io::Error::from(std::io::ErrorKind::TimedOut)).after_body().on_attempts(1..=2);
/// let slow = Fault::delay(Duration::from_secs(5));
/// # let _ = (no_route, answer_lost, slow);
/// ```
#[must_use = "a fault happens only in a test runtime that it is given to"]
#[derive(Clone)]
pub struct Fault {
    act: Act,
    first: u32,
    last: u32,
    run: Option<u32>,
    after_body: bool,
    permanent: bool,
    after: Option<Duration>,
}

/// What happens.
#[derive(Clone)]
enum Act {
    Fail(Arc<dyn Fn() -> BoxError + Send + Sync>),
    Delay(Duration),
    Panic {
        message: Arc<str>,
        /// Where the fault was made: it is there that the panic happened.
        place: &'static Location<'static>,
    },
    Hang,
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fault({self})")
    }
}

impl Fault {
    fn new(act: Act) -> Self {
        Self {
            act,
            first: 1,
            last: u32::MAX,
            run: None,
            after_body: false,
            permanent: false,
            after: None,
        }
    }

    /// The attempt fails with an error of this message.
    pub fn fail(message: impl Into<Arc<str>>) -> Self {
        let message = message.into();
        Self::fail_with(move || message.to_string())
    }

    /// The attempt fails with the error that this makes, a new one for each attempt, so that a caller can
    /// [downcast](crate::Error::downcast_ref) it.
    pub fn fail_with<E: Into<BoxError>>(error: impl Fn() -> E + Send + Sync + 'static) -> Self {
        Self::new(Act::Fail(Arc::new(move || error().into())))
    }

    /// The attempt takes so much longer, of tokio's time: before its body begins or, with [`after_body`](Self::after_body), after
    /// its end. It counts towards the timeouts and holds the slots of the run, as a body that sleeps does.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Act::Delay(delay))
    }

    /// The attempt panics with this message, and with the place at which this is called.
    #[track_caller]
    pub fn panic(message: impl Into<Arc<str>>) -> Self {
        Self::new(Act::Panic {
            message: message.into(),
            place: Location::caller(),
        })
    }

    /// The attempt never ends by itself: its timeout ends it, or whoever cancels the run. If nothing has after a year, of tokio's time,
    /// it fails for good and says so, since that is better than a test that waits for ever.
    pub fn hang() -> Self {
        Self::new(Act::Hang)
    }

    /// Only in this attempt of a run, counted from 1.
    pub fn on_attempt(self, attempt: u32) -> Self {
        self.on_attempts(attempt..=attempt)
    }

    /// Only in these attempts of a run, counted from 1.
    pub fn on_attempts(mut self, attempts: impl RangeBounds<u32>) -> Self {
        self.first = match attempts.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 1,
        };
        self.last = match attempts.end_bound() {
            Bound::Included(&last) => last,
            Bound::Excluded(&after) => after.saturating_sub(1),
            Bound::Unbounded => u32::MAX,
        };
        self
    }

    /// Only in this run of the task, counted from 1 in the order in which their first attempts begin. It is one of a
    /// fan-out's items, for example.
    pub fn on_run(mut self, run: u32) -> Self {
        self.run = Some(run);
        self
    }

    /// When the body has ended, in place of what it returned: the work was done, and the answer got lost.
    pub fn after_body(mut self) -> Self {
        self.after_body = true;
        self
    }

    /// The error is not worth another attempt. A task's `retry_if` is not asked about the error of a fault; this says what it would.
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// The next attempt waits at least so long. A task's `retry_after` is not asked about the error of a fault; this says what it would.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }

    /// How an attempt ends that this error ends.
    fn failure(&self, error: BoxError) -> Failure {
        Failure::returned(error, !self.permanent).waiting(self.after)
    }
}

/// The fault in words: what happens, and when.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Fail(error) => write!(formatter, "fail with \"{}\"", error())?,
            Act::Delay(delay) => write!(formatter, "delay by {}", humantime::format_duration(*delay))?,
            Act::Panic { message, .. } => write!(formatter, "panic with \"{message}\"")?,
            Act::Hang => formatter.write_str("hang")?,
        }
        match (self.first, self.last) {
            (0 | 1, u32::MAX) => formatter.write_str(" in every attempt")?,
            (first, u32::MAX) => write!(formatter, " from attempt {first} on")?,
            (first, last) if first == last => write!(formatter, " in attempt {first}")?,
            (first, last) => write!(formatter, " in attempts {first} to {last}")?,
        }
        if let Some(run) = self.run {
            write!(formatter, " of run {run}")?;
        }
        if self.after_body {
            formatter.write_str(", after the body")?;
        }
        Ok(())
    }
}

/// A fault that a test runtime was given, and whether it has happened.
#[derive(Debug)]
struct Planned {
    /// The name of a task, or of a run.
    name: Arc<str>,
    fault: Fault,
    /// The runs of that name so far, each with its number. Kept only where the fault asks for one of them.
    runs: Mutex<HashMap<TaskRunId, usize>>,
    met: AtomicBool,
}

impl Planned {
    fn is_for(&self, task: &str, run_name: &str, run: TaskRunId, attempt: u32) -> bool {
        if *self.name != *task && *self.name != *run_name {
            return false;
        }
        let of_run = self.fault.run.is_none_or(|wanted| {
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            let next = runs.len() + 1;
            *runs.entry(run).or_insert(next) == wanted as usize
        });
        of_run && (self.fault.first..=self.fault.last).contains(&attempt)
    }
}

/// The faults of a test runtime.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Arc<Planned>>);

impl Faults {
    pub(super) fn add(&mut self, name: Arc<str>, fault: Fault) {
        self.0.push(Arc::new(Planned {
            name,
            fault,
            runs: Mutex::default(),
            met: AtomicBool::new(false),
        }));
    }

    /// What is to happen in an attempt that begins; mostly nothing.
    pub(crate) fn of_attempt(
        &self,
        task: &str,
        run_name: &str,
        run: TaskRunId,
        attempt: u32,
    ) -> Option<Box<FaultyAttempt>> {
        // Each is asked, also after one has been found: those that count runs count all of them.
        let mut faulty = FaultyAttempt::default();
        for planned in &self.0 {
            if planned.is_for(task, run_name, run, attempt) {
                let acts = if planned.fault.after_body {
                    &mut faulty.after
                } else {
                    &mut faulty.before
                };
                acts.push_back(Arc::clone(planned));
            }
        }
        let is_empty = faulty.before.is_empty() && faulty.after.is_empty();
        (!is_empty).then(|| Box::new(faulty))
    }

    /// The faults that have not happened, each with the name that it was given for.
    pub(super) fn unmet(&self) -> Vec<(&str, &Fault)> {
        let unmet = self
            .0
            .iter()
            .filter(|planned| !planned.met.load(Ordering::Relaxed));
        unmet.map(|planned| (&*planned.name, &planned.fault)).collect()
    }
}

/// One attempt in which something is to happen.
#[derive(Default)]
pub(crate) struct FaultyAttempt {
    before: VecDeque<Arc<Planned>>,
    after: VecDeque<Arc<Planned>>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// What the body returned, while faults follow it.
    returned: Option<Result<(), Failure>>,
}

impl FaultyAttempt {
    /// Polls what comes before the body, the body, and what comes after it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: impl FnOnce(&mut Context<'_>) -> Poll<Result<(), Failure>>,
    ) -> Poll<Result<(), Failure>> {
        if let Err(failure) = ready!(poll_acts(&mut self.before, &mut self.sleep, cx)) {
            return Poll::Ready(Err(failure));
        }
        if self.returned.is_none() {
            self.returned = Some(ready!(body(cx)));
        }
        let after = ready!(poll_acts(&mut self.after, &mut self.sleep, cx));
        let returned = self.returned.take().unwrap_or(Ok(()));
        Poll::Ready(after.and(returned))
    }
}

/// Has faults happen one after the other. An error is the one that ends the attempt.
fn poll_acts(
    acts: &mut VecDeque<Arc<Planned>>,
    sleep: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    while let Some(next) = acts.front() {
        next.met.store(true, Ordering::Relaxed);
        match &next.fault.act {
            Act::Fail(error) => return Poll::Ready(Err(next.fault.failure(error()))),
            Act::Panic { message, place } => {
                return Poll::Ready(Err(Failure::panicked(format!("{message} ({place})"))));
            }
            Act::Hang => {
                ready!(poll_sleep(sleep, FOR_EVER, cx));
                let endless: BoxError =
                    "it hung for a year: no timeout ended it, and nobody cancelled it".into();
                return Poll::Ready(Err(Failure::returned(endless, false)));
            }
            Act::Delay(delay) => ready!(poll_sleep(sleep, *delay, cx)),
        }
        acts.pop_front();
    }
    Poll::Ready(Ok(()))
}

fn poll_sleep(sleep: &mut Option<Pin<Box<Sleep>>>, duration: Duration, cx: &mut Context<'_>) -> Poll<()> {
    let sleeping = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(duration)));
    ready!(sleeping.as_mut().poll(cx));
    *sleep = None;
    Poll::Ready(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FlowRunId, NodeRef};

    fn run(node: u32) -> TaskRunId {
        TaskRunId::new(FlowRunId::from_u128(1), NodeRef::node(node))
    }

    fn faults(fault: Fault) -> Faults {
        let mut faults = Faults::default();
        faults.add("fetch".into(), fault);
        faults
    }

    fn attempts_of(fault: Fault) -> Vec<u32> {
        let faults = faults(fault);
        let hit = |attempt: &u32| faults.of_attempt("fetch", "fetch", run(0), *attempt).is_some();
        (1..=5).filter(hit).collect()
    }

    #[test]
    fn a_fault_happens_in_the_attempts_that_it_was_given_for() {
        assert_eq!(attempts_of(Fault::hang()), [1, 2, 3, 4, 5]);
        assert_eq!(attempts_of(Fault::hang().on_attempt(2)), [2]);
        assert_eq!(attempts_of(Fault::hang().on_attempts(2..4)), [2, 3]);
        assert_eq!(attempts_of(Fault::hang().on_attempts(2..=4)), [2, 3, 4]);
        assert_eq!(attempts_of(Fault::hang().on_attempts(..=2)), [1, 2]);
        assert_eq!(attempts_of(Fault::hang().on_attempts(4..)), [4, 5]);
    }

    #[test]
    fn a_fault_is_for_a_task_or_for_a_run_of_this_name() {
        let faults = faults(Fault::hang());
        assert!(faults.of_attempt("fetch", "fetch-a", run(0), 1).is_some());
        assert!(faults.of_attempt("get", "fetch", run(0), 1).is_some());
        assert!(faults.of_attempt("get", "get", run(0), 1).is_none());
    }

    #[test]
    fn runs_are_counted_as_they_begin_and_keep_their_numbers() {
        let faults = faults(Fault::hang().on_run(2));
        let hit = |node, attempt| faults.of_attempt("fetch", "fetch", run(node), attempt).is_some();
        assert_eq!([hit(7, 1), hit(3, 1), hit(5, 1)], [false, true, false]);
        assert_eq!([hit(7, 2), hit(3, 2), hit(5, 2)], [false, true, false]);
    }

    #[test]
    fn a_fault_says_in_words_what_happens_and_when() {
        let words = |fault: Fault| fault.to_string();
        assert_eq!(words(Fault::fail("no")), "fail with \"no\" in every attempt");
        assert_eq!(
            words(Fault::panic("oh").on_attempt(2)),
            "panic with \"oh\" in attempt 2"
        );
        assert_eq!(
            words(Fault::delay(Duration::from_secs(90)).on_attempts(1..=2).on_run(3)),
            "delay by 1m 30s in attempts 1 to 2 of run 3"
        );
        assert_eq!(
            words(Fault::hang().on_attempts(2..).after_body()),
            "hang from attempt 2 on, after the body"
        );
    }
}
