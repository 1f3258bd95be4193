//! The one error type: what became of a run that has no value to give.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::definition::DefinitionKind;
use crate::ids::{FlowRunId, TaskRunId};
use crate::wait_graph::WaitingRun;

/// Any error a body may return.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// What a failed run was, in terms of what its caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The body returned an error; it is the [`source`](StdError::source).
    Failed,
    /// The body took longer than allowed.
    TimedOut,
    /// The body panicked.
    Crashed,
    /// The run was cancelled.
    Cancelled,
    /// The run never began, because one that it needs did not complete; that one's error is the source.
    UpstreamFailed,
    /// The run waited for what never comes: for a run that waits for it in turn or, in a test runtime with `stall_after`, for something that has
    /// not happened for too long. [`wait_graph`](Error::wait_graph) says who waited for what.
    ///
    /// An await counts for as long as it lasts: one that something around it would give up, as `tokio::time::timeout` does, closes a circle
    /// all the same. [`TaskHandle::wait`](crate::TaskHandle::wait) waits for a limited time, and closes none.
    Stalled,
    /// The flow returned a value, but a task in it failed and nothing looked at that; the task's error is the source.
    UnhandledFailure,
    /// An input could not be handed to the body.
    Input,
    /// The runtime has no resource of the type that a `#[resource]` parameter asks for.
    MissingResource,
    /// The runtime has no limit, rate limit or circuit breaker of the name that the run asks for, or none that is large enough.
    MissingLimit,
    /// A circuit breaker refused the attempt, because what it guards has failed too often.
    CircuitOpen,
    /// The journal could not be read or written.
    Journal,
    /// Whether the body of a task with an effect ran to its end before the process died is not known. It is not run again.
    UnknownOutcome,
    /// A run that is resumed does something else than before, since the program has changed.
    ResumeMismatch,
    /// The flow run is no longer resumed by itself, since it has had so many lives and its process died in the last one, too. See
    /// [`Builder::most_lives`](crate::Builder::most_lives).
    GivenUp,
    /// The runtime does not take runs: it was shut down, or there is no tokio runtime to run on.
    Unavailable,
    /// The runtime could not be built as it was described.
    Build,
    /// A promise of the engine was broken. This is a bug in flowkit.
    Internal,
}

/// Why a run has no value. Cheap to clone: one failure may have many downstreams.
///
/// [`kind`](Self::kind) says what happened, [`downcast_ref`](Self::downcast_ref) gives the body's own error,
/// [`root`](Self::root) the failure that others followed from. `Display` is one line, and with `{:#}` that line goes on
/// with all causes, for a log; `Debug` is a report with all causes, so that `main` may return an error as it is.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn parse(text: &str) -> Result<i32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = parse("seven").await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Failed);
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// assert_eq!(error.to_string(), "task `parse` failed");
/// assert_eq!(format!("{error:#}"), "task `parse` failed: invalid digit found in string");
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    subject: DefinitionKind,
    name: Arc<str>,
    flow_run: Option<FlowRunId>,
    task_run: Option<TaskRunId>,
    attempts: u32,
    detail: Option<String>,
    source: Option<BoxError>,
    waiting: Vec<WaitingRun>,
}

impl Error {
    /// An error of this kind about the task or flow of this name.
    pub(crate) fn new(kind: ErrorKind, subject: DefinitionKind, name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            subject,
            name: name.into(),
            flow_run: None,
            task_run: None,
            attempts: 0,
            detail: None,
            source: None,
            waiting: Vec::new(),
        }))
    }

    /// An error that is about no run: of a builder, or of a runtime that takes none.
    pub(crate) fn about_runtime(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self::new(kind, DefinitionKind::Flow, "").with(|inner| inner.detail = Some(detail.into()))
    }

    /// Says which task or flow an error is about that was made without knowing it.
    pub(crate) fn about(self, subject: DefinitionKind, name: impl Into<Arc<str>>) -> Self {
        self.with(|inner| {
            inner.subject = subject;
            inner.name = name.into();
        })
    }

    /// Changes an error that nobody else holds yet.
    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// Where it is in memory: clones are the same one.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn in_flow_run(self, id: FlowRunId) -> Self {
        self.with(|inner| inner.flow_run = Some(id))
    }

    pub(crate) fn in_task_run(self, id: TaskRunId) -> Self {
        self.with(|inner| {
            inner.flow_run = Some(id.flow_run());
            inner.task_run = Some(id);
        })
    }

    pub(crate) fn after_attempts(self, attempts: u32) -> Self {
        self.with(|inner| inner.attempts = attempts)
    }

    pub(crate) fn because(self, source: impl Into<BoxError>) -> Self {
        self.with(|inner| inner.source = Some(source.into()))
    }

    pub(crate) fn detailed(self, detail: impl Into<String>) -> Self {
        self.with(|inner| inner.detail = Some(detail.into()))
    }

    /// The runs that waited, in a stall.
    pub(crate) fn waiting(self, runs: Vec<WaitingRun>) -> Self {
        self.with(|inner| inner.waiting = runs)
    }

    pub(crate) fn after_time(self, limit: Duration) -> Self {
        self.detailed(format!("after {}", humantime::format_duration(limit)))
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the task or flow that the error is about; empty if it is about a runtime.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The flow run it happened in, if it had begun.
    pub fn flow_run_id(&self) -> Option<FlowRunId> {
        self.0.flow_run
    }

    /// The task run it happened to; none if it happened to a flow run or before any run.
    pub fn task_run_id(&self) -> Option<TaskRunId> {
        self.0.task_run
    }

    /// How many attempts were made; 0 if the body never ran.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Whether the run was cancelled, or did not begin because one it needs was.
    pub fn is_cancelled(&self) -> bool {
        self.root().kind() == ErrorKind::Cancelled
    }

    /// Whether the run, or the one it followed from, timed out.
    pub fn is_timed_out(&self) -> bool {
        self.root().kind() == ErrorKind::TimedOut
    }

    /// The failure that this one followed from: through any number of upstream failures to the one that ran.
    pub fn root(&self) -> &Self {
        let mut error = self;
        while matches!(
            error.kind(),
            ErrorKind::UpstreamFailed | ErrorKind::UnhandledFailure
        ) {
            match error
                .0
                .source
                .as_deref()
                .and_then(|source| source.downcast_ref::<Self>())
            {
                Some(source) => error = source,
                None => break,
            }
        }
        error
    }

    /// The body's own error, if it is an `E`: looks through upstream failures and nested runs to the first one that is.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let mut source = self.source();
        while let Some(error) = source {
            if let Some(found) = error.downcast_ref::<E>() {
                return Some(found);
            }
            source = error.source();
        }
        None
    }

    /// Of a stall, the runs that waited, each with what it waited for: of a circle, one after the other, and the last waits for the first.
    /// Empty for any other error. Looks through upstream failures and nested runs as [`downcast_ref`](Self::downcast_ref) does.
    pub fn wait_graph(&self) -> &[WaitingRun] {
        let mut error = self;
        while error.0.waiting.is_empty() {
            match error.downcast_ref::<Self>() {
                Some(source) => error = source,
                None => break,
            }
        }
        &error.0.waiting
    }

    fn subject(&self) -> &'static str {
        match self.0.subject {
            DefinitionKind::Task => "task",
            DefinitionKind::Flow => "flow",
        }
    }

    fn after(&self) -> Attempts {
        Attempts(self.0.attempts)
    }
}

/// Says how many attempts there were, where there was more than one.
struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            attempts => write!(formatter, " after {attempts} attempts"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_line(formatter)?;
        let mut source = self.source().filter(|_| formatter.alternate());
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error {
    /// What happened, in one line, without its causes.
    fn fmt_line(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, name, after) = (self.subject(), &self.0.name, self.after());
        let detail = self.0.detail.as_deref().unwrap_or_default();
        match self.0.kind {
            ErrorKind::Failed => write!(formatter, "{subject} `{name}` failed{after}"),
            ErrorKind::TimedOut => {
                write!(formatter, "{subject} `{name}` timed out {detail}")?;
                if self.0.attempts > 1 {
                    write!(formatter, " ({} attempts)", self.0.attempts)
                } else {
                    Ok(())
                }
            }
            ErrorKind::Crashed => write!(formatter, "{subject} `{name}` panicked{after}: {detail}"),
            ErrorKind::Cancelled => write!(formatter, "{subject} `{name}` was cancelled"),
            ErrorKind::UpstreamFailed => {
                write!(
                    formatter,
                    "{subject} `{name}` did not run, because a run that it needs did not complete"
                )
            }
            ErrorKind::Stalled => write!(formatter, "{subject} `{name}` is stalled: {detail}"),
            ErrorKind::UnhandledFailure => {
                let failed = self.root();
                write!(
                    formatter,
                    "flow `{name}` returned a value, but {} `{}` in it failed and nothing looked at that: await it, pass it on, or take its outcome with `allow_failure`",
                    failed.subject(),
                    failed.name()
                )
            }
            ErrorKind::Input
            | ErrorKind::MissingResource
            | ErrorKind::Internal
            | ErrorKind::MissingLimit
            | ErrorKind::CircuitOpen => {
                if !name.is_empty() {
                    write!(formatter, "{subject} `{name}`: ")?;
                }
                formatter.write_str(detail)
            }
            ErrorKind::Unavailable | ErrorKind::Build | ErrorKind::Journal => formatter.write_str(detail),
            ErrorKind::UnknownOutcome | ErrorKind::ResumeMismatch | ErrorKind::GivenUp => {
                write!(formatter, "{subject} `{name}`: {detail}")
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        match (self.0.task_run, self.0.flow_run) {
            (Some(id), _) => write!(formatter, " (task run {id})")?,
            (None, Some(id)) => write!(formatter, " (flow run {id})")?,
            (None, None) => {}
        }
        let mut source = self.source();
        if source.is_some() {
            write!(formatter, "\n\nCaused by:")?;
        }
        while let Some(error) = source {
            write!(formatter, "\n    {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// How one attempt failed, before the engine decides what follows.
#[derive(Debug)]
pub struct Failure {
    pub(crate) cause: Cause,
    pub(crate) retry: bool,
    /// How long the next attempt is to wait at least.
    pub(crate) after: Option<Duration>,
}

/// What ended an attempt without a value.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The body returned an error.
    Returned(BoxError),
    /// The body panicked with this message.
    Panicked(String),
    /// The attempt took longer than this.
    TimedOut(Duration),
    /// The body could not be started at all.
    Refused(Error),
}

impl Failure {
    pub(crate) fn new(cause: Cause, retry: bool) -> Self {
        Self {
            cause,
            retry,
            after: None,
        }
    }

    pub(crate) fn returned(error: BoxError, retry: bool) -> Self {
        Self::new(Cause::Returned(error), retry)
    }

    pub(crate) fn panicked(message: String) -> Self {
        Self::new(Cause::Panicked(message), true)
    }

    /// The attempt took longer than it may.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::new(Cause::TimedOut(limit), true)
    }

    /// The body could not be started.
    pub(crate) fn refused(error: Error) -> Self {
        Self::new(Cause::Refused(error), false)
    }

    /// The next attempt waits at least so long.
    pub(crate) fn waiting(mut self, after: Option<Duration>) -> Self {
        self.after = after;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(name: &str) -> Error {
        Error::new(ErrorKind::Failed, DefinitionKind::Task, name)
            .after_attempts(4)
            .because("no such host")
    }

    #[test]
    fn display_is_one_line_and_debug_names_the_causes() {
        let error = failed("fetch");
        assert_eq!(error.to_string(), "task `fetch` failed after 4 attempts");
        assert_eq!(
            format!("{error:?}"),
            "task `fetch` failed after 4 attempts\n\nCaused by:\n    no such host"
        );
    }

    #[test]
    fn the_root_of_upstream_failures_is_the_run_that_failed() {
        let upstream = |name: &str, source| {
            Error::new(ErrorKind::UpstreamFailed, DefinitionKind::Task, name).because(source)
        };
        let error = upstream("c", upstream("b", failed("a")));
        assert_eq!(error.root().name(), "a");
        assert_eq!(error.root().kind(), ErrorKind::Failed);
    }

    #[test]
    fn an_error_of_a_limit_names_the_run_once_it_is_known() {
        let error = Error::about_runtime(ErrorKind::MissingLimit, "there is no limit named `db`");
        assert_eq!(error.to_string(), "there is no limit named `db`");
        let error = error.about(DefinitionKind::Task, "load");
        assert_eq!(error.to_string(), "task `load`: there is no limit named `db`");
        assert_eq!(error.name(), "load");
    }

    #[test]
    fn a_timeout_says_how_long_it_waited() {
        let error = Error::new(ErrorKind::TimedOut, DefinitionKind::Task, "slow")
            .after_time(Duration::from_millis(100));
        assert_eq!(error.to_string(), "task `slow` timed out after 100ms");
    }
}
