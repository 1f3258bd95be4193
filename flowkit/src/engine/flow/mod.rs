//! Drives one flow run: its inputs, its body, the end of everything submitted in it, and its final state.

mod attempts;
mod enter;

use std::pin::Pin;
use std::sync::Arc;

use flowkit_journal::record::Digest;

pub(crate) use self::enter::{FlowExtras, enter};
use super::drive::look_at_upstreams;
use super::memo::Remembered;
use super::run_guard::RunGuard;
use super::scope::Scope;
use crate::definition::DefinitionKind;
use crate::error::{Error, ErrorKind};
use crate::job::Job;
use crate::journaling::calls::{Called, Calls};
use crate::options::Plan;
use crate::order::Order;
use crate::panics::caught;
use crate::parameters::Shown;
use crate::transaction::{Group, Member};

/// The longest result that a journal shows, in bytes of JSON.
const MOST_SHOWN: usize = 64 * 1024;

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

impl Entered {
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
            self.place = called.inputs.is_some().then_some(place);
            self.scope.set_calls(Calls::below(place, calls, &called));
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
        let origin = remembered.origin;
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
            let remembered = Remembered { value, origin };
            match &self.transaction {
                Some(group) => group.remember(&parent, place, remembered),
                None => memo.remember(place, remembered),
            }
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
}

pub(super) fn flow_error(scope: &Scope, kind: ErrorKind) -> Error {
    let error = Error::new(kind, DefinitionKind::Flow, scope.name()).in_flow_run(scope.id);
    match &scope.parent() {
        Some((parent, place)) => error.in_task_run(parent.task_run_id(*place)),
        None => error,
    }
}
