//! Drives one flow run: its inputs, its body, the end of everything submitted in it, and its final state.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::drive::{edges_of, with_ambient};
use super::scope::{Change, Scope};
use crate::context::{Ambient, RunContext, scoped};
use crate::definition::{Definition, DefinitionKind};
use crate::error::{Cause, Error, ErrorKind, Failure};
use crate::graph::NodeKind;
use crate::ids::{NodeRef, TaskRunId};
use crate::job::{Attempt, Job};
use crate::order::Order;
use crate::runtime::RuntimeInner;
use crate::state::State;

/// What a flow call says beside its inputs.
#[derive(Default)]
pub(crate) struct FlowExtras {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) wait_for: Vec<Order>,
    pub(crate) timeout: Option<Duration>,
}

/// A flow run that has been entered where it was called, and has not begun.
pub(crate) struct Entered {
    pub(crate) scope: Arc<Scope>,
    orders: Vec<Order>,
    timeout: Option<Duration>,
    tags: Vec<Arc<str>>,
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
        name,
        tags,
        wait_for,
        timeout,
    } = extras;
    let (scope, tags) = match caller {
        Ambient::Runtime(runtime) => (Scope::new(runtime, definition, None, tags.clone()), tags),
        Ambient::Run(run) => enter_subflow(definition, name.clone(), tags, job, &wait_for, run),
    };
    if let Some(name) = name {
        scope.set_name(&*name);
    }
    let timeout = timeout
        .or(scope.runtime.plan_of(definition).timeout)
        .filter(|timeout| !timeout.is_zero());
    Entered {
        scope,
        orders: wait_for,
        timeout,
        tags,
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
    let tags = with_ambient(tags, &caller.tags);
    let edges = edges_of(definition, job, orders);
    let parent = &caller.scope;
    let scope = parent.add_subflow(definition, caller.place, name, tags.clone(), edges);
    (scope, tags)
}

impl Entered {
    fn ambient(&self) -> Ambient {
        self.scope
            .ambient((!self.tags.is_empty()).then(|| Arc::from(self.tags.as_slice())))
    }

    /// Runs the flow to its end. The value is then in the job.
    pub(crate) async fn run(mut self, mut job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let scope = Arc::clone(&self.scope);
        let mut guard = RunGuard::entered(&scope, self.awaited)?;
        let inputs = tokio::select! {
            biased;
            ready = self.poll_inputs(job.as_mut()) => ready,
            () = scope.cancelled() => Err(guard.cancelled_error()),
        };
        if let Err(error) = inputs {
            return guard.finish(Some(error)).await.map_or(Ok(()), Err);
        }
        if let Some(name) = job.run_name() {
            scope.set_name(name);
        }
        guard.start();
        let error = self.run_body(&scope, &guard, job.as_mut()).await.err();
        job.drop_attempt();
        guard.finish(error).await.map_or(Ok(()), Err)
    }

    async fn poll_inputs(&mut self, mut job: Pin<&mut dyn Job>) -> Result<(), Error> {
        let ready = std::future::poll_fn(|cx| {
            for order in &mut self.orders {
                std::task::ready!(order.poll_done(cx))?;
            }
            job.as_mut().poll_inputs(cx)
        });
        ready.await.map_err(|upstream| {
            flow_error(&self.scope, ErrorKind::UpstreamFailed).because(upstream.root().clone())
        })
    }

    async fn run_body(
        &self,
        scope: &Arc<Scope>,
        guard: &RunGuard,
        mut job: Pin<&mut dyn Job>,
    ) -> Result<(), Error> {
        let attempt = Attempt {
            definition: scope.definition,
            runtime: &scope.runtime,
            last: true,
        };
        let body = async {
            job.as_mut()
                .begin(&attempt)
                .map_err(|error| error.in_flow_run(scope.id))?;
            let ended = std::future::poll_fn(|cx| job.as_mut().poll_attempt(cx)).await;
            ended.map_err(|failure| judge(scope, failure))
        };
        let limit = async {
            match self.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = scoped(self.ambient(), body) => outcome,
            () = scope.cancelled() => Err(guard.cancelled_error()),
            () = limit => {
                Err(flow_error(scope, ErrorKind::TimedOut).after_time(self.timeout.unwrap_or_default()).after_attempts(1))
            }
        }
    }
}

/// What the failure of a flow's body means. A task's error that the flow passes on stays what it is.
fn judge(scope: &Scope, failure: Failure) -> Error {
    let error = flow_error(scope, ErrorKind::Failed).after_attempts(1);
    match failure.cause {
        Cause::Returned(source) => match source.downcast::<Error>() {
            Ok(passed_on) => *passed_on,
            Err(source) => error.because(source),
        },
        Cause::Panicked(message) => flow_error(scope, ErrorKind::Crashed)
            .after_attempts(1)
            .detailed(message),
        Cause::TimedOut(limit) => flow_error(scope, ErrorKind::TimedOut).after_time(limit),
        Cause::Refused(refused) => refused,
    }
}

fn flow_error(scope: &Scope, kind: ErrorKind) -> Error {
    let error = Error::new(kind, DefinitionKind::Flow, scope.name()).in_flow_run(scope.id);
    match &scope.parent {
        Some((parent, place)) => error.in_task_run(parent.task_run_id(*place)),
        None => error,
    }
}

/// Keeps a flow run from being lost: if it is dropped before its end, the run is cancelled and says so.
pub(crate) struct RunGuard {
    scope: Arc<Scope>,
    awaited: bool,
    ended: bool,
}

impl RunGuard {
    /// A run that waits for its inputs.
    fn entered(scope: &Arc<Scope>, awaited: bool) -> Result<Self, Error> {
        if scope.parent.is_none() {
            scope.runtime.register(scope)?;
        }
        Ok(Self {
            scope: Arc::clone(scope),
            awaited,
            ended: false,
        })
    }

    /// A run that waits for nothing.
    pub(crate) fn begin(scope: &Arc<Scope>) -> Result<Self, Error> {
        let mut guard = Self::entered(scope, true)?;
        guard.start();
        Ok(guard)
    }

    /// The body begins.
    fn start(&mut self) {
        self.scope.begin();
        if let Some((parent, place)) = &self.scope.parent {
            parent.change(
                *place,
                State::Running,
                &Change {
                    attempt: 1,
                    ..Change::default()
                },
            );
        }
    }

    pub(crate) fn cancelled_error(&self) -> Error {
        flow_error(&self.scope, ErrorKind::Cancelled)
    }

    /// Ends the run after everything submitted in it; what is still running is cancelled if the run failed. Gives
    /// the error that it failed with.
    pub(crate) async fn finish(mut self, mut error: Option<Error>) -> Option<Error> {
        if error.is_some() {
            self.scope.stop_live();
        }
        self.scope.drained().await;
        if self.scope.parent.is_none() {
            self.scope.runtime.flush_kept().await;
        }
        if error.is_none() && self.scope.is_cancelled() {
            error = Some(self.cancelled_error());
        }
        if error.is_none() {
            error = unhandled(&self.scope);
        }
        self.end(error.as_ref());
        error
    }

    fn end(&mut self, error: Option<&Error>) {
        self.ended = true;
        let scope = &self.scope;
        let state = match error {
            None => State::Completed,
            Some(error) if error.kind() == ErrorKind::Cancelled && !scope.is_cancelled() => State::Failed,
            // An upstream failure inside the flow is the flow's failure; only its own inputs make it one of its own.
            Some(error)
                if error.kind() == ErrorKind::UpstreamFailed && scope.outcome().state == State::Running =>
            {
                State::Failed
            }
            Some(error) => State::of_error(error),
        };
        scope.end(state, error);
        if let Some((parent, place)) = &scope.parent {
            parent.change(
                *place,
                state,
                &Change {
                    attempt: 0,
                    error,
                    observed: self.awaited,
                },
            );
        } else {
            scope.runtime.unregister(scope.id);
        }
        if let Some(error) = error {
            tracing::warn!(target: "flowkit", flow = scope.name(), flow_run_id = %scope.id, %state, error = format_args!("{error:#}"), "flow run ended");
        }
    }
}

/// The error of a flow that would otherwise have completed over a failure that nobody looked at.
fn unhandled(scope: &Scope) -> Option<Error> {
    let failure = scope.graph().first_unhandled()?;
    Some(flow_error(scope, ErrorKind::UnhandledFailure).because(failure))
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.scope.stop_live();
        let cancelled = self.cancelled_error();
        self.end(Some(&cancelled));
        // What was submitted ends on its own tasks. The flow above, if there is one, waits for that too.
        if let (Some((parent, _)), Ok(tokio)) = (&self.scope.parent, tokio::runtime::Handle::try_current()) {
            let (parent, scope) = (Arc::clone(parent), Arc::clone(&self.scope));
            parent.enter();
            tokio.spawn(async move {
                scope.drained().await;
                parent.leave();
            });
        }
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
        edges: Vec<(TaskRunId, Option<&'static str>)>,
    ) -> Arc<Self> {
        let new = super::scope::NewRun {
            definition,
            parent,
            kind: NodeKind::Task,
            name,
            tags: tags.clone(),
            edges,
            running: false,
        };
        let place = self.add(new);
        let child = Self::new(&self.runtime, definition, Some((Arc::clone(self), place)), tags);
        let late = {
            let mut graph = self.graph();
            if let Some(node) = graph.node_mut(place) {
                node.kind = NodeKind::Subflow(Arc::clone(&child));
            }
            self.is_cancelled()
        };
        if late {
            child.stop_live();
        }
        child
    }
}

impl RuntimeInner {
    /// The options of a flow: its attribute's. A runtime's defaults are for tasks.
    fn plan_of(&self, definition: &'static Definition) -> crate::options::Plan {
        crate::options::Plan::of(None, definition, &crate::options::TaskOptions::new())
    }
}
