//! Why a task ran, or was served: what the journal has of it, against the nearest earlier run of the same task.
//!
//! | room | idea |
//! |---|---|
//! | `find` | which task run is meant |
//! | `lives` | the lives of a flow run that is resumed |
//! | `compare` | what differs between two runs; pure |
//! | `words` | an explanation as a few plain lines |

mod compare;
mod find;
mod lives;
mod words;

use std::time::SystemTime;

use flowkit_journal::record::{Effect, NodeKind, Spot, Timestamp};
use flowkit_journal::{JournalResult, JournalStore, StoredFlow, StoredTask};
use serde::Serialize;

pub use find::WhichTask;
use lives::EarlierLives;

use crate::error::Error;
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::journaling::{DAMAGED, EXPIRED, REFRESHED, journal_error};
use crate::rfc3339::{rfc3339, rfc3339_or_null};
use crate::state::State;

/// Among how many earlier runs of the task the nearest is looked for.
const EARLIER: u32 = 256;

/// Why a task ran or was served: see [`explain`].
///
/// It prints as a few lines, and serializes for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The task's name.
    pub task: String,
    /// The task run.
    pub run: TaskRunId,
    /// Which life of its flow run it belongs to, from 1.
    pub life: u32,
    /// How it stands, or how it ended.
    pub state: String,
    /// Why it ran, or did not.
    pub reason: Reason,
    /// What differs from the nearest earlier run, if the task ran and there is an earlier one.
    pub compared: Option<Comparison>,
}

/// Why a task ran, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It ran: the task is not cached, or its own `cache_key` said not to cache this call.
    NotCached,
    /// It ran: its result is cached, and the journal has no earlier run that could have left one.
    First,
    /// It ran: its key is another than that of any earlier run. The comparison says what changed.
    Changed,
    /// It ran: what the cache had under its key had expired.
    Expired,
    /// It ran: the call said `refresh_cache`.
    Refreshed,
    /// It ran: what the cache had under its key was damaged, and was removed.
    Damaged,
    /// It ran: an earlier run had the same key, and the cache no longer had its result, or never did. It was evicted or cleared since, or the
    /// caches of the two are not the same.
    Gone,
    /// It ran: the earlier runs that had the same key did not succeed, and only successes are kept.
    OnlyFailures,
    /// It ran: the earlier run that had the same key was rolled back with its transaction.
    RolledBack,
    /// It ran again: an earlier life of its flow run did not complete it, or what it returned there was not kept. What is compared is then a run of another call.
    Again {
        /// The run of that life.
        by: EarlierRun,
    },
    /// It ran: the cache could not be used.
    Uncached {
        /// Why not.
        why: String,
    },
    /// It did not run: it was given the value of an earlier run, or of an equal one at the same time.
    Served {
        /// That run, as it was named when the value was kept.
        origin: Option<String>,
        /// That run, if the journal still has it.
        by: Option<EarlierRun>,
        /// Whether the value came from an earlier attempt of the same flow run, and not from the cache.
        from_memory: bool,
    },
    /// It did not run again: an earlier life of its flow run completed it.
    Restored {
        /// The run of that life.
        by: EarlierRun,
    },
    /// It did not run: a run that it needs did not complete.
    UpstreamFailed {
        /// The error that it was given, with its causes.
        error: Option<String>,
    },
    /// It did not run: an earlier life of its flow run began it and died, and whether it had its effect is not known.
    UnknownEffect,
    /// It has not begun yet, or it ended before it began.
    NotBegun {
        /// Why it ended, if it did so with an error.
        error: Option<String>,
    },
    /// It is a fan-out: each of its items has an explanation of its own.
    FanOut {
        /// How many items there are.
        items: usize,
    },
    /// It is a flow that was called in the flow: each of its tasks has an explanation of its own.
    Subflow,
}

/// A run beside the nearest earlier run of the same task: the one that shares the key, or else the most inputs; of equally near ones the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The earlier run.
    pub with: EarlierRun,
    /// All that differs. Empty if nothing does.
    pub changes: Vec<Change>,
    /// The parameters whose values are equal.
    pub equal: Vec<String>,
}

/// A run that came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EarlierRun {
    /// Which it is.
    pub run: TaskRunId,
    /// The name of its flow run.
    pub flow_run: String,
    /// Which life of the flow run it belongs to, from 1.
    pub life: u32,
    /// How many lives the flow run has had.
    pub lives: usize,
    /// How it ended.
    pub state: String,
    /// When it began, if it did.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub started: Option<SystemTime>,
    /// When it ended.
    #[serde(serialize_with = "rfc3339")]
    pub ended: SystemTime,
}

/// One thing that differs between two runs of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The task's code.
    Code,
    /// The task's `version`.
    Version {
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// The value that a parameter was given.
    Input {
        /// The parameter.
        parameter: String,
    },
    /// The task has gained a parameter.
    ParameterAdded {
        /// The parameter.
        parameter: String,
    },
    /// The task has lost a parameter.
    ParameterRemoved {
        /// The parameter.
        parameter: String,
    },
    /// Some input. Which one is not known, since one of them cannot be part of a key.
    SomeInput,
    /// Something else that the key holds: code or constants of `cache_includes`, type arguments, the flow run, or what the task's own `cache_key` gave.
    OtherPartOfKey,
}

/// Says why a task ran or was served, from what the journal has of it: which part of its key changed since the nearest earlier run, whose value it
/// was given, or what kept it from running.
///
/// It only reads, so it needs no runtime, and works beside a process that writes. Of a run that this very process made, the last moments are in
/// the journal once its flow run has ended.
///
/// ```
/// use std::sync::Arc;
///
/// use flowkit::explain::{Change, explain};
/// use flowkit::journal::{JournalStore, MemoryJournal};
/// use flowkit::prelude::*;
///
/// #[task(cache)]
/// async fn area(width: u32, height: u32) -> u32 {
///     width * height
/// }
///
/// #[flow]
/// async fn measure(width: u32, height: u32) -> Result<u32> {
///     Ok(area(width, height).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
/// let runtime = Runtime::builder().journal_store(store.clone()).build().await?;
/// runtime.run(measure(2u32, 3u32)).await;
/// let second = runtime.run(measure(2u32, 4u32)).await;
///
/// let explanation = explain(&*store, second.id(), "area").await?;
/// let changes = explanation.compared.unwrap().changes;
/// assert_eq!(changes, [Change::Input { parameter: "height".to_owned() }]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Of kind [`Input`](crate::ErrorKind::Input), if the journal has no such run, or more than one task run of that name; of kind
/// [`Journal`](crate::ErrorKind::Journal), if it cannot be read.
pub async fn explain(
    store: &dyn JournalStore,
    run: FlowRunId,
    task: impl Into<WhichTask<'_>> + Send,
) -> Result<Explanation, Error> {
    let (flow, task) = find::find(store, run, task.into()).await?;
    let explained = Explainer { store, flow, task }.explain().await;
    explained.map_err(|trouble| journal_error(&trouble))
}

/// The run that is explained.
struct Explainer<'a> {
    store: &'a dyn JournalStore,
    flow: StoredFlow,
    task: StoredTask,
}

impl Explainer<'_> {
    async fn explain(self) -> JournalResult<Explanation> {
        let (reason, compared) = match self.without_running().await? {
            Some(reason) => (reason, None),
            None => self.of_running().await?,
        };
        Ok(Explanation {
            task: self.task.definition.name.clone(),
            run: run_id(&self.flow, self.task.spot),
            life: self.flow.life,
            state: self.task.state.clone(),
            reason,
            compared,
        })
    }

    fn is(&self, state: State) -> bool {
        self.task.state == state.name()
    }

    /// Why the body did not run, if it did not.
    async fn without_running(&self) -> JournalResult<Option<Reason>> {
        let task = &self.task;
        Ok(Some(match task.kind {
            NodeKind::FanOut if task.spot.item.is_none() => Reason::FanOut {
                items: self.items().await?,
            },
            NodeKind::Subflow => Reason::Subflow,
            _ if self.is(State::UpstreamFailed) => Reason::UpstreamFailed {
                error: task.error.clone(),
            },
            _ if self.is(State::Cached) => self.served().await?,
            _ => match self.restored().await? {
                Some(by) => Reason::Restored { by },
                None if task.started.is_some() => return Ok(None),
                None if task.effect == Effect::Intended => Reason::UnknownEffect,
                None => Reason::NotBegun {
                    error: task.error.clone(),
                },
            },
        }))
    }

    async fn items(&self) -> JournalResult<usize> {
        let tasks = self.store.tasks(self.task.spot.run, true).await?;
        let node = self.task.spot.node;
        let is_item = |task: &&StoredTask| task.spot.node == node && task.spot.item.is_some();
        Ok(tasks.iter().filter(is_item).count())
    }

    /// Whose value the run was given.
    async fn served(&self) -> JournalResult<Reason> {
        let task = &self.task;
        let known = task.origin.as_deref().and_then(|origin| origin.parse().ok());
        let by = match known {
            Some(origin) => self.run_of(origin).await?,
            None => self.equal_run().await?,
        };
        Ok(Reason::Served {
            origin: task.origin.clone(),
            by,
            from_memory: task.cache_key.is_none(),
        })
    }

    async fn run_of(&self, run: TaskRunId) -> JournalResult<Option<EarlierRun>> {
        match lives::maker(self.store, run, &self.task).await? {
            Some((_, maker)) => self.named(&maker).await,
            None => Ok(None),
        }
    }

    /// The run of an equal call whose value this one shared, since they came at the same time.
    async fn equal_run(&self) -> JournalResult<Option<EarlierRun>> {
        let Some(ended) = self.task.ended else {
            return Ok(None);
        };
        let until = Timestamp(ended.0.saturating_add(1));
        let earlier = self.store.earlier(&self.task.definition, until, EARLIER).await?;
        let leader = earlier.iter().find(|run| {
            run.cache_key == self.task.cache_key
                && compare::succeeded(run)
                && run.state != State::Cached.name()
        });
        match leader {
            Some(leader) => self.named(leader).await,
            None => Ok(None),
        }
    }

    /// The run of an earlier life whose result this one has, if it has one's.
    async fn restored(&self) -> JournalResult<Option<EarlierRun>> {
        let task = &self.task;
        if self.flow.life < 2 || !self.is(State::Completed) {
            return Ok(None);
        }
        let before = Timestamp(task.ended.unwrap_or_default().0.saturating_add(1));
        let earlier = self.store.earlier(&task.definition, before, EARLIER).await?;
        // A copy has the times of the run that it is a copy of.
        let original = earlier.iter().rev().find(|run| {
            run.spot.run < task.spot.run
                && compare::succeeded(run)
                && (run.started, run.ended) == (task.started, task.ended)
                && (run.place, &run.inputs) == (task.place, &task.inputs)
        });
        match original {
            Some(original) => self.named(original).await,
            None => Ok(None),
        }
    }

    /// Why the body ran.
    async fn of_running(&self) -> JournalResult<(Reason, Option<Comparison>)> {
        let task = &self.task;
        let before = task.started.unwrap_or(task.created);
        // What ended at this very moment has ended.
        let before = Timestamp(before.0.saturating_add(1));
        let mut earlier = self.store.earlier(&task.definition, before, EARLIER).await?;
        earlier.retain(|run| run.spot != task.spot && run.kind == NodeKind::Task && run.started.is_some());
        let lives = EarlierLives::of(self.store, &self.flow).await?;
        let again = earlier
            .iter()
            .find(|run| lives.have_same_call(task, run))
            .cloned();
        // What a life before made of the same call says why it ran again, and nothing of what differs from other calls.
        let again = again.filter(|run| task.cache_key.is_none() || !compare::succeeded(run));
        if again.is_some() {
            earlier.retain(|run| !lives.have_same_call(task, run));
        }
        let nearest = compare::nearest(task, &earlier);
        let again = match &again {
            Some(again) => self.named(again).await?,
            None => None,
        };
        let reason = match (task.uncached.as_deref(), again) {
            (Some(EXPIRED), _) => Reason::Expired,
            (Some(REFRESHED), _) => Reason::Refreshed,
            (Some(DAMAGED), _) => Reason::Damaged,
            (Some(why), _) => Reason::Uncached { why: why.to_owned() },
            (None, Some(by)) => Reason::Again { by },
            (None, None) => why_missed(task, nearest),
        };
        let Some(nearest) = nearest else {
            return Ok((reason, None));
        };
        let compared = self
            .named(nearest)
            .await?
            .map(|with| compare::compare(task, nearest, with));
        Ok((reason, compared))
    }

    async fn named(&self, run: &StoredTask) -> JournalResult<Option<EarlierRun>> {
        let Some(flow) = self.store.life(run.spot.run).await? else {
            return Ok(None);
        };
        let lives = self.store.lives(flow.id).await?.len();
        Ok(earlier_run(&flow, lives, run))
    }
}

/// Why the cache had nothing for a run.
fn why_missed(task: &StoredTask, nearest: Option<&StoredTask>) -> Reason {
    match (task.cache_key, nearest) {
        (None, _) => Reason::NotCached,
        (_, None) => Reason::First,
        (key, Some(nearest)) if nearest.cache_key != key => Reason::Changed,
        (_, Some(nearest)) if nearest.state == State::RolledBack.name() => Reason::RolledBack,
        (_, Some(nearest)) if compare::succeeded(nearest) => Reason::Gone,
        _ => Reason::OnlyFailures,
    }
}

fn run_id(flow: &StoredFlow, spot: Spot) -> TaskRunId {
    let place = match spot.item {
        Some(item) => NodeRef::item(spot.node, item),
        None => NodeRef::node(spot.node),
    };
    TaskRunId::new(FlowRunId::from_u128(flow.id), place)
}

fn earlier_run(flow: &StoredFlow, lives: usize, task: &StoredTask) -> Option<EarlierRun> {
    Some(EarlierRun {
        run: run_id(flow, task.spot),
        flow_run: flow.name.clone(),
        life: flow.life,
        lives,
        state: task.state.clone(),
        started: task.started.map(SystemTime::from),
        ended: task.ended?.into(),
    })
}
