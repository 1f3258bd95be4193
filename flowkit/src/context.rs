//! The ambient context: which run the code that is being polled belongs to.
//!
//! A call finds its flow through it, a task its attempt number, a log line its run id. It is set around every poll of
//! a body, so it follows a body from thread to thread and nests as calls do.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll};

use flowkit_cache::CacheKey;
use pin_project_lite::pin_project;

use crate::engine::scope::Scope;
use crate::engine::slots::{RunSlots, without_slots};
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::journaling::calls::Calls;
use crate::runtime::{Runtime, RuntimeInner};
use crate::transaction::Group;

/// What calls made by the code that is being polled belong to.
#[derive(Clone)]
pub(crate) enum Ambient {
    /// A runtime, outside any run, and the tags that runs begun here carry.
    Runtime(Arc<RuntimeInner>, Tags),
    /// A run.
    Run(RunContext),
}

/// The run that the code belongs to.
#[derive(Clone)]
pub(crate) struct RunContext {
    pub(crate) scope: Arc<Scope>,
    /// The task run; none in the body of the flow itself.
    pub(crate) place: Option<NodeRef>,
    pub(crate) attempt: u32,
    /// The calls that the body makes, where a journal must know them again.
    pub(crate) calls: Option<Arc<Calls>>,
    /// What only few runs are in; most have none, and need not carry it around.
    around: Option<Arc<Around>>,
}

/// What a run is in beside its flow run.
#[derive(Clone, Default)]
pub(crate) struct Around {
    pub(crate) tags: Tags,
    /// The cache keys that this run and its callers are computing.
    pub(crate) leading: Option<Arc<Leading>>,
    /// What the run holds while its body works.
    pub(crate) slots: Option<Arc<RunSlots>>,
    /// The transaction that runs begun here belong to.
    pub(crate) transaction: Option<Arc<Group>>,
    /// Set when nobody waits for a blocking body any more.
    pub(crate) abandoned: Option<Arc<AtomicBool>>,
}

/// What most runs are in.
static NOTHING: Around = Around {
    tags: None,
    leading: None,
    slots: None,
    transaction: None,
    abandoned: None,
};

/// Tags that every run begun here carries.
pub(crate) type Tags = Option<Arc<[Arc<str>]>>;

/// A key that is being computed, and those of the callers above.
pub(crate) struct Leading {
    pub(crate) key: CacheKey,
    pub(crate) above: Option<Arc<Self>>,
}

impl RunContext {
    /// The context of a flow run's body.
    pub(crate) fn of(scope: Arc<Scope>, attempt: u32, calls: Option<Arc<Calls>>) -> Self {
        Self {
            scope,
            place: None,
            attempt,
            calls,
            around: None,
        }
    }

    /// The context of the body of a run that is called in this one.
    pub(crate) fn below(mut self, place: NodeRef, slots: Option<Arc<RunSlots>>) -> Self {
        let around = self.around();
        if slots.is_some() || around.slots.is_some() || around.abandoned.is_some() {
            let around = self.around_mut();
            around.slots = slots;
            around.abandoned = None;
        }
        Self {
            place: Some(place),
            attempt: 0,
            ..self
        }
    }

    /// Whether it is that of a blocking body.
    pub(crate) fn is_blocking(&self) -> bool {
        self.around().abandoned.is_some()
    }

    /// Whether nobody waits any more for the blocking body that this is: what it calls is not run.
    pub(crate) fn is_abandoned(&self) -> bool {
        let abandoned = self.around().abandoned.as_ref();
        abandoned.is_some_and(|abandoned| abandoned.load(Ordering::Acquire))
    }

    pub(crate) fn around(&self) -> &Around {
        self.around.as_deref().unwrap_or(&NOTHING)
    }

    pub(crate) fn around_mut(&mut self) -> &mut Around {
        Arc::make_mut(self.around.get_or_insert_default())
    }

    /// Whether this run or one that called it is computing the value of `key`: to wait for it would be for ever.
    pub(crate) fn is_leading(&self, key: &CacheKey) -> bool {
        let mut leading = self.around().leading.as_ref();
        while let Some(link) = leading {
            if link.key == *key {
                return true;
            }
            leading = link.above.as_ref();
        }
        false
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
    /// Where on the stack the outermost body begins that is being polled.
    static OUTERMOST: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What the running code belongs to.
pub(crate) fn current() -> Option<Ambient> {
    CURRENT.with(|current| current.borrow().clone())
}

/// What calls made here belong to: the default runtime, where there is no other.
pub(crate) fn current_or_default() -> Ambient {
    current().unwrap_or_else(|| Ambient::Runtime(Arc::clone(Runtime::default_inner()), None))
}

/// Shows the run that the code belongs to, if it belongs to one. What looks at it may not ask for the context itself.
pub(crate) fn with_run<R>(look: impl FnOnce(&RunContext) -> R) -> Option<R> {
    CURRENT.with(|current| match &*current.borrow() {
        Some(Ambient::Run(run)) => Some(look(run)),
        _ => None,
    })
}

/// The run that the code belongs to, if there is one and it has a journal. Unlike the others of its kind it may be asked at any time, also on a thread
/// that is ending.
#[cfg(feature = "logs")]
pub(crate) fn journaled_run() -> Option<RunContext> {
    let found = CURRENT.try_with(|current| match &*current.try_borrow().ok()? {
        Some(Ambient::Run(run)) if run.scope.life.is_some() => Some(run.clone()),
        _ => None,
    });
    found.ok()?
}

/// The slots of the run that the code belongs to.
pub(crate) fn current_slots() -> Option<Arc<RunSlots>> {
    CURRENT.with(|current| match &*current.borrow() {
        Some(Ambient::Run(run)) => run.around().slots.clone(),
        _ => None,
    })
}

/// Runs `work` with `ambient` in place, and gives it back afterwards, also when `work` panics.
pub(crate) fn enter<R>(ambient: &mut Option<Ambient>, work: impl FnOnce() -> R) -> R {
    struct Restore<'a>(&'a mut Option<Ambient>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            CURRENT.with(|current| std::mem::swap(self.0, &mut *current.borrow_mut()));
        }
    }
    CURRENT.with(|current| std::mem::swap(ambient, &mut *current.borrow_mut()));
    let _restore = Restore(ambient);
    descend(work)
}

/// How much of the stack bodies may take that are polled, or dropped, within each other: of two megabytes, as threads have unless they are made with less, with room for
/// what is not ours.
const SHALLOW: usize = 256 * 1024;

/// Whether bodies that are polled, or dropped, within each other have taken so much of the thread's stack that one more is better off on another.
pub(crate) fn is_deep() -> bool {
    OUTERMOST
        .get()
        .is_some_and(|outermost| outermost.abs_diff(here()) > SHALLOW)
}

/// Does what may go on to the same within: whether that is deep is known then.
pub(crate) fn descend<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OUTERMOST.set(self.0);
        }
    }
    let restore = Restore(OUTERMOST.get());
    if restore.0.is_none() {
        OUTERMOST.set(Some(here()));
    }
    work()
}

/// Where on the stack the code is.
fn here() -> usize {
    let here = 0u8;
    std::ptr::from_ref(&here).addr()
}

pin_project! {
    /// A future that is polled with a context in place.
    pub(crate) struct Scoped<F> {
        ambient: Option<Ambient>,
        #[pin]
        future: F,
    }
}

/// `future`, with `ambient` in place whenever it is polled.
pub(crate) fn scoped<F: Future>(ambient: Ambient, future: F) -> Scoped<F> {
    Scoped {
        ambient: Some(ambient),
        future,
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        enter(this.ambient, || this.future.poll(cx))
    }
}

/// The run that the code asking belongs to: see [`current_run`].
#[derive(Clone)]
pub struct CurrentRun(RunContext);

impl CurrentRun {
    /// The flow run.
    pub fn flow_run_id(&self) -> FlowRunId {
        self.0.scope.id
    }

    /// The task run; none in the body of the flow itself.
    pub fn task_run_id(&self) -> Option<TaskRunId> {
        self.0.place.map(|place| TaskRunId::new(self.0.scope.id, place))
    }

    /// Which attempt this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Whether the run is to stop: nobody waits for its value any more, or its flow takes no more runs.
    ///
    /// An async body need not ask, since it is dropped at its next await. A blocking one cannot be stopped from outside: asked between two
    /// steps of its work, this is how it learns that its run timed out or was cancelled.
    ///
    /// ```
    /// use flowkit::prelude::*;
    ///
    /// #[task]
    /// fn count(rows: u64) -> Result<u64> {
    ///     let run = flowkit::current_run().ok_or("outside a run")?;
    ///     for row in 0..rows {
    ///         if run.is_cancelled() {
    ///             return Err(format!("stopped at row {row}").into());
    ///         }
    ///     }
    ///     Ok(rows)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(count(3u64).await.unwrap(), 3);
    /// # }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.is_abandoned() || self.0.scope.is_closed()
    }

    /// Whether the runtime has observers, which are told of [reports](Self::report). If not, nothing need be put together for them.
    pub fn is_observed(&self) -> bool {
        self.0.scope.is_watched()
    }

    /// Tells the runtime's observers something about this run: how many rows were read, how good they are. It is an event,
    /// [`EventKind::Reported`](crate::EventKind::Reported), and nothing else comes of it.
    ///
    /// The engine knows nothing of what is reported; who observes finds it by its type. It may be called from other tasks and threads that
    /// work for this run, also when that has ended.
    ///
    /// ```
    /// use flowkit::prelude::*;
    /// use flowkit::{Event, EventKind};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::sync::Arc;
    ///
    /// struct Rows(u64);
    ///
    /// #[task]
    /// async fn load() {
    ///     if let Some(run) = flowkit::current_run() {
    ///         run.report(&Rows(7));
    ///     }
    /// }
    ///
    /// #[derive(Default)]
    /// struct Loaded(AtomicU64);
    ///
    /// impl flowkit::Observer for Loaded {
    ///     fn on_event(&self, event: &Event<'_>) {
    ///         if let EventKind::Reported { report, .. } = &event.kind
    ///             && let Some(Rows(rows)) = report.downcast_ref()
    ///         {
    ///             self.0.fetch_add(*rows, Ordering::Relaxed);
    ///         }
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let loaded = Arc::new(Loaded::default());
    /// Runtime::builder().observe(loaded.clone()).build().await?.scope(async { load().await }).await?;
    /// assert_eq!(loaded.0.load(Ordering::Relaxed), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(&self, report: &(dyn std::any::Any + Send + Sync)) {
        if self.is_observed() {
            self.0.scope.tell_report(self.0.place, report);
        }
    }

    /// The name of the flow run.
    pub fn flow_run_name(&self) -> String {
        self.0.scope.name().to_owned()
    }

    /// The tags of this run, those of its definition, its call and its surroundings together, sorted.
    pub fn tags(&self) -> Vec<String> {
        match self.0.place {
            Some(place) => self.0.scope.tags(place),
            None => self.0.scope.own_tags(),
        }
    }
}

impl std::fmt::Debug for CurrentRun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CurrentRun")
            .field("flow_run_id", &self.flow_run_id())
            .field("task_run_id", &self.task_run_id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}

/// The run that the code asking belongs to; none outside tasks and flows.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task(retries = 2)]
/// async fn flaky() -> Result<u32> {
///     let attempt = flowkit::current_run().map_or(0, |run| run.attempt());
///     if attempt < 3 { Err("not yet".into()) } else { Ok(attempt) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(flaky().await.unwrap(), 3);
/// # }
/// ```
pub fn current_run() -> Option<CurrentRun> {
    match current()? {
        Ambient::Run(run) => Some(CurrentRun(run)),
        Ambient::Runtime(..) => None,
    }
}

/// Runs `future` so that every run begun in it carries these tags too.
///
/// Scopes nest and their tags add up. A task keeps the tags that were in force where it was called or submitted.
pub async fn tagged<F: Future>(tags: impl IntoIterator<Item = impl Into<Arc<str>>>, future: F) -> F::Output {
    let mut ambient = current_or_default();
    let around = match &mut ambient {
        Ambient::Runtime(_, tags) => tags,
        Ambient::Run(run) => &mut run.around_mut().tags,
    };
    let mut all: Vec<Arc<str>> = around.as_deref().unwrap_or_default().to_vec();
    all.extend(tags.into_iter().map(Into::into));
    *around = Some(all.into());
    scoped(ambient, future).await
}

/// Awaits `future` without holding any slot of a limit meanwhile; before it goes on, the run has its slots again.
///
/// Waiting for other runs does so by itself. This is for other waits that are long and do no work: a poll for a file, a
/// message from outside.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task(limit = "warehouse")]
/// async fn load_when(told: tokio::sync::oneshot::Receiver<u64>) -> Result<u64> {
///     let rows = flowkit::waiting(told).await?; // nobody is kept from the warehouse by this
///     Ok(rows)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().limit("warehouse", 1).build().await?;
/// let (tell, told) = tokio::sync::oneshot::channel();
/// runtime.scope(async {
///     let load = load_when(told).submit();
///     drop(tell.send(7));
///     assert_eq!(load.await.unwrap(), 7);
/// }).await;
/// # Ok(())
/// # }
/// ```
pub async fn waiting<F: Future>(future: F) -> F::Output {
    without_slots(future).await
}

/// Sleeps without holding any slot of a limit meanwhile: see [`waiting`].
pub async fn sleep(duration: std::time::Duration) {
    waiting(tokio::time::sleep(duration)).await;
}
