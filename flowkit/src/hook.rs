//! Hooks: a user's functions that are called when a run begins an attempt, and when it ends.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::definition::DefinitionKind;
use crate::error::{BoxError, Error};
use crate::ids::{FlowRunId, TaskRunId};
use crate::state::State;

/// The run that a hook is called for, as it was at that moment.
#[derive(Debug, Clone)]
pub struct HookRun {
    pub(crate) kind: DefinitionKind,
    pub(crate) name: Arc<str>,
    pub(crate) run_name: Arc<str>,
    pub(crate) flow_run: FlowRunId,
    pub(crate) task_run: Option<TaskRunId>,
    pub(crate) state: State,
    pub(crate) attempt: u32,
    pub(crate) error: Option<Error>,
}

impl HookRun {
    /// Whether it is a task run or a flow run.
    pub fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// The name of the task or flow.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the run, which is the task's or flow's unless it was given one of its own.
    pub fn run_name(&self) -> &str {
        &self.run_name
    }

    /// The flow run: the one that the task run belongs to, or the run itself.
    pub fn flow_run_id(&self) -> FlowRunId {
        self.flow_run
    }

    /// The task run; none for a flow run that no other flow called.
    pub fn task_run_id(&self) -> Option<TaskRunId> {
        self.task_run
    }

    /// The state that the hook is called for.
    pub fn state(&self) -> State {
        self.state
    }

    /// How many attempts have begun.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Why the run has no value, if it has ended without one.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// What a hook comes to.
pub type HookFuture = BoxFuture<'static, Result<(), BoxError>>;

/// A function that can be a hook: it takes the [`HookRun`], is async or not, and returns nothing or a `Result`.
///
/// `Marker` only tells the forms apart; it is always inferred.
#[diagnostic::on_unimplemented(
    message = "this cannot be a hook",
    label = "a hook is a function of one `flowkit::HookRun`",
    note = "write `fn hook(run: HookRun)` or `async fn hook(run: HookRun)`, which returns nothing, or a `Result<(), E>` of an error that can be passed on"
)]
pub trait Hook<Marker>: Send + Sync + 'static {
    /// Calls it.
    fn call(&self, run: HookRun) -> HookFuture;
}

/// What a hook may return.
pub trait HookOutcome {
    /// Whether it went well.
    fn into_outcome(self) -> Result<(), BoxError>;
}

impl HookOutcome for () {
    fn into_outcome(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> HookOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Marks hooks that return at once.
#[doc(hidden)]
#[derive(Debug)]
pub struct Immediate<R>(R);

/// Marks hooks that return a future.
#[doc(hidden)]
#[derive(Debug)]
pub struct Later<R>(R);

impl<F, R> Hook<Immediate<R>> for F
where
    F: Fn(HookRun) -> R + Send + Sync + 'static,
    R: HookOutcome,
{
    fn call(&self, run: HookRun) -> HookFuture {
        let outcome = self(run).into_outcome();
        Box::pin(std::future::ready(outcome))
    }
}

impl<F, R> Hook<Later<R>> for F
where
    F: Fn(HookRun) -> R + Send + Sync + 'static,
    R: Future<Output: HookOutcome> + Send + 'static,
{
    fn call(&self, run: HookRun) -> HookFuture {
        Box::pin(self(run).map(HookOutcome::into_outcome))
    }
}

/// When a hook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Running,
    Success,
    Failure,
    Cancellation,
    Crash,
    Commit,
    Rollback,
}

impl Moment {
    /// The moment that a state is; none for those that no hook is called for.
    pub(crate) fn of(state: State) -> Option<Self> {
        match state {
            State::Running => Some(Self::Running),
            State::Completed | State::Cached => Some(Self::Success),
            State::Failed | State::TimedOut => Some(Self::Failure),
            State::Cancelled => Some(Self::Cancellation),
            State::Crashed => Some(Self::Crash),
            State::RolledBack => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// A hook of an attribute.
pub type HookFn = fn(HookRun) -> HookFuture;

/// The hooks that an attribute names, in the order in which they are called.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    running: &'static [HookFn],
    success: &'static [HookFn],
    failure: &'static [HookFn],
    cancellation: &'static [HookFn],
    crash: &'static [HookFn],
    commit: &'static [HookFn],
    rollback: &'static [HookFn],
}

macro_rules! setters {
    ($($setter:ident => $field:ident),*) => {
        $(#[doc(hidden)]
        pub const fn $setter(mut self, hooks: &'static [HookFn]) -> Self {
            self.$field = hooks;
            self
        })*
    };
}

impl Hooks {
    /// No hooks.
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self {
            running: &[],
            success: &[],
            failure: &[],
            cancellation: &[],
            crash: &[],
            commit: &[],
            rollback: &[],
        }
    }

    setters! {
        on_running => running, on_success => success, on_failure => failure,
        on_cancellation => cancellation, on_crash => crash,
        on_commit => commit, on_rollback => rollback
    }

    /// Whether there are any.
    pub(crate) const fn any(&self) -> bool {
        let ends = self.success.len() + self.failure.len() + self.cancellation.len() + self.crash.len();
        self.running.len() + ends + self.commit.len() + self.rollback.len() > 0
    }

    pub(crate) fn at(&self, moment: Moment) -> &'static [HookFn] {
        match moment {
            Moment::Running => self.running,
            Moment::Success => self.success,
            Moment::Failure => self.failure,
            Moment::Cancellation => self.cancellation,
            Moment::Crash => self.crash,
            Moment::Commit => self.commit,
            Moment::Rollback => self.rollback,
        }
    }
}

type RuntimeHook = Box<dyn Fn(HookRun) -> HookFuture + Send + Sync>;

/// The hooks of a runtime, which are called for every run in it.
#[derive(Default)]
pub(crate) struct RuntimeHooks(Vec<(Moment, RuntimeHook)>);

impl RuntimeHooks {
    pub(crate) fn add<M>(&mut self, moment: Moment, hook: impl Hook<M>) {
        self.0.push((moment, Box::new(move |run| hook.call(run))));
    }

    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Those of a moment, in order.
    pub(crate) fn at(&self, moment: Moment) -> impl Iterator<Item = &RuntimeHook> {
        self.0
            .iter()
            .filter(move |(at, _)| *at == moment)
            .map(|(_, hook)| hook)
    }
}

impl fmt::Debug for RuntimeHooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RuntimeHooks")
            .field(&self.0.len())
            .finish()
    }
}
