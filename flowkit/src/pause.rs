//! Pauses: a run waits for somebody outside to go on, and for what they say.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flowkit_cache::{KeyHasher, codec};
use flowkit_journal::record::{AnswerRow, Digest, Record};
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::context::{self, Ambient, RunContext};
use crate::definition::DefinitionKind;
use crate::engine::scope::{Change, Scope};
use crate::engine::slots::without_slots;
use crate::error::{BoxError, Error, ErrorKind};
use crate::graph::NodeKind;
use crate::ids::FlowRunId;
use crate::journaling::calls::digest;
use crate::journaling::journal_error;
use crate::runtime::Runtime;
use crate::state::State;

/// Where a run waits, or has waited, to be resumed.
struct Point {
    input: OnceLock<Arc<dyn Any + Send + Sync>>,
    resumed: Notify,
    input_type: &'static str,
    accepts: fn(&dyn Any) -> bool,
    /// Writes the input down, if it is to be.
    write: Option<Write>,
}

type Write = fn(&dyn Any) -> Result<Vec<u8>, BoxError>;
type Read<T> = fn(&[u8]) -> Result<T, BoxError>;

fn write<T: Serialize + 'static>(input: &dyn Any) -> Result<Vec<u8>, BoxError> {
    let input = input.downcast_ref::<T>().ok_or("it is of another type")?;
    Ok(codec::encode(input)?)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BoxError> {
    Ok(codec::decode(bytes)?)
}

/// The pauses of one flow run, by their keys.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<BTreeMap<Arc<str>, Arc<Point>>>);

impl Pauses {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Arc<Point>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that wait for an input.
    fn open(&self) -> Vec<Arc<str>> {
        let points = self.lock();
        let open = points.iter().filter(|(_, point)| point.input.get().is_none());
        open.map(|(key, _)| Arc::clone(key)).collect()
    }
}

/// A pause that has not begun: see [`pause`].
#[must_use = "a pause does nothing until it is awaited"]
pub struct Pause<T> {
    key: Arc<str>,
    timeout: Option<Duration>,
    persist: Option<(Write, Read<T>)>,
}

impl<T> fmt::Debug for Pause<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pause")
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Pauses the run that awaits it until [`Runtime::resume_paused`] gives it an input for this key.
///
/// A paused run is in the state [`Paused`](State::Paused) and holds no slot of a limit. Each key of a flow run is asked for once: a second
/// pause with the key is given the same input at once, also in a later attempt of the flow. With [`persist`](Pause::persist) also in a later life of it, after its
/// process died.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[flow]
/// async fn publish() -> Result<String> {
///     let approved_by: String = flowkit::pause("approval").await?;
///     Ok(format!("published, approved by {approved_by}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().build().await?;
/// let run = tokio::spawn({
///     let runtime = runtime.clone();
///     async move { runtime.run(publish()).await }
/// });
/// let paused = loop {
///     match runtime.paused().into_iter().next() {
///         Some(paused) => break paused,
///         None => tokio::task::yield_now().await,
///     }
/// };
/// runtime.resume_paused(paused.run, &paused.key, "Ada".to_owned())?;
/// assert_eq!(run.await?.into_result()?, "published, approved by Ada");
/// # Ok(())
/// # }
/// ```
pub fn pause<T: Clone + Send + Sync + 'static>(key: impl Into<Arc<str>>) -> Pause<T> {
    Pause {
        key: key.into(),
        timeout: None,
        persist: None,
    }
}

impl<T> Pause<T> {
    /// How long to wait at most. Without it there is no limit but those of the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Pause<T> {
    /// Has the input written into the journal, if the runtime has one, before the run goes on with it: when the flow run is resumed, it is given the same input at once. A
    /// subflow whose inputs have no key asks again.
    pub fn persist(mut self) -> Self {
        self.persist = Some((write::<T>, read::<T>));
        self
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for Pause<T> {
    /// The input, or an error of kind [`TimedOut`](ErrorKind::TimedOut) if none came in time, [`Unavailable`](ErrorKind::Unavailable) outside any
    /// run, [`Input`](ErrorKind::Input) if an earlier pause with the key asked for another type, or [`Journal`](ErrorKind::Journal) if the input is to persist and could
    /// not be written.
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Result<T, Error>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Some(Ambient::Run(run)) = context::current() else {
                let detail = "a pause belongs to a run: pause inside a flow or a task";
                return Err(Error::about_runtime(ErrorKind::Unavailable, detail));
            };
            // Before anybody sees it wait: it need not.
            let is_known = run.scope.pauses.lock().contains_key(&self.key);
            let input = match self.persist.filter(|_| !is_known) {
                Some((_, read)) => given_before(&run.scope, &self.key, read).await?,
                None => None,
            };
            let input = input.map(|input| Arc::new(input) as Arc<dyn Any + Send + Sync>);
            let point = || Point {
                input: input.map_or_else(OnceLock::new, OnceLock::from),
                resumed: Notify::new(),
                input_type: type_name::<T>(),
                accepts: |input| input.is::<T>(),
                write: self.persist.map(|(write, _)| write),
            };
            let point = {
                let mut pauses = run.scope.pauses.lock();
                let known = pauses
                    .entry(Arc::clone(&self.key))
                    .or_insert_with(|| Arc::new(point()));
                Arc::clone(known)
            };
            if point.input.get().is_none() {
                let paused = Paused::begin(&run);
                if cfg!(flowkit_fault = "slots-held-while-paused") {
                    wait(&point, &self, &run).await?;
                } else {
                    without_slots(wait(&point, &self, &run)).await?;
                }
                drop(paused);
            }
            // Also if another pause at the same key was given it, or an attempt before this one, and it could not be written then.
            if let Some(life) = run.scope.life.as_ref().filter(|_| self.persist.is_some()) {
                let written = life.recorder.journal.flush_of(life.root).await;
                written.map_err(|trouble| journal_error(&trouble).in_flow_run(run.scope.id))?;
            }
            let input = point.input.get().and_then(|input| input.downcast_ref::<T>());
            input.cloned().ok_or_else(|| {
                let detail = format!(
                    "the pause `{}` was given a `{}`, and is asked for a `{}`",
                    self.key,
                    point.input_type,
                    type_name::<T>()
                );
                about(&run, ErrorKind::Input).detailed(detail)
            })
        })
    }
}

/// Which pause of a flow run this is, in each of its lives.
fn place_of(scope: &Scope, key: &str) -> Option<Digest> {
    let calls = scope.calls().filter(|calls| calls.is_known())?;
    let mut hasher = KeyHasher::new();
    hasher.bytes("paused", &calls.caller());
    hasher.section("key", key);
    hasher.finish().ok().map(|key| digest(&key))
}

/// What an earlier life of the flow run was given.
async fn given_before<T>(scope: &Scope, key: &str, read: Read<T>) -> Result<Option<T>, Error> {
    let Some(life) = scope.life.as_ref().filter(|life| life.replay.is_some()) else {
        return Ok(None);
    };
    let Some(place) = place_of(scope, key) else {
        return Ok(None);
    };
    let found = life.recorder.journal.store().answer(place).await;
    let found = found.map_err(|trouble| journal_error(&trouble).in_flow_run(scope.id))?;
    let input = found.map(|found| read(&found.value)).transpose();
    Ok(input.unwrap_or_else(|error| {
        tracing::warn!(target: "flowkit", flow_run_id = %scope.id, key, %error, "what a pause was given cannot be read any more: it is asked for again");
        None
    }))
}

async fn wait<T>(point: &Point, pause: &Pause<T>, run: &RunContext) -> Result<(), Error> {
    let resumed = async {
        loop {
            let resumed = point.resumed.notified();
            if point.input.get().is_some() {
                return;
            }
            resumed.await;
        }
    };
    let Some(limit) = pause.timeout else {
        resumed.await;
        return Ok(());
    };
    let in_time = tokio::time::timeout(limit, resumed).await;
    in_time.map_err(|_| {
        let limit = humantime::format_duration(limit);
        let detail = format!("after {limit}, because its pause `{}` was not resumed", pause.key);
        about(run, ErrorKind::TimedOut).detailed(detail)
    })
}

fn about(run: &RunContext, kind: ErrorKind) -> Error {
    let error = Error::new(kind, DefinitionKind::Flow, run.scope.name()).in_flow_run(run.scope.id);
    let Some(place) = run.place else {
        return error;
    };
    let name = run.scope.graph().name(place);
    error
        .about(DefinitionKind::Task, name)
        .in_task_run(run.scope.task_run_id(place))
}

/// Keeps a run in the state `Paused`. Dropped, the run works again, unless it has ended.
struct Paused<'a>(&'a RunContext);

impl<'a> Paused<'a> {
    fn begin(run: &'a RunContext) -> Self {
        let paused = Self(run);
        paused.change(State::Running, State::Paused);
        paused
    }

    fn change(&self, from: State, to: State) {
        let RunContext {
            scope,
            place,
            attempt,
            ..
        } = self.0;
        let change = Change {
            attempt: *attempt,
            ..Change::default()
        };
        if let Some(place) = place {
            if scope.state_of(*place) == from {
                scope.change(*place, to, &change);
            }
            return;
        }
        if scope.change_own(from, to)
            && let Some((parent, place)) = &scope.parent()
            && parent.state_of(*place) == from
        {
            parent.change(*place, to, &change);
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.change(State::Paused, State::Running);
    }
}

/// A pause that waits for an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedRun {
    /// The flow run that waits, or in which a task does.
    pub run: FlowRunId,
    /// The key that it waits with.
    pub key: Arc<str>,
}

impl Runtime {
    /// The pauses that wait for an input, in flows and subflows.
    pub fn paused(&self) -> Vec<PausedRun> {
        let mut paused = Vec::new();
        self.each_scope(&mut |scope| {
            let open = scope.pauses.open().into_iter();
            paused.extend(open.map(|key| PausedRun { run: scope.id, key }));
        });
        paused
    }

    /// Resumes a run that waits in [`pause`] with this key, and gives it the input.
    ///
    /// # Errors
    /// Of kind [`Input`](ErrorKind::Input), if there is no such run, it does not wait with this key, or it waits for another type, or for one that is to persist and cannot
    /// be written down.
    pub fn resume_paused<T: Send + Sync + 'static>(
        &self,
        run: FlowRunId,
        key: &str,
        input: T,
    ) -> Result<(), Error> {
        let mut found = None;
        self.each_scope(&mut |scope| {
            if scope.id == run {
                let point = scope.pauses.lock().get(key).cloned();
                found = point.map(|point| (Arc::clone(scope), point));
            }
        });
        let refuse = |detail: String| Err(Error::about_runtime(ErrorKind::Input, detail));
        let Some((scope, point)) = found else {
            return refuse(format!(
                "no run {run} waits in a pause `{key}`: `Runtime::paused` lists those that wait"
            ));
        };
        let input: Arc<dyn Any + Send + Sync> = Arc::new(input);
        if !(point.accepts)(&*input) {
            return refuse(format!(
                "the pause `{key}` of run {run} waits for a `{}`, and was given a `{}`",
                point.input_type,
                type_name::<T>()
            ));
        }
        let written = match point.write.map(|write| write(&*input)).transpose() {
            Ok(written) => written,
            Err(error) => {
                return refuse(format!(
                    "what the pause `{key}` is given cannot be written down: {error}"
                ));
            }
        };
        // Whoever gives an input holds this, so that only the first one is written, and before anybody goes on with it.
        let pauses = scope.pauses.lock();
        if point.input.get().is_some() {
            return refuse(format!("the pause `{key}` of run {run} was resumed before"));
        }
        if let (Some(value), Some(life), Some(place)) = (written, &scope.life, place_of(&scope, key)) {
            life.append(Record::from(AnswerRow {
                run: life.no,
                place,
                key: key.into(),
                at: scope.epoch.wall_time(scope.epoch.stamp()).into(),
                value: value.into(),
            }));
        }
        // It was not there.
        drop(point.input.set(input));
        drop(pauses);
        point.resumed.notify_waiters();
        Ok(())
    }

    /// Visits every flow run that is going on, and the subflows in it.
    fn each_scope(&self, visit: &mut dyn FnMut(&Arc<Scope>)) {
        let mut scopes = self.scopes();
        while let Some(scope) = scopes.pop() {
            visit(&scope);
            let graph = scope.graph();
            scopes.extend(graph.nodes.iter().filter_map(|node| match node.kind() {
                NodeKind::Subflow(subflow) if !node.record.state.is_terminal() => Some(Arc::clone(subflow)),
                _ => None,
            }));
        }
    }
}
