//! Drives one flow run: its inputs, its body, the end of everything submitted in it, and its final state.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowkit_journal::record::Digest;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::level_filters::LevelFilter;

use super::drive::{edges_of, look_at_upstreams, with_ambient};
use super::memo::Remembered;
use super::run_guard::{RunGuard, unhandled};
use super::scope::{Change, Scope};
use super::stall;
use crate::context::{Ambient, RunContext, scoped};
use crate::definition::{Definition, DefinitionKind};
use crate::error::{Cause, Error, ErrorKind, Failure};
use crate::graph::{NewEdge, NodeKind};
use crate::ids::NodeRef;
use crate::job::{Attempt, Job};
use crate::journaling::calls::{Called, Calls};
use crate::journaling::replay::Resumed;
use crate::options::{Plan, TaskOptions};
use crate::order::Order;
use crate::panics::caught;
use crate::parameters::Shown;
use crate::state::State;
use crate::transaction::{Group, Member};

/// The longest result that a journal shows, in bytes of JSON.
const MOST_SHOWN: usize = 64 * 1024;

/// What a flow call says beside its inputs.
#[derive(Default)]
pub(crate) struct FlowExtras {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) wait_for: Vec<Order>,
    pub(crate) timeout: Option<Duration>,
    /// The life that it begins, where earlier ones left something.
    pub(crate) resumed: Option<Resumed>,
}

/// A flow run that has been entered where it was called, and has not begun.
pub(crate) struct Entered {
    pub(crate) scope: Arc<Scope>,
    orders: Vec<Order>,
    plan: Plan,
    tags: Vec<Arc<str>>,
    /// The transaction that it was called in.
    transaction: Option<Arc<Group>>,
    /// The calls of its caller, where this one must be known again.
    calls: Option<Arc<Calls>>,
    /// Which of them it is, once its inputs are there. None if they have no key.
    place: Option<Digest>,
    /// Its place in that transaction: between two runs of its body that is all that says that it goes on.
    member: Option<Member>,
    /// Whether the caller is given the outcome itself.
    awaited: bool,
}

/// Enters a flow run: as a subflow of the run that calls it, or at the root of a runtime.
pub(crate) fn enter(
    definition: &'static Definition,
    extras: FlowExtras,
    mut job: Pin<&mut dyn Job>,
    caller: &Ambient,
    awaited: bool,
) -> Entered {
    job.as_mut().start_inputs();
    let FlowExtras {
        mut name,
        mut tags,
        wait_for,
        timeout,
        resumed,
    } = extras;
    if let Some(resumed) = &resumed {
        // As it was called before, unless it is called otherwise now.
        let own = (*resumed.name != *definition.name()).then(|| Arc::clone(&resumed.name));
        name = name.or(own);
        if tags.is_empty() {
            tags.clone_from(&resumed.tags);
        }
    }
    let (scope, tags) = match caller {
        Ambient::Runtime(runtime, around) => {
            let tags = with_ambient(tags, around);
            let scope = Scope::with_life(runtime, definition, None, tags.clone(), resumed);
            (scope, tags)
        }
        Ambient::Run(run) => enter_subflow(definition, name.clone(), tags, job, &wait_for, run),
    };
    if let Some(name) = name {
        scope.set_name(&*name);
    }
    if let Ambient::Run(run) = caller
        && run.is_abandoned()
    {
        scope.cancel();
    }
    // A runtime's defaults are for tasks: a flow's options are its attribute's, and the call's.
    let mut plan = Plan::of(None, definition, &TaskOptions::new());
    if let Some(timeout) = timeout {
        plan.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
    }
    let transaction = match caller {
        Ambient::Run(run) => run.around().transaction.clone(),
        Ambient::Runtime(..) => None,
    };
    let member = transaction.as_ref().zip(scope.parent());
    Entered {
        member: member.map(|(group, (parent, place))| group.enter(&parent, place)),
        scope,
        orders: wait_for,
        plan,
        tags,
        calls: match caller {
            Ambient::Run(run) => run.calls.clone(),
            Ambient::Runtime(..) => None,
        },
        place: None,
        transaction,
        awaited,
    }
}

fn enter_subflow(
    definition: &'static Definition,
    name: Option<Arc<str>>,
    tags: Vec<Arc<str>>,
    job: Pin<&mut dyn Job>,
    orders: &[Order],
    caller: &RunContext,
) -> (Arc<Scope>, Vec<Arc<str>>) {
    let tags = with_ambient(tags, &caller.around().tags);
    let parent = &caller.scope;
    let edges = edges_of(definition, job, orders, parent);
    let may_close = stall::may_close(parent, false, &edges);
    let scope = parent.add_subflow(definition, caller.place, name, tags.clone(), edges);
    if may_close
        && let Some((_, place)) = &scope.parent()
        && let Some(stalled) = stall::of_entered(parent, *place)
    {
        scope.stall(stalled);
    }
    (scope, tags)
}

impl Entered {
    fn ambient(&self, attempt: u32) -> Ambient {
        let tags = (!self.tags.is_empty()).then(|| Arc::from(self.tags.as_slice()));
        let mut run = self.scope.context(tags, attempt);
        if self.transaction.is_some() {
            run.around_mut().transaction.clone_from(&self.transaction);
        }
        Ambient::Run(run)
    }

    /// Runs the flow to its end. The value is then in the job.
    pub(crate) async fn run(mut self, job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let outcome = self.run_to_end(job).await;
        if let (Some(member), Some((parent, place))) = (self.member.take(), &self.scope.parent())
            && parent.state_of(*place).is_failure()
        {
            member.failed(parent, *place);
        }
        outcome
    }

    async fn run_to_end(&mut self, mut job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let scope = Arc::clone(&self.scope);
        let mut guard =
            RunGuard::entered(&scope, self.awaited).inspect_err(|refused| self.refuse(refused))?;
        let inputs = tokio::select! {
            biased;
            ready = self.poll_inputs(job.as_mut()) => ready,
            () = scope.cancelled() => Err(guard.cancelled_error()),
        };
        if let Err(error) = inputs {
            return guard.finish(Some(error)).await.map_or(Ok(()), Err);
        }
        if let Err(error) = self.identify(&*job) {
            return guard.finish(Some(error)).await.map_or(Ok(()), Err);
        }
        match caught(|| job.run_name()) {
            Ok(Some(name)) => scope.set_name(name),
            Ok(None) => {}
            Err(message) => {
                let error = flow_error(&scope, ErrorKind::Crashed).detailed(message);
                return guard.finish(Some(error)).await.map_or(Ok(()), Err);
            }
        }
        if self.recall(job.as_mut()) {
            guard.finish_cached().await;
            return Ok(());
        }
        self.begin_to_remember();
        let error = self.run_attempts(&mut guard, job.as_mut()).await.err();
        self.note_result(error.as_ref(), &*job);
        let error = guard.finish(error).await;
        if error.is_none() {
            self.remember(&*job);
        }
        error.map_or(Ok(()), Err)
    }

    /// The inputs are there: finds out which call of its caller the run is, and tells the journal what they are.
    fn identify(&mut self, job: &dyn Job) -> Result<(), Error> {
        if let Some(calls) = &self.calls {
            let called = Called::of(self.scope.key_of_secrets(), self.scope.definition, job);
            let place = calls.next(&called);
            let is_known = called.inputs.is_some();
            self.place = is_known.then_some(place.full);
            self.scope.set_calls(Calls::below(place, calls, is_known));
        }
        let Some(life) = &self.scope.life else {
            return Ok(());
        };
        let Some(parameters) = job.show_inputs().map(Shown::record) else {
            return Ok(());
        };
        if !life.accepts(&parameters) {
            let detail = "it was called with other parameters than those that were recorded: call it with the same, start a new run, or resume with `allow_changes`";
            return Err(flow_error(&self.scope, ErrorKind::ResumeMismatch).detailed(detail));
        }
        // A life that is not the first has them from the one before.
        let _ = life.parameters.set(Arc::new(parameters));
        Ok(())
    }

    fn note_result(&self, error: Option<&Error>, job: &dyn Job) {
        if let (None, Some(life)) = (error, &self.scope.life)
            && let Some(shown) = job.show_output().filter(|shown| shown.len() <= MOST_SHOWN)
        {
            // Only one attempt succeeds.
            let _ = life.result_json.set(shown.into());
        }
    }

    /// Ends a run that nothing takes in.
    pub(crate) fn refuse(&self, refused: &Error) {
        self.scope.end(State::Cancelled, Some(refused));
        if let Some((parent, place)) = &self.scope.parent() {
            let change = Change {
                error: Some(refused),
                ..Change::default()
            };
            parent.change(*place, State::Cancelled, &change);
        }
    }

    /// Whether the flow above may be retried, and this call returned in an earlier attempt of it. The value is then in the job.
    fn recall(&self, mut job: Pin<&mut dyn Job>) -> bool {
        let remembered = self.scope.parent().and_then(|(parent, place)| {
            let remembered = parent.memo()?.recall(&self.place?)?;
            Some((parent, place, remembered))
        });
        let Some((parent, place, remembered)) = remembered else {
            return false;
        };
        if !job.as_mut().recall(&remembered.value) {
            return false;
        }
        let origin: Arc<str> = remembered.origin.to_string().into();
        parent.note(place, |extra| extra.origin = Some(origin));
        true
    }

    /// Begins to remember what its runs return, if it may be retried or a flow above may.
    fn begin_to_remember(&self) {
        let scope = &self.scope;
        if let (Some((parent, _)), Some(place)) = (scope.parent(), self.place)
            && let Some(memo) = parent.memo()
        {
            scope.set_memo(memo.of_subflow(place));
        }
        if self.plan.retry.is_some() {
            scope.set_memo(Arc::default());
            if scope.calls().is_none() {
                scope.set_calls(Calls::of_root(scope.id.as_u128()));
            }
        }
    }

    /// Keeps the value of a subflow for later attempts of the flow above.
    fn remember(&self, job: &dyn Job) {
        if let (Some((parent, node)), Some(place)) = (self.scope.parent(), self.place)
            && let (Some(memo), Some(value)) = (parent.memo(), job.remember())
        {
            let origin = parent.task_run_id(node);
            memo.remember(place, Remembered { value, origin });
        }
    }

    async fn poll_inputs(&mut self, mut job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let ready = std::future::poll_fn(|cx| {
            for order in &mut self.orders {
                std::task::ready!(order.poll_done(cx))?;
            }
            job.as_mut().poll_inputs(cx)
        });
        let outcome = ready.await;
        if outcome.is_err() {
            look_at_upstreams(job, &self.orders);
        }
        outcome.map_err(|upstream| {
            flow_error(&self.scope, ErrorKind::UpstreamFailed).because(upstream.root().clone())
        })
    }

    /// Runs the body until an attempt succeeds or none may follow.
    async fn run_attempts(&self, guard: &mut RunGuard, mut job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let scope = &self.scope;
        let first = Instant::now();
        loop {
            // Its caller may have been stopped before it was ever polled: then not even the first step of the body is made.
            if scope.is_cancelled() {
                return Err(guard.cancelled_error());
            }
            guard.start();
            let retries = self.plan.retry.as_ref().map_or(0, |retry| retry.retries);
            let last = guard.attempt() > retries || !job.is_repeatable();
            let failed = match self.run_attempt(guard, job.as_mut(), last).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let delay = self.next_delay(guard.attempt(), first.elapsed(), failed.after);
            let Some(delay) = delay.filter(|_| failed.retry && !last && !scope.is_cancelled()) else {
                return Err(failed.error);
            };
            guard.await_retry(&failed.error, delay);
            tokio::select! {
                biased;
                () = scope.cancelled() => return Err(guard.cancelled_error()),
                () = tokio::time::sleep(delay) => {}
            }
            scope.reopen();
        }
    }

    fn next_delay(&self, attempt: u32, elapsed: Duration, after: Duration) -> Option<Duration> {
        let retry = self.plan.retry.as_ref()?;
        retry.next_delay(attempt, self.scope.runtime.randomness.unit(), after, elapsed)
    }

    /// Runs the body once, and waits for the end of everything that was submitted in it.
    async fn run_attempt(&self, guard: &RunGuard, job: Pin<&mut dyn Job>, last: bool) -> Result<(), Failed> {
        let scope = &self.scope;
        let ended = {
            let mut body = Body(job);
            self.run_body(guard, body.0.as_mut(), last).await
        };
        if let Err(failed) = ended {
            scope.stop_live();
            scope.drained().await;
            return Err(failed);
        }
        match unhandled(scope) {
            Some(error) if !scope.is_cancelled() => Err(Failed::new(error, true)),
            _ => Ok(()),
        }
    }

    /// Runs the body and what it submits, for as long as the flow may take and nobody cancels it.
    async fn run_body(&self, guard: &RunGuard, mut job: Pin<&mut dyn Job>, last: bool) -> Result<(), Failed> {
        let scope = &self.scope;
        let attempt = Attempt {
            definition: scope.definition,
            runtime: &scope.runtime,
            last,
        };
        let body = async {
            let begun = caught(|| job.as_mut().begin(&attempt));
            let begun = begun.unwrap_or_else(|message| Err(Failure::panicked(message)));
            begun.map_err(|failure| Failed {
                retry: false,
                ..self.judge(failure, guard.attempt())
            })?;
            let ended = std::future::poll_fn(|cx| poll_caught(job.as_mut(), cx)).await;
            ended.map_err(|failure| self.judge(failure, guard.attempt()))
        };
        let limit = async {
            match self.plan.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let body = scoped(self.ambient(guard.attempt()), body).instrument(self.span(guard.attempt()));
        // What was submitted belongs to the attempt, and to its time.
        let whole = async {
            body.await?;
            scope.drained().await;
            Ok(())
        };
        tokio::select! {
            biased;
            // First, since a body that waits for what was stopped with it would be woken, and go on.
            () = scope.cancelled() => Err(Failed::new(guard.cancelled_error(), false)),
            outcome = whole => outcome,
            () = limit => {
                let limit = self.plan.timeout.unwrap_or_default();
                Err(self.judge(Failure::timed_out(limit), guard.attempt()))
            }
        }
    }

    /// What log lines of the body are in. That of a subflow is inside the span of the run that called it.
    fn span(&self, attempt: u32) -> tracing::Span {
        let scope = &self.scope;
        // A span that is disabled is not free either.
        if LevelFilter::current() < LevelFilter::INFO {
            return tracing::Span::none();
        }
        tracing::info_span!(target: "flowkit", "flow_run", flow = scope.definition.name(), flow_run_id = %scope.id, attempt)
    }

    /// What the failure of the body means. A task's error that the flow passes on stays what it is.
    fn judge(&self, failure: Failure, attempt: u32) -> Failed {
        let scope = &self.scope;
        let error = |kind| flow_error(scope, kind).after_attempts(attempt);
        let after = failure.after.unwrap_or_default();
        let policy = self.plan.retry.as_ref();
        let retry = failure.retry && policy.is_some_and(|policy| policy.covers(&failure.cause));
        let error = match failure.cause {
            Cause::Returned(source) => match source.downcast::<Error>() {
                Ok(passed_on) => *passed_on,
                Err(source) => error(ErrorKind::Failed).because(source),
            },
            Cause::Panicked(message) => error(ErrorKind::Crashed).detailed(message),
            Cause::TimedOut(limit) => error(ErrorKind::TimedOut).after_time(limit),
            Cause::Refused(refused) => refused.in_flow_run(scope.id),
        };
        Failed { error, retry, after }
    }
}

/// Polls the body; a panic in it is a failure of it.
fn poll_caught(mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
    caught(|| job.as_mut().poll_attempt(cx)).unwrap_or_else(|message| {
        job.drop_attempt();
        Poll::Ready(Err(Failure::panicked(message)))
    })
}

/// The body of an attempt. However the attempt ends, also if it is dropped, the body does so before the run.
struct Body<'a>(Pin<&'a mut dyn Job>);

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.0.as_mut().drop_attempt();
    }
}

/// How an attempt failed, and whether another may follow.
struct Failed {
    error: Error,
    retry: bool,
    /// How long that one waits at least.
    after: Duration,
}

impl Failed {
    fn new(error: Error, retry: bool) -> Self {
        Self {
            error,
            retry,
            after: Duration::ZERO,
        }
    }
}

pub(super) fn flow_error(scope: &Scope, kind: ErrorKind) -> Error {
    let error = Error::new(kind, DefinitionKind::Flow, scope.name()).in_flow_run(scope.id);
    match &scope.parent() {
        Some((parent, place)) => error.in_task_run(parent.task_run_id(*place)),
        None => error,
    }
}

impl Scope {
    /// Enters a subflow: a run of its own, and the node that stands for it here.
    fn add_subflow(
        self: &Arc<Self>,
        definition: &'static Definition,
        parent: Option<NodeRef>,
        name: Option<Arc<str>>,
        tags: Vec<Arc<str>>,
        edges: Vec<NewEdge>,
    ) -> Arc<Self> {
        let new = super::scope::NewRun {
            definition,
            parent,
            kind: NodeKind::Task,
            name,
            tags: tags.clone(),
            edges,
        };
        let place = self.add(new);
        let child = Self::new(&self.runtime, definition, Some((Arc::clone(self), place)), tags);
        let late = {
            let mut graph = self.graph();
            if let Some(node) = graph.node_mut(place) {
                node.kind = NodeKind::Subflow(Arc::clone(&child));
            }
            graph.waits.add_subflow(place);
            self.is_closed()
        };
        if late {
            child.cancel();
        }
        child
    }
}
