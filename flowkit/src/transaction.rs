//! Transactions: a group of runs that counts as done only as a whole. Until it commits, what its tasks would keep in the cache is
//! kept back; if it fails, the `on_rollback` hooks of what completed are called, the last first.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowkit_cache::{CacheKey, NewEntry};
use tokio::sync::Notify;

use flowkit_journal::record::{Digest, Effect};

use crate::context::{self, Ambient, scoped};
use crate::definition::Definition;
use crate::engine::caching;
use crate::engine::hooks;
use crate::engine::memo::Remembered;
use crate::engine::scope::{Change, Scope};
use crate::engine::slots::without_slots;
use crate::error::{Error, ErrorKind};
use crate::hook::{HookRun, Moment};
use crate::ids::NodeRef;
use crate::journaling::replay::Found;
use crate::journaling::{CallRecord, Original};
use crate::state::State;

/// Describes a transaction that is not the usual one: see [`transaction`].
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a transaction does nothing until it is run"]
pub struct Transaction {
    eager: bool,
}

impl Transaction {
    /// A transaction that commits with the one around it, if there is one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits at its own end, also inside another transaction, which does not undo it.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }

    /// Runs `body` as a transaction: see [`transaction`].
    ///
    /// # Errors
    /// The body's; an error of kind [`Unavailable`](ErrorKind::Unavailable) outside any run; the error of a run in it that failed and that
    /// nobody looked at.
    pub async fn run<T, E: From<Error>>(self, body: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some(Ambient::Run(mut run)) = context::current() else {
            let detail = "a transaction groups runs of a flow: begin it inside a flow or a task";
            return Err(Error::about_runtime(ErrorKind::Unavailable, detail).into());
        };
        let around = run.around_mut().transaction.take().filter(|_| !self.eager);
        let mut open = Open {
            group: Some(Arc::default()),
            scope: Arc::clone(&run.scope),
            caller: run.place,
        };
        run.around_mut().transaction.clone_from(&open.group);
        let outcome = scoped(Ambient::Run(run), body).await;
        let Some(group) = open.group.clone() else {
            return outcome;
        };
        if outcome.is_err() {
            group.stop_live();
        }
        without_slots(group.drained()).await;
        let outcome = outcome.and_then(|value| match group.first_unhandled() {
            Some(failure) => Err(failure.into()),
            None => Ok(value),
        });
        // From here on it is decided.
        open.group = None;
        match (&outcome, around) {
            (Ok(_), Some(around)) => around.take_over(&group),
            (outcome, _) => without_slots(open.carry_out(group, outcome.is_ok())).await,
        }
        outcome
    }
}

/// Runs `body` as a transaction: its runs count as done only together.
///
/// If `body` returns `Ok`, the transaction commits: cached results of its tasks become visible, and their `on_commit` hooks are called in the order of
/// completion. If it returns an error, panics or is dropped, what runs in it is cancelled, and the `on_rollback` hooks of the tasks that completed are
/// called, the last first; their runs end as [`RolledBack`](State::RolledBack), and nothing is kept of them. Either way everything submitted in it has
/// ended before. A hook that fails is recorded with its run, and the others are called all the same.
///
/// A transaction inside another commits with that one, and can be rolled back by itself before; [`Transaction::eager`] commits at its own end.
/// Tasks outside any transaction commit when they complete.
///
/// ```
/// use flowkit::HookRun;
/// use flowkit::prelude::*;
///
/// fn drop_table(run: HookRun) {
///     println!("undoing {}", run.name());
/// }
///
/// #[task(on_rollback = drop_table)]
/// async fn create_table() {}
///
/// #[task]
/// async fn fill_table() -> Result<()> {
///     Err("the disk is full".into())
/// }
///
/// #[flow]
/// async fn migrate() -> Result<()> {
///     flowkit::transaction(async {
///         create_table().await?;
///         fill_table().await?; // fails: the table is dropped again
///         Ok(())
///     })
///     .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let run = migrate().run().await;
/// assert_eq!(run.tasks()[0].state, State::RolledBack);
/// # }
/// ```
///
/// # Errors
/// The body's; an error of kind [`Unavailable`](ErrorKind::Unavailable) outside any run; the error of a run in it that failed and that nobody
/// looked at.
pub async fn transaction<T, E: From<Error>>(body: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    Transaction::new().run(body).await
}

/// A transaction that is not decided. Dropped, it is rolled back on a tokio task of its own.
struct Open {
    group: Option<Arc<Group>>,
    /// The flow run that it was begun in, which ends after it. Those below may be runs of the transaction, which waits for them.
    scope: Arc<Scope>,
    /// The task run that began it, which is not tried again before it has ended.
    caller: Option<NodeRef>,
}

impl Open {
    /// Carries out what was decided on a tokio task of its own, for which the flow run waits: half of it would be neither done nor undone, so
    /// it goes on when whoever waits for it is dropped.
    async fn carry_out(&self, group: Arc<Group>, commits: bool) {
        if group.lock().is_empty() {
            return;
        }
        let counted = hooks::Counted::of(Arc::clone(&self.scope), self.caller);
        let decision = async move {
            match commits {
                true => group.commit().await,
                false => group.roll_back().await,
            }
            drop(counted);
        };
        match tokio::runtime::Handle::try_current() {
            // It fails only with the tokio runtime, and then nobody waits for it.
            Ok(tokio) => drop(tokio.spawn(decision).await),
            Err(_) => decision.await,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        group.stop_live();
        match tokio::runtime::Handle::try_current() {
            Ok(tokio) => {
                let counted = hooks::Counted::of(Arc::clone(&self.scope), self.caller);
                tokio.spawn(async move {
                    group.drained().await;
                    group.roll_back().await;
                    drop(counted);
                });
            }
            Err(_) => tracing::error!(
                target: "flowkit",
                "a transaction was dropped outside a tokio runtime: its rollback hooks are not called"
            ),
        }
    }
}

/// The runs of one transaction.
#[derive(Default)]
pub(crate) struct Group {
    runs: Mutex<Runs>,
    drained: Notify,
}

#[derive(Default)]
struct Runs {
    /// Those that have not ended, in the order in which they began: they are cancelled in the same order each time.
    live: BTreeMap<u64, (Arc<Scope>, NodeRef)>,
    next: u64,
    /// Those that completed, in order.
    completed: Vec<Completed>,
    failed: Vec<(Arc<Scope>, NodeRef)>,
    /// What subflows returned, which a retry of the flow need not run again once it is committed.
    subflows: Vec<(Arc<Scope>, Digest, Remembered)>,
}

impl Runs {
    fn is_empty(&self) -> bool {
        self.completed.is_empty() && self.subflows.is_empty()
    }

    fn add(&mut self, completed: Completed) {
        // An effect that a caller which was tried again is given once more has happened once, and is undone once.
        if completed.definition.has_effect() && completed.call.is_some() {
            self.completed.retain(|earlier| earlier.call != completed.call);
        }
        self.completed.push(completed);
    }
}

/// A run that completed in a transaction, with what waits for its commit.
pub(crate) struct Completed {
    pub(crate) scope: Arc<Scope>,
    pub(crate) place: NodeRef,
    pub(crate) definition: &'static Definition,
    pub(crate) run: HookRun,
    /// What is then kept in the cache.
    pub(crate) entry: Option<(CacheKey, NewEntry)>,
    /// What a retry of the flow then need not run again.
    pub(crate) memo: Option<(Digest, Remembered)>,
    /// Which call it is.
    pub(crate) call: Option<Digest>,
    /// What the journal has of it, so that a later life knows what was undone.
    pub(crate) record: Option<CallRecord>,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a run in.
    pub(crate) fn enter(self: &Arc<Self>, scope: &Arc<Scope>, place: NodeRef) -> Member {
        let mut runs = self.lock();
        let number = runs.next;
        runs.next += 1;
        runs.live.insert(number, (Arc::clone(scope), place));
        Member {
            group: Arc::clone(self),
            number,
        }
    }

    /// Returns when everything in it has ended.
    async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.lock().live.is_empty() {
                return;
            }
            if cfg!(flowkit_fault = "livelock") {
                tokio::task::yield_now().await;
                continue;
            }
            drained.await;
        }
    }

    /// Cancels what has not ended.
    fn stop_live(&self) {
        let live: Vec<_> = self.lock().live.values().cloned().collect();
        live.iter().for_each(|(scope, place)| scope.stop(*place));
    }

    /// The error of the first run in it that failed and that nobody looked at. It is looked at by this.
    fn first_unhandled(&self) -> Option<Error> {
        let failed = std::mem::take(&mut self.lock().failed);
        failed
            .iter()
            .find_map(|(scope, place)| scope.take_unhandled(*place))
    }

    /// The runs of a transaction inside become this one's.
    fn take_over(&self, inner: &Self) {
        let inner = std::mem::take(&mut *inner.lock());
        let mut runs = self.lock();
        inner
            .completed
            .into_iter()
            .for_each(|completed| runs.add(completed));
        runs.subflows.extend(inner.subflows);
    }

    /// What a subflow returned is to be remembered when this commits.
    pub(crate) fn remember(&self, scope: &Arc<Scope>, place: Digest, remembered: Remembered) {
        self.lock().subflows.push((Arc::clone(scope), place, remembered));
    }

    async fn commit(&self) {
        let Runs {
            completed, subflows, ..
        } = std::mem::take(&mut *self.lock());
        for (scope, place, remembered) in subflows {
            if let Some(memo) = scope.memo() {
                memo.remember(place, remembered);
            }
        }
        for done in completed {
            if let Some((key, entry)) = done.entry {
                let kept = caching::keep(Arc::clone(&done.scope.runtime), key, entry).await;
                if let Some(trouble) = kept {
                    done.scope.note(done.place, |extra| {
                        extra.rare_mut().uncached = Some(Arc::from(trouble));
                    });
                }
            }
            if let (Some((place, remembered)), Some(memo)) = (done.memo, done.scope.memo()) {
                memo.remember(place, remembered);
            }
            hooks::call_at(
                Moment::Commit,
                &done.scope,
                Some(done.place),
                done.definition,
                &done.run,
            )
            .await;
        }
    }

    async fn roll_back(&self) {
        let mut completed = std::mem::take(&mut self.lock().completed);
        if !cfg!(flowkit_fault = "rollback-in-the-order-of-completion") {
            completed.reverse();
        }
        for done in completed {
            done.undo().await;
        }
    }
}

impl Completed {
    /// Undoes it. That it is undone is on the disk before its hooks are called; should the process die before they all have been, the next life that comes to this
    /// call calls them again. If it cannot be written there, the hooks are not called, and it stands. An effect that no hook undoes stands, too, and one whose hooks
    /// fail does not happen again.
    async fn undo(mut self) {
        let (scope, place) = (Arc::clone(&self.scope), self.place);
        let has_hooks = scope.runtime.has_hooks_at(Moment::Rollback, self.definition);
        let has_effect = self.definition.has_effect() && scope.life.is_some();
        let stands = if has_effect {
            Effect::Happened
        } else {
            Effect::Failed
        };
        if !has_hooks {
            return self.note(stands);
        }
        let known = self.doubt(Effect::Undoing);
        self.note(Effect::Undoing);
        if let Some(life) = &scope.life
            && !cfg!(flowkit_fault = "undoing-not-awaited")
            && let Err(trouble) = life.recorder.journal.flush_of(life.root).await
        {
            tracing::error!(target: "flowkit", task = self.definition.name(), %trouble, "a run was not undone, since that could not be recorded: what it did stands");
            if let Some(call) = self.call {
                life.done.stands(call, known);
            }
            return self.note(stands);
        }
        self.run.state = State::RolledBack;
        let undone = hooks::call_at(Moment::Rollback, &scope, Some(place), self.definition, &self.run).await;
        if undone || !has_effect {
            return self.note(Effect::Failed);
        }
        // What undoes an effect and fails may have undone it, and may not.
        self.doubt(Effect::Intended);
        self.note(Effect::Intended);
    }

    /// Has this life doubt whether an effect stands. Gives what it knew of it.
    fn doubt(&self, effect: Effect) -> Option<Found> {
        let has_effect = self.definition.has_effect();
        let (call, life) = (self.call?, self.scope.life.as_ref().filter(|_| has_effect)?);
        let found = Found {
            spot: life.spot(self.place),
            has_result: false,
            effect,
            original: Original {
                started: None,
                ended: None,
                attempts: 0,
            },
        };
        life.done.doubt(call, found)
    }

    /// Notes what is known of its effect, now that it is rolled back: in this life, and in the journal.
    fn note(&self, effect: Effect) {
        let (scope, place) = (&self.scope, self.place);
        if effect == Effect::Failed
            && let (Some(call), Some(life)) = (self.call, &scope.life)
        {
            life.done.undo(call);
        }
        let record = self.record.as_ref().map(|record| CallRecord {
            effect,
            result: record.result.clone().filter(|_| effect == Effect::Happened),
            ..record.clone()
        });
        if scope.state_of(place) == State::RolledBack {
            scope.journal_task(&scope.graph(), place, record.as_ref());
            return;
        }
        let change = Change {
            call: record.as_ref(),
            ..Change::default()
        };
        scope.change(place, State::RolledBack, &change);
    }
}

/// One run in a transaction, while it has not ended.
pub(crate) struct Member {
    group: Arc<Group>,
    number: u64,
}

impl Member {
    /// The run completed: what it leaves behind waits for the decision.
    pub(crate) fn completed(self, completed: Completed) {
        self.group.lock().add(completed);
    }

    /// The run failed.
    pub(crate) fn failed(self, scope: &Arc<Scope>, place: NodeRef) {
        self.group.lock().failed.push((Arc::clone(scope), place));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut runs = self.group.lock();
        runs.live.remove(&self.number);
        if runs.live.is_empty() {
            self.group.drained.notify_waiters();
        }
    }
}
