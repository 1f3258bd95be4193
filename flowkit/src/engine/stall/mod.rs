//! Stalls: runs that wait for each other in a circle, found when the circle closes.
//!
//! The body of a task that waits for another run says so here while it waits. A circle closes with such a wait, or with a run that is entered
//! with an input from elsewhere; then the search follows only what has not ended. Whoever closes the circle is the one that is given the error, and
//! with that it waits no more: the others come to rest as they do behind any failure.

#[cfg(feature = "testing")]
mod unfinished;
mod walk;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

#[cfg(feature = "testing")]
pub(crate) use self::unfinished::unfinished;
use self::walk::{Link, Run, Why};
use super::scope::Scope;
use crate::context::{self, RunContext};
use crate::error::{Error, ErrorKind};
use crate::graph::NewEdge;
use crate::ids::NodeRef;
use crate::wait_graph::sentence;
use crate::waits::BodyWaits;

/// What the waits of a runtime share.
#[derive(Default)]
pub(crate) struct Stalls {
    /// One circle is judged at a time, so that it is broken in one place.
    verdict: Mutex<()>,
    /// How many waits of bodies there are now.
    lasting: AtomicUsize,
    serials: AtomicU64,
}

/// One await of a body, while it lasts.
#[derive(Default)]
pub(crate) enum BodyWait {
    /// It was not pending yet.
    #[default]
    New,
    /// It is over, or cannot be part of a circle.
    Unwatched,
    /// It stands in the graph.
    Lasting(#[expect(dead_code, reason = "it is there to be dropped")] Box<Lasting>),
}

pub(crate) struct Lasting {
    waiter: Run,
    serial: u64,
}

/// Is told of each run that is awaited.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Arc<Scope>, NodeRef);

impl BodyWait {
    /// The await is pending: says so, the first time. `runs` names the runs that are awaited.
    ///
    /// # Errors
    /// If they never end, because they wait for this one.
    pub(crate) fn pending(&mut self, runs: &dyn Fn(Visit<'_>)) -> Result<(), Error> {
        if !matches!(self, Self::New) {
            return Ok(());
        }
        *self = Self::Unwatched;
        let waits = context::with_run(|run| {
            let mut targets = Vec::new();
            runs(&mut |scope, place| {
                // A flow ends after what it submitted, whether its body waits for that or not.
                let within = run.place.is_none() && place != NodeRef::ROOT && Arc::ptr_eq(&run.scope, scope);
                if !within {
                    targets.push(Run::new(scope, place));
                }
            });
            (!targets.is_empty()).then(|| (waiter(run), targets))
        });
        match waits.flatten() {
            Some((waiter, targets)) => self.begin(waiter, &targets),
            None => Ok(()),
        }
    }

    fn begin(&mut self, waiter: Run, targets: &[Run]) -> Result<(), Error> {
        let stalls = &waiter.scope.runtime.stalls;
        let serial = stalls.serials.fetch_add(1, Ordering::Relaxed);
        stalls.lasting.fetch_add(1, Ordering::Relaxed);
        let runs = targets.iter().map(|run| (Arc::downgrade(&run.scope), run.place));
        let waits = BodyWaits {
            serial,
            runs: runs.collect(),
        };
        waiter.scope.graph().waits.add(waiter.place, waits);
        let first = || {
            let links = targets.iter().map(|to| Link {
                why: Why::Body(serial),
                to: to.clone(),
            });
            links.collect()
        };
        let stalled = judge(&waiter, &first, || end_wait(&waiter, serial));
        if let Some(error) = stalled {
            return Err(error);
        }
        *self = Self::Lasting(Box::new(Lasting { waiter, serial }));
        Ok(())
    }

    /// The await is over.
    pub(crate) fn over(&mut self) {
        *self = Self::Unwatched;
    }
}

fn end_wait(waiter: &Run, serial: u64) {
    if waiter.scope.graph().waits.remove(waiter.place, serial) {
        waiter
            .scope
            .runtime
            .stalls
            .lasting
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        end_wait(&self.waiter, self.serial);
    }
}

/// The run whose body waits.
fn waiter(run: &RunContext) -> Run {
    match (run.place, &run.scope.parent()) {
        (Some(place), _) => Run::new(&run.scope, place),
        (None, Some((parent, place))) => Run::new(parent, *place),
        (None, None) => Run::new(&run.scope, NodeRef::ROOT),
    }
}

/// Whether a run that was entered with these edges could have closed a circle: an item of a fan-out that somebody may wait for, or a run with
/// an input from another flow run. Nobody can wait for any other run that is new.
pub(crate) fn may_close(scope: &Scope, is_item: bool, edges: &[NewEdge]) -> bool {
    let waited_for = is_item && scope.runtime.stalls.lasting.load(Ordering::Relaxed) > 0;
    (waited_for && !edges.is_empty()) || edges.iter().any(|edge| edge.foreign.is_some())
}

/// The error of a run that was entered and can never begin, since what it needs waits for it. It waits no more then.
pub(crate) fn of_entered(scope: &Arc<Scope>, place: NodeRef) -> Option<Error> {
    let run = Run::new(scope, place);
    let first = || run.links(&run);
    judge(&run, &first, || run.scope.graph().waits.end(run.place))
}

/// Looks for a circle through a run, and ends the run's part in it.
///
/// What others wait for changes while the search goes on. What two searches in a row have found was there in between, all at the same time.
fn judge(run: &Run, first: &dyn Fn() -> Vec<Link>, break_it: impl FnOnce()) -> Option<Error> {
    let mut found = walk::circle(run, first())?;
    let verdict = &run.scope.runtime.stalls.verdict;
    let _judging = verdict.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let again = walk::circle(run, first())?;
        if again == found {
            break;
        }
        found = again;
    }
    break_it();
    let cycle = walk::wait_graph(run, &found);
    let all = if cycle.len() == 1 {
        "it would never end"
    } else {
        "none of them would ever end"
    };
    let detail = format!(
        "{}: {all}. Let the one that is waited for end first: let it return the handle that it awaits, or give the value \
         as an input; to wait for a limited time, `TaskHandle::wait` takes one",
        sentence(&cycle)
    );
    let (kind, name) = run.subject();
    let error = Error::new(ErrorKind::Stalled, kind, name);
    Some(error.in_task_run(run.id()).detailed(detail).waiting(cycle))
}

/// What can be awaited and knows which run it is.
pub(crate) trait Awaited: Future {
    /// Names the runs that are awaited.
    fn runs(&self, visit: Visit<'_>);
}

pin_project! {
    /// A future of a run, which says who waits for it.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Watched<F> {
        #[pin]
        future: F,
        wait: BodyWait,
    }
}

/// `future`, which gives an error instead of waiting for ever.
pub(crate) fn watched<F: Awaited>(future: F) -> Watched<F> {
    Watched {
        future,
        wait: BodyWait::New,
    }
}

impl<T, F: Awaited<Output = Result<T, Error>>> Future for Watched<F> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(outcome) = this.future.as_mut().poll(cx) {
            this.wait.over();
            return Poll::Ready(outcome);
        }
        match this.wait.pending(&|visit| this.future.runs(visit)) {
            Ok(()) => Poll::Pending,
            Err(stalled) => Poll::Ready(Err(stalled)),
        }
    }
}

pin_project! {
    /// A future of the run at a place.
    pub(crate) struct Toward<F> {
        #[pin]
        future: F,
        scope: Arc<Scope>,
        place: NodeRef,
    }
}

/// `future` waits for the run at this place, and gives an error instead of waiting for ever.
pub(crate) fn toward<T, F>(scope: &Arc<Scope>, place: NodeRef, future: F) -> Watched<Toward<F>>
where
    F: Future<Output = Result<T, Error>>,
{
    watched(Toward {
        future,
        scope: Arc::clone(scope),
        place,
    })
}

impl<F: Future> Future for Toward<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F: Future> Awaited for Toward<F> {
    fn runs(&self, visit: Visit<'_>) {
        visit(&self.scope, self.place);
    }
}
