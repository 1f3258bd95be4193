//! The cached side of a task run: its key, what the cache has under it, the flight of equal runs, and what the run leaves behind.

use std::pin::Pin;
use std::sync::Arc;

use flowkit_cache::{CacheKey, Lookup, MissReason, NewEntry, Role};
use flowkit_journal::record::Effect;

use super::{Drive, Phase, Step};
use crate::context::{self, Ambient, Leading};
use crate::engine::caching::{self, Caching, Shared};
use crate::event::EventKind;
use crate::ids::TaskRunId;
use crate::job::Job;
use crate::journaling::{DAMAGED, EXPIRED, REFRESHED};
use crate::state::State;

impl Drive {
    pub(super) fn look_up(&mut self, job: Pin<&mut dyn Job>) -> Step {
        let (definition, scope) = (self.definition, &self.scope);
        let hashed = context::enter(&mut self.ambient, || {
            caching::key_of(&scope.runtime, definition, scope.id, &*job)
        });
        let key = match hashed {
            Ok(Some(key)) => key,
            Ok(None) => return self.seek_admission(),
            Err(error) => {
                self.uncached(&format!("its key could not be computed: {error}"));
                return self.seek_admission();
            }
        };
        let refresh = self.more.as_ref().is_some_and(|more| more.plan.refresh_cache);
        if let Some(more) = &mut self.more {
            more.caching = Some(Caching { key, leader: None });
        }
        let looked_up = (!refresh).then(|| caching::look_up(&self.scope.runtime, key));
        if let Some(Ok(found @ Lookup::Hit(_))) = looked_up {
            return self.after_look_up(job, found);
        }
        self.note_key(key);
        match looked_up {
            Some(Ok(found)) => self.after_look_up(job, found),
            Some(Err(look_up)) => Step::Next(Phase::LookUp(look_up)),
            None => {
                self.missed(REFRESHED);
                self.seek_admission()
            }
        }
    }

    fn note_key(&self, key: CacheKey) {
        self.scope.note(self.place, |extra| extra.cache_key = Some(key));
    }

    pub(super) fn key(&self) -> Option<CacheKey> {
        Some(self.more.as_ref()?.caching.as_ref()?.key)
    }

    pub(super) fn after_look_up(&mut self, job: Pin<&mut dyn Job>, found: Lookup) -> Step {
        match found {
            Lookup::Hit(entry) => return self.serve(job, entry.value(), entry.origin().parse().ok()),
            Lookup::Miss(MissReason::Expired) => self.missed(EXPIRED),
            Lookup::Miss(MissReason::Damaged) => self.missed(DAMAGED),
            Lookup::Miss(_) => {}
        }
        self.join_flight()
    }

    /// Has the journal say why the run is not served.
    fn missed(&self, reason: &'static str) {
        if self.journaled.is_some() {
            self.scope
                .note(self.place, |extra| extra.rare_mut().missed = Some(reason));
        }
    }

    /// Ends as `Cached` with these bytes; if they do not decode, forgets them and goes on.
    pub(super) fn serve(&mut self, job: Pin<&mut dyn Job>, bytes: &[u8], origin: Option<TaskRunId>) -> Step {
        match job.decode(bytes) {
            Ok(()) => {
                let key = self.key();
                self.scope.note(self.place, |extra| {
                    extra.cache_key = key;
                    extra.origin = origin;
                });
                if self.journaled.is_some() {
                    self.keep_for_resume(&Arc::from(bytes));
                }
                self.end(State::Cached, None)
            }
            Err(error) => {
                self.uncached(&format!("a cached value could not be restored: {error}"));
                match self.key() {
                    Some(key) => {
                        self.note_key(key);
                        Step::Next(Phase::Forget(caching::forget(
                            Arc::clone(&self.scope.runtime),
                            key,
                        )))
                    }
                    None => self.seek_admission(),
                }
            }
        }
    }

    pub(super) fn join_flight(&mut self) -> Step {
        let Some(key) = self.key() else {
            return self.seek_admission();
        };
        // What is computed in a transaction is nobody else's before it commits.
        if self.is_in_transaction() {
            return self.seek_admission();
        }
        // Waiting for an equal run counts as much as running.
        if let Some(more) = &mut self.more
            && more.total.is_none()
        {
            let limit = more.plan.total_timeout;
            more.total = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        }
        let leads_above = matches!(&self.ambient, Some(Ambient::Run(run)) if run.is_leading(&key));
        if leads_above || self.is_leader() || cfg!(flowkit_fault = "no-single-flight") {
            return self.seek_admission();
        }
        Step::Next(Phase::Join(caching::join(Arc::clone(&self.scope.runtime), key)))
    }

    pub(super) fn is_leader(&self) -> bool {
        self.more
            .as_ref()
            .and_then(|more| more.caching.as_ref())
            .is_some_and(|caching| caching.leader.is_some())
    }

    pub(super) fn after_join(&mut self, job: Pin<&mut dyn Job>, role: Role<Shared>) -> Step {
        match role {
            Role::Follower(Ok(bytes)) => match job.decode(&bytes) {
                Ok(()) => {
                    self.keep_for_resume(&bytes);
                    self.end(State::Cached, None)
                }
                Err(error) => {
                    self.uncached(&format!(
                        "the value of an equal run could not be restored: {error}"
                    ));
                    self.seek_admission()
                }
            },
            Role::Follower(Err(error)) => self.end(State::of_error(&error), Some(error)),
            Role::Leader(guard) => {
                let Some(key) = self.key() else {
                    return self.seek_admission();
                };
                if let Some(caching) = self.more.as_mut().and_then(|more| more.caching.as_mut()) {
                    caching.leader = Some(guard);
                }
                if let Some(Ambient::Run(run)) = &mut self.ambient {
                    let around = run.around_mut();
                    around.leading = Some(Arc::new(Leading {
                        key,
                        above: around.leading.take(),
                    }));
                }
                match caching::look_up(&self.scope.runtime, key) {
                    Ok(found) => self.after_look_again(job, found),
                    Err(look_up) => Step::Next(Phase::LookAgain(look_up)),
                }
            }
        }
    }

    pub(super) fn after_look_again(&mut self, job: Pin<&mut dyn Job>, found: Lookup) -> Step {
        let Lookup::Hit(entry) = found else {
            return self.seek_admission();
        };
        let step = self.serve(job, entry.value(), entry.origin().parse().ok());
        if matches!(step, Step::End(_)) {
            self.share(Ok(Arc::from(entry.value())));
        }
        step
    }

    /// Gives the outcome to the runs that wait for the same key.
    pub(super) fn share(&mut self, shared: Shared) {
        if let Some(caching) = self.more.as_mut().and_then(|more| more.caching.as_mut())
            && let Some(leader) = caching.leader.take()
        {
            leader.complete(shared);
        }
    }

    /// Says that the run goes on without its cache, and why.
    pub(super) fn uncached(&self, reason: &str) {
        tracing::warn!(target: "flowkit", task = self.definition.name(), reason, "a cached task runs without its cache");
        self.scope.note(self.place, |extra| {
            extra.rare_mut().uncached = Some(Arc::from(reason));
        });
        self.tell_uncached(reason);
    }

    pub(super) fn tell_uncached(&self, reason: &str) {
        if let Some(name) = self.scope.watched_name(self.place) {
            let id = self.scope.task_run_id(self.place);
            self.scope.tell_now(EventKind::Uncached {
                id,
                name: &name,
                reason,
            });
        }
    }

    pub(super) fn after_success(&mut self, job: &dyn Job) -> Step {
        self.leave_admission(None);
        self.effect_is_known(Effect::Happened);
        let Some(key) = self.key() else {
            self.keep_value(job);
            return self.complete();
        };
        if let Some((reason, first)) = self.scope.runtime.cache_trouble() {
            self.scope.note(self.place, |extra| {
                extra.rare_mut().uncached = Some(Arc::clone(&reason));
            });
            if first {
                self.tell_uncached(&reason);
            }
        }
        match job.encode() {
            Ok(bytes) => {
                let now = self.scope.runtime.clock.now();
                let plan = self
                    .more
                    .as_ref()
                    .map(|more| (more.plan.cache_expiration, more.plan.cache_durable));
                let (expiration, durable) = plan.unwrap_or_default();
                let shared: Arc<[u8]> = Arc::from(bytes.as_slice());
                self.keep_for_resume(&shared);
                let origin = self.scope.task_run_id(self.place).to_string();
                let mut entry = NewEntry::new(bytes, now).origin(origin).durable(durable);
                if let Some(expires) = caching::expiry(now, expiration) {
                    entry = entry.expires(expires);
                }
                let in_transaction =
                    self.is_in_transaction() && !cfg!(flowkit_fault = "kept-before-the-commit");
                if let Some(more) = self.more.as_mut().filter(|_| in_transaction) {
                    more.uncommitted = Some((key, entry));
                    return self.complete();
                }
                let keep = caching::keep(Arc::clone(&self.scope.runtime), key, entry);
                Step::Next(Phase::Keep(Box::new((keep, shared))))
            }
            Err(error) => {
                self.uncached(&format!("its value could not be encoded: {error}"));
                self.complete()
            }
        }
    }

    pub(super) fn after_keep(&mut self, trouble: Option<String>) -> Step {
        if let Some(trouble) = trouble {
            self.tell_uncached(&trouble);
            self.scope.note(self.place, |extra| {
                extra.rare_mut().uncached = Some(Arc::from(trouble));
            });
        }
        if let Phase::Keep(keep) = std::mem::replace(&mut self.phase, Phase::Ended) {
            self.share(Ok(keep.1));
        }
        self.complete()
    }
}
