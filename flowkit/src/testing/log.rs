//! A log of what happened, and assertions over it that say in words what they found.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::history::{History, LoggedRun, Place};
use crate::event::{Event, Observer};
use crate::state::State;

/// So many runs of a name are told of in full where an assertion fails.
const SHOWN: usize = 20;

/// Remembers every event of the runtime that it observes. Cheap to clone; all clones are the same log.
///
/// A [`TestRuntime`](super::TestRuntime) has one. Any other runtime can be given one too, with
/// [`Builder::observe`](crate::Builder::observe).
///
/// The assertions ask for runs by name: that of a task, of a flow that was called in another, or the name of a single run
/// (`run_name`, `.named(…)`). The items of a fan-out are runs, the fan-out itself is not, and neither is the flow that a test runs: what became
/// of that is in its [`FlowRun`](crate::FlowRun). An assertion that fails panics with what it expected, what there was, and the log of the runs of that
/// name. A name that nothing has ever had is no mistake by itself, so
/// [`assert_never_ran`](Self::assert_never_ran) cannot tell a name that is misspelled.
///
/// ```
/// use flowkit::prelude::*;
/// use flowkit::testing::EventLog;
///
/// #[task]
/// async fn page(number: u32) -> u32 {
///     number
/// }
///
/// #[flow]
/// async fn book(pages: u32) -> Result<u32> {
///     Ok((0..pages).map(page).submit_all().await?.into_iter().sum())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let log = EventLog::new();
/// let runtime = Runtime::builder().observe(log.clone()).build().await?;
/// assert_eq!(runtime.run(book(4)).await.into_result()?, 6);
/// log.assert_ran("page", 4);
/// assert_eq!(log.runs("page")[2].states(), [State::Pending, State::Running, State::Completed]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct EventLog(Arc<Mutex<History>>);

impl fmt::Debug for EventLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventLog")
            .field("runs", &self.lock().runs().len())
            .finish_non_exhaustive()
    }
}

/// The whole history: a line for each event, with the time since the first one, the name of the run, and what happened.
impl fmt::Display for EventLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.lock(), formatter)
    }
}

impl Observer for EventLog {
    fn on_event(&self, event: &Event<'_>) {
        self.lock().note(event);
    }
}

impl EventLog {
    /// A log in which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- what happened ---

    /// The runs of this name, in the order of submission.
    pub fn runs(&self, name: &str) -> Vec<LoggedRun> {
        self.lock().runs_of(name).cloned().collect()
    }

    /// The states that the runs of this name went through: those of the first run in order, then those of the next.
    pub fn states(&self, name: &str) -> Vec<State> {
        let history = self.lock();
        let runs = history.runs_of(name);
        runs.flat_map(|run| run.states().iter().copied()).collect()
    }

    /// A digest of the whole history: every event with its time, its run and its error.
    ///
    /// On a [`TestRuntime`](super::TestRuntime) it is the same for the same flow and seed, each time. What runs on other threads, such
    /// as bodies that are not async, comes in the order of those threads, and so may differ.
    pub fn digest(&self) -> String {
        self.lock().digest()
    }

    /// Forgets everything, so that the assertions that follow are about what happens from now on.
    pub fn clear(&self) {
        *self.lock() = History::default();
    }

    // --- assertions ---

    /// The body of one run of this name began, of no more and of no fewer, however many attempts it took.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_ran_once(&self, name: &str) {
        self.assert_ran(name, 1);
    }

    /// No body of a run of this name began: there was none, or all were served from the cache, cancelled or kept from it otherwise.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_never_ran(&self, name: &str) {
        self.assert_ran(name, 0);
    }

    /// The bodies of so many runs of this name began, however many attempts they took.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_ran(&self, name: &str, runs: usize) {
        let history = self.lock();
        let found = history.runs_of(name).filter(|run| run.attempts() > 0).count();
        if found != runs {
            let what = format!("{}, but it {}", expected(name, "run", runs), ran(found));
            drop(history);
            self.fail(&what, &[name], &is_notable);
        }
    }

    /// So many runs of this name were served: from the cache, by an equal run at the same time, or by an earlier attempt
    /// of their flow.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_hits(&self, name: &str, hits: usize) {
        let history = self.lock();
        let cached = history.runs_of(name).filter(|run| run.state() == State::Cached);
        let found = cached.count();
        if found != hits {
            let expected = expected(name, "been served from the cache", hits);
            let what = format!("{expected}, but it was {}", times(found));
            drop(history);
            self.fail(&what, &[name], &is_notable);
        }
    }

    /// So many attempts of this name began after one that failed, those of all its runs together.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_retried(&self, name: &str, retries: u32) {
        let history = self.lock();
        let found: u32 = history
            .runs_of(name)
            .map(|run| run.attempts().saturating_sub(1))
            .sum();
        if found != retries {
            let expected = expected(name, "been retried", retries as usize);
            let what = format!("{expected}, but it was {}", times(found as usize));
            drop(history);
            self.fail(&what, &[name], &is_notable);
        }
    }

    /// There was a run of this name, and every one is in this state.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_ended(&self, name: &str, state: State) {
        let history = self.lock();
        let states: Vec<State> = history.runs_of(name).map(LoggedRun::state).collect();
        let what = match states.iter().find(|other| **other != state) {
            None if !states.is_empty() => return,
            None => format!("expected `{name}` to be {state}, but there was no run of it"),
            Some(other) if states.len() == 1 => {
                format!("expected `{name}` to be {state}, but it is {other}")
            }
            Some(other) => format!(
                "expected all {} runs of `{name}` to be {state}, but one of them is {other}",
                states.len()
            ),
        };
        drop(history);
        self.fail(&what, &[name], &|run| run.state() != state);
    }

    /// Both began, and the first attempt of any run of `earlier` before the first attempt of any run of `later`.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_began_before(&self, earlier: &str, later: &str) {
        let history = self.lock();
        let began = |name| history.runs_of(name).filter_map(LoggedRun::began).min();
        let found = match (began(earlier), began(later)) {
            (Some(first), Some(second)) if first < second => return,
            (Some(_), Some(_)) => format!("`{later}` began first"),
            (None, _) => format!("`{earlier}` never began"),
            (_, None) => format!("`{later}` never began"),
        };
        drop(history);
        let what = format!("expected `{earlier}` to have begun before `{later}`, but {found}");
        self.fail(&what, &[earlier, later], &is_notable);
    }

    #[track_caller]
    fn fail(&self, what: &str, names: &[&str], matters: &dyn Fn(&LoggedRun) -> bool) -> ! {
        let logs: String = names.iter().map(|name| self.describe(name, matters)).collect();
        super::fail(&format!("{what}\n\n{logs}"))
    }

    /// What happened to the runs of a name, in words. Where they are many, those that `matters` picks come first, and the rest is cut off.
    pub(super) fn describe(&self, name: &str, matters: &dyn Fn(&LoggedRun) -> bool) -> String {
        let history = self.lock();
        let mut runs: Vec<_> = history.runs_of(name).collect();
        if runs.is_empty() && history.is_flow(name) {
            return format!("`{name}` is the flow that was run: what became of it is in its `FlowRun`.\n");
        }
        if runs.is_empty() {
            return format!("Nothing happened to `{name}`. {}\n", names_in(&history));
        }
        let left_off = runs.len().saturating_sub(SHOWN);
        if left_off > 0 {
            runs.sort_by_key(|run| !matters(run));
        }
        let mut words = format!("What happened to `{name}`:\n");
        for run in runs.into_iter().take(SHOWN) {
            let title = format!(
                "  {} ({}), a run of `{}`\n",
                run.name(),
                Place(run.id()),
                run.task()
            );
            words.push_str(&title);
            words.push_str(&history.lines_of(run.id()));
        }
        if left_off > 0 {
            words.push_str(&format!("  and {left_off} runs more\n"));
        }
        words
    }
}

/// Whether there is more to say of a run than that its first attempt returned a value.
pub(super) fn is_notable(run: &LoggedRun) -> bool {
    run.state() != State::Completed || run.attempts() != 1
}

/// The tasks that a history has runs of, by name.
fn names_in(history: &History) -> String {
    let mut names: Vec<_> = history.runs().iter().map(LoggedRun::task).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "The log has no runs.".to_owned();
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("The log has runs of {}.", names.join(", "))
}

fn expected(name: &str, what: &str, count: usize) -> String {
    match count {
        0 => format!("expected `{name}` never to have {what}"),
        count => format!("expected `{name}` to have {what} {}", times(count)),
    }
}

fn ran(runs: usize) -> String {
    match runs {
        0 => "never ran".to_owned(),
        runs => format!("ran {}", times(runs)),
    }
}

fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}
