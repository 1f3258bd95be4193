//! The limits of a runtime, and what one task run needs of them.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::{Acquire, Limit, Slot};
use crate::error::{Error, ErrorKind};
use crate::named::Named;

/// The limits of one runtime, by name.
pub(crate) struct Limits {
    named: Named<Arc<Limit>>,
    /// The limit on all runs of the runtime. It comes after all named ones in every run's order.
    total: Option<Arc<Limit>>,
}

impl Default for Limits {
    /// None.
    fn default() -> Self {
        Self {
            named: Named::new("limit", "limit"),
            total: None,
        }
    }
}

impl Limits {
    /// The limits of these names and capacities; an error of kind [`Build`](ErrorKind::Build) if one has no slots or comes twice.
    pub(crate) fn new<N: Into<Arc<str>>>(
        limits: impl IntoIterator<Item = (N, u32)>,
        total: Option<u32>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for (name, capacity) in limits {
            let limit = Limit::new(name, capacity)?;
            all.named.insert(Arc::clone(limit.name()), limit)?;
        }
        all.total = total
            .map(|capacity| Limit::new("all tasks", capacity))
            .transpose()?;
        Ok(all)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Limit>> {
        self.named.get(name)
    }

    /// The limit on all runs, if there is one.
    pub(crate) fn total(&self) -> Option<&Arc<Limit>> {
        self.total.as_ref()
    }

    /// What a run needs that asks for these weights of these limits. Nothing is acquired yet.
    ///
    /// A limit that is named twice is needed once, with both weights. An error of kind [`MissingLimit`](ErrorKind::MissingLimit) says
    /// which limits there are, if one is not among them or could never give the weight.
    pub(crate) fn slots<'a>(
        &self,
        needs: impl IntoIterator<Item = (&'a str, u32)>,
    ) -> Result<SlotSet, Error> {
        let mut merged: Vec<(Arc<Limit>, u32)> = Vec::new();
        for (name, weight) in needs {
            let limit = self.named.find(name)?;
            self.check(limit, weight)?;
            match merged.iter_mut().find(|(known, _)| Arc::ptr_eq(known, limit)) {
                Some((_, total)) => {
                    *total = total.saturating_add(weight);
                    self.check(limit, *total)?;
                }
                None => merged.push((Arc::clone(limit), weight)),
            }
        }
        merged.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        merged.extend(self.total.iter().map(|total| (Arc::clone(total), 1)));
        Ok(SlotSet {
            needs: merged.into_boxed_slice(),
            held: Vec::new(),
            waiting: None,
        })
    }

    fn check(&self, limit: &Limit, weight: u32) -> Result<(), Error> {
        let (name, capacity) = (limit.name(), limit.capacity());
        if (1..=capacity).contains(&weight) {
            return Ok(());
        }
        let detail = format!(
            "a weight of {weight} was asked of the limit `{name}`, which gives 1 to {capacity}; {}",
            self.named.known()
        );
        Err(Error::about_runtime(ErrorKind::MissingLimit, detail))
    }
}

/// The slots that one run needs of all its limits. Dropped, it gives them back.
///
/// They are acquired in the order of the limits' names, and what is held is held on to while waiting for the next: as all runs of a
/// runtime go in this order, there is always one that waits for none of the others, and no circle.
pub(crate) struct SlotSet {
    /// In the order of names; each limit once.
    needs: Box<[(Arc<Limit>, u32)]>,
    /// A slot for each of the first needs.
    held: Vec<Slot>,
    /// For the need after those.
    waiting: Option<Acquire>,
}

impl SlotSet {
    /// Ready once all slots are held, at once if they are already.
    pub(crate) fn poll_acquire(&mut self, cx: &Context<'_>) -> Poll<()> {
        while let Some((limit, weight)) = self.needs.get(self.held.len()) {
            let acquire = self.waiting.get_or_insert_with(|| limit.acquire(*weight));
            self.held.push(ready!(acquire.poll_acquire(cx)));
            self.waiting = None;
        }
        Poll::Ready(())
    }

    /// Gives back what is held and leaves the line. It can be acquired again, at the end of the line.
    pub(crate) fn release(&mut self) {
        self.waiting = None;
        while self.held.pop().is_some() {}
    }

    /// Whether all slots are held; of a run that needs none, always.
    #[cfg(test)]
    pub(crate) fn is_held(&self) -> bool {
        self.held.len() == self.needs.len()
    }

    /// Whether it has what nobody came for: all slots, or the next one, which the line has handed over since it was asked for last.
    pub(crate) fn is_left(&self) -> bool {
        self.held.len() == self.needs.len() || self.waiting.as_ref().is_some_and(Acquire::is_given)
    }

    /// Whether none is needed.
    pub(crate) fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The limit in whose line it stands.
    #[cfg(test)]
    pub(crate) fn waits_for(&self) -> Option<&Arc<Limit>> {
        self.waiting.as_ref().map(|acquire| &acquire.limit)
    }
}

impl Drop for SlotSet {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    fn limits() -> Limits {
        Limits::new([("warehouse", 4), ("api", 1)], None).unwrap()
    }

    fn poll(set: &mut SlotSet) -> bool {
        set.poll_acquire(&Context::from_waker(&noop_waker())).is_ready()
    }

    fn in_use(limits: &Limits) -> (u32, u32) {
        let of = |name| limits.get(name).unwrap().in_use();
        (of("api"), of("warehouse"))
    }

    #[test]
    fn slots_are_acquired_by_name_whatever_the_order_they_are_asked_in() {
        let limits = limits();
        let mut first = limits.slots([("warehouse", 4), ("api", 1)]).unwrap();
        let mut second = limits.slots([("api", 1), ("warehouse", 1)]).unwrap();
        assert!(poll(&mut first) && first.is_held());
        assert!(!poll(&mut second) && !second.is_held());
        assert_eq!(&**second.waits_for().unwrap().name(), "api");
        drop(first);
        assert!(poll(&mut second) && second.is_held());
        assert!(second.waits_for().is_none());
        assert_eq!(in_use(&limits), (1, 1));
    }

    #[test]
    fn what_is_held_stays_held_while_the_next_is_waited_for() {
        let limits = limits();
        let mut heavy = limits.slots([("warehouse", 4)]).unwrap();
        assert!(poll(&mut heavy));
        let mut both = limits.slots([("warehouse", 1), ("api", 1)]).unwrap();
        assert!(!poll(&mut both));
        assert_eq!(in_use(&limits), (1, 4));
        drop(both);
        assert_eq!(in_use(&limits), (0, 4), "whoever gives up gives all back");
        assert_eq!(limits.get("warehouse").unwrap().waiting(), 0);
    }

    #[test]
    fn released_slots_can_be_acquired_again() {
        let limits = limits();
        let mut set = limits.slots([("api", 1), ("warehouse", 2)]).unwrap();
        assert!(poll(&mut set) && poll(&mut set), "held already is held");
        assert_eq!(in_use(&limits), (1, 2));
        set.release();
        assert!(!set.is_held());
        assert_eq!(in_use(&limits), (0, 0));
        assert!(poll(&mut set) && set.is_held());
    }

    #[test]
    fn a_limit_that_is_named_twice_is_needed_once_with_both_weights() {
        let limits = limits();
        let mut set = limits.slots([("warehouse", 1), ("warehouse", 3)]).unwrap();
        assert!(poll(&mut set));
        assert_eq!(in_use(&limits), (0, 4));
        let error = limits.slots([("api", 1), ("api", 1)]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::MissingLimit);
    }

    #[test]
    fn a_run_that_needs_nothing_holds_it_already() {
        let mut none = limits().slots([]).unwrap();
        assert!(none.is_empty() && none.is_held() && poll(&mut none));
    }

    #[test]
    fn what_can_never_be_had_is_refused_and_says_what_there_is() {
        let limits = limits();
        let message = |name, weight| limits.slots([(name, weight)]).err().unwrap().to_string();
        assert_eq!(
            message("db", 1),
            "there is no limit named `db`; the runtime has `api`, `warehouse`"
        );
        assert_eq!(
            message("warehouse", 5),
            "a weight of 5 was asked of the limit `warehouse`, which gives 1 to 4; the runtime has `api`, `warehouse`"
        );
        assert!(
            message("api", 0).starts_with("a weight of 0 was asked of the limit `api`, which gives 1 to 1")
        );
    }

    #[test]
    fn limits_are_described_soundly_or_not_built() {
        let error = Limits::new([("db", 2), ("db", 3)], None).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Build);
        let error = Limits::new([("db", 0)], None).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert_eq!(
            error.to_string(),
            "the limit `db` has no slots, so whoever needs one would wait forever: give it at least 1"
        );
    }
}
