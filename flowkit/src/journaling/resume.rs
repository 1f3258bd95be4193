//! A flow run begins another life: its function runs again with the same parameters, and what completed before returns at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowkit_journal::StoredFlow;
use flowkit_journal::record::{Digest, FlowRow, Record};

use super::replay::{Replay, Resumed, Settled};
use super::{Recorder, journal_error, row_of};
use crate::context::Ambient;
use crate::definition::{Definition, DefinitionKind};
use crate::engine::slots::without_slots;
use crate::error::{Error, ErrorKind};
use crate::flow_call::FlowCall;
use crate::ids::FlowRunId;
use crate::parameters::Given;
use crate::registry::{RegisteredFlow, registered_flows};
use crate::run::FlowRun;
use crate::runtime::Runtime;
use crate::state::State;

/// How a flow run is resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResumeOptions {
    allow_changes: bool,
    /// What is said of effects, by the places of their calls.
    pub(super) settled: BTreeMap<Digest, Settled>,
}

impl ResumeOptions {
    /// As it was.
    pub const fn new() -> Self {
        Self {
            allow_changes: false,
            settled: BTreeMap::new(),
        }
    }

    /// Where the program has changed since, so that a task no longer matches what was recorded, runs that task instead of failing it with
    /// [`ResumeMismatch`](ErrorKind::ResumeMismatch).
    #[must_use]
    pub fn allow_changes(mut self) -> Self {
        self.allow_changes = true;
        self
    }
}

fn refused(detail: impl Into<String>) -> Error {
    Error::about_runtime(ErrorKind::Input, detail)
}

/// That a flow run is being resumed, by one at a time.
struct Turn {
    recorder: Arc<Recorder>,
    run: FlowRunId,
}

impl Turn {
    async fn take(recorder: &Arc<Recorder>, run: FlowRunId) -> Result<Self, Error> {
        if !recorder.resuming().insert(run) {
            return Err(going_on(run));
        }
        let turn = Self {
            recorder: Arc::clone(recorder),
            run,
        };
        // From now on nobody clears the run out.
        recorder.cleared_out().await;
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.recorder.resuming().remove(&self.run);
    }
}

fn going_on(run: FlowRunId) -> Error {
    refused(format!(
        "flow run {run} is going on: wait for it, or cancel it first"
    ))
}

impl Runtime {
    pub(super) fn recorder(&self) -> Result<&Arc<Recorder>, Error> {
        self.0.recorder.as_ref().ok_or_else(|| {
            refused("the runtime has no journal, so there is nothing to resume: build it with `data_dir`")
        })
    }

    /// Begins another life of a flow run that did not complete: its function runs again with the recorded parameters. Every task in it whose result was
    /// recorded returns that at once, in state [`Completed`](State::Completed); the others run.
    ///
    /// The run keeps its id. Its value is given as JSON, null if it has no such form; [`resume_call`](Self::resume_call) gives the value itself.
    ///
    /// # Errors
    /// When there is no such run, or it completed or goes on; when its flow is not in this program, or its parameters were not recorded; when the
    /// journal cannot be read.
    pub async fn resume(&self, run: FlowRunId) -> Result<FlowRun<serde_json::Value>, Error> {
        self.resume_with(run, ResumeOptions::new()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub async fn resume_with(
        &self,
        run: FlowRunId,
        options: ResumeOptions,
    ) -> Result<FlowRun<serde_json::Value>, Error> {
        self.resume_given(run, serde_json::Map::new(), options).await
    }

    /// The same, where some parameters are given again in place of what was recorded of them. Of secrets nothing was.
    pub(crate) async fn resume_given(
        &self,
        run: FlowRunId,
        again: serde_json::Map<String, serde_json::Value>,
        options: ResumeOptions,
    ) -> Result<FlowRun<serde_json::Value>, Error> {
        let _turn = Turn::take(self.recorder()?, run).await?;
        let stored = self.resumable(run).await?;
        let flow = find(&stored)?;
        let own_parameters = again.is_empty();
        let given = Given::recorded(stored.parameters.as_ref(), again);
        let call = given.and_then(|given| flow.call(given)).map_err(|error| {
            refused(format!(
                "flow run {run} of `{}` cannot be resumed: {error}",
                stored.definition.name
            ))
        })?;
        let resumed = self
            .next_life(&stored, flow.definition(), options, own_parameters)
            .await?;
        let ambient = Ambient::Runtime(Arc::clone(&self.0), None);
        Ok(without_slots(call.run(ambient, Some(resumed))).await)
    }

    /// The same, with a call of the flow in place of the recorded parameters: for flows whose parameters cannot be recorded, and for who wants the value
    /// itself.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume), and when the call is of another flow.
    pub async fn resume_call<T: Send + Sync + 'static>(
        &self,
        run: FlowRunId,
        call: FlowCall<T>,
        options: ResumeOptions,
    ) -> Result<FlowRun<T>, Error> {
        let _turn = Turn::take(self.recorder()?, run).await?;
        let stored = self.resumable(run).await?;
        let now = row_of(call.definition());
        let then = &stored.definition;
        if (&now.package, &now.module, &now.name) != (&then.package, &then.module, &then.name) {
            return Err(refused(format!(
                "flow run {run} is one of `{}`, and was given a call of `{}`",
                then.name, now.name
            )));
        }
        let resumed = self.next_life(&stored, call.definition(), options, false).await?;
        let ambient = Ambient::Runtime(Arc::clone(&self.0), None);
        Ok(without_slots(call.resumed(Some(resumed)).run_in(ambient)).await)
    }

    /// Resumes every flow run that an earlier process left unfinished when it died, oldest first, all of them at the same time. Those that
    /// cannot be resumed are given with the reason. One that has had [`most_lives`](crate::Builder::most_lives) is not resumed any more, but given up: its
    /// error, of kind [`GivenUp`](ErrorKind::GivenUp), is in the journal, and [`resume`](Self::resume) goes on with it all the same.
    ///
    /// # Errors
    /// When the runtime has no journal.
    pub async fn resume_all(
        &self,
    ) -> Result<Vec<(FlowRunId, Result<FlowRun<serde_json::Value>, Error>)>, Error> {
        let crashed = self.recorder()?.take_crashed();
        let runs = crashed
            .into_iter()
            .map(|id| async move { (id, self.resume_unasked(id).await) });
        Ok(futures::future::join_all(runs).await)
    }

    /// Resumes a flow run for which nobody asked by its id, unless its process died too often.
    async fn resume_unasked(&self, run: FlowRunId) -> Result<FlowRun<serde_json::Value>, Error> {
        let recorder = self.recorder()?;
        let stored = self.resumable(run).await?;
        if stored.life < recorder.most_lives {
            return self.resume(run).await;
        }
        let error = given_up(&stored);
        tracing::warn!(target: "flowkit", flow = stored.name, flow_run_id = %run, lives = stored.life, "a flow run is given up: its process died again and again");
        // With an error, no later process takes it for one that is to be resumed.
        let root = stored.root;
        recorder.journal.append(Record::from(ended_with(stored, &error)));
        let written = recorder.journal.flush_of(root).await;
        written.map_err(|trouble| journal_error(&trouble))?;
        Err(error)
    }

    async fn resumable(&self, run: FlowRunId) -> Result<StoredFlow, Error> {
        let recorder = self.recorder()?;
        if self.is_shut_down() {
            return Err(Error::about_runtime(
                ErrorKind::Unavailable,
                "the runtime was shut down and resumes nothing: build another one",
            ));
        }
        // Asked before it is read: a run that ends in between has its end in the journal by then.
        if self.is_running(run) {
            return Err(going_on(run));
        }
        let journal = &recorder.journal;
        let written = journal.flush_taken().await;
        written.map_err(|trouble| journal_error(&trouble))?;
        let stored = journal
            .store()
            .flow(run.as_u128())
            .await
            .map_err(|trouble| journal_error(&trouble))?
            .ok_or_else(|| refused(format!("the journal has no flow run {run}")))?;
        if stored.parent.is_some() {
            return Err(refused(format!(
                "flow run {run} is a subflow: resume the flow run that it belongs to"
            )));
        }
        if [State::Completed, State::Cached]
            .iter()
            .any(|state| state.name() == stored.state)
        {
            return Err(refused(format!(
                "flow run {run} has completed, so there is nothing to resume"
            )));
        }
        if !stored.definition.is_flow {
            return Err(refused(format!(
                "{run} is a run of the task `{}` outside any flow: only flows are resumed",
                stored.definition.name
            )));
        }
        Ok(stored)
    }

    async fn next_life(
        &self,
        stored: &StoredFlow,
        definition: &'static Definition,
        options: ResumeOptions,
        own_parameters: bool,
    ) -> Result<Resumed, Error> {
        let recorder = self.recorder()?;
        let now = row_of(definition).code;
        let lives = recorder.journal.store().lives(stored.id).await;
        let lives = lives.map_err(|trouble| journal_error(&trouble))?;
        let same_flow = lives.iter().all(|life| life.definition.code == now);
        let replay = Replay::read(&**recorder.journal.store(), stored.id, same_flow)
            .await
            .map_err(|trouble| journal_error(&trouble))?;
        if replay.unreadable() > 0 {
            let run = FlowRunId::from_u128(stored.id);
            tracing::error!(target: "flowkit", flow = stored.name, flow_run_id = %run, rows = replay.unreadable(), "some of what earlier lives of a flow run did cannot be read any more");
        }
        let mut replay = replay
            .allowing_changes(options.allow_changes)
            .with_settled(options.settled);
        if own_parameters {
            replay = replay.with_own_parameters();
        }
        Ok(Resumed {
            id: FlowRunId::from_u128(stored.id),
            life: stored.life + 1,
            replay: Arc::new(replay),
            parameters: stored.parameters.clone().map(Arc::new),
            name: stored.name.as_str().into(),
            tags: stored.tags.iter().map(|tag| tag.as_str().into()).collect(),
        })
    }
}

/// That a flow run is not resumed any more.
fn given_up(stored: &StoredFlow) -> Error {
    let run = FlowRunId::from_u128(stored.id);
    let detail = format!(
        "it was left unfinished in each of {} lives by a process that died, and is no longer resumed by itself: find out what ends the process, then resume {run} by its id",
        stored.life
    );
    Error::new(
        ErrorKind::GivenUp,
        DefinitionKind::Flow,
        stored.definition.name.as_str(),
    )
    .in_flow_run(run)
    .detailed(detail)
}

/// The row of a crashed life, with this error.
fn ended_with(stored: StoredFlow, error: &Error) -> FlowRow {
    FlowRow {
        no: stored.no,
        id: stored.id,
        life: stored.life,
        root: stored.root,
        parent: stored.parent,
        definition: stored.definition,
        name: stored.name.into(),
        tags: stored.tags,
        state: State::Crashed.name(),
        attempts: stored.attempts,
        error: Some(error.to_string().into()),
        created: stored.created,
        ended: stored.ended,
        parameters: stored.parameters.map(Arc::new),
        result_json: stored.result_json.map(Arc::from),
    }
}

/// The flow of a recorded run.
fn find(stored: &StoredFlow) -> Result<&'static RegisteredFlow, Error> {
    let wanted = &stored.definition;
    registered_flows()
        .into_iter()
        .find(|flow| {
            let place = flow.definition().place();
            (place.package, place.module, flow.definition().name())
                == (&*wanted.package, &*wanted.module, &*wanted.name)
        })
        .ok_or_else(|| {
            refused(format!(
                "the flow `{}` of `{}` is not in this program, or takes type parameters: resume the run with `resume_call`, or link the crate \
                 (`use {} as _;`)",
                wanted.name,
                wanted.module,
                wanted.package.replace('-', "_")
            ))
        })
}
