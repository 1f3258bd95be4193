//! What is served was kept and has not expired, nothing that could have been served is computed, a key is computed once at a time, and what
//! is computed in a transaction is there only once that commits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flowkit::{State, TaskRunId};

use super::{Case, call_of};
use crate::history::{GroupEnd, Line, What};
use crate::plan::Cached;
use crate::simulate::Simulated;

/// Until when a value is served; none if for ever.
type Until = Option<Duration>;

/// What the cache may hold, and what it must.
#[derive(Default)]
struct Kept {
    /// The latest time of any value of a key.
    perhaps: BTreeMap<u32, Until>,
    /// The time of the last value of a key, where it is known which one that is.
    surely: BTreeMap<u32, Until>,
    groups: BTreeMap<u64, Group>,
    /// How often something was, or may have been, kept under a key.
    puts: BTreeMap<u32, u32>,
}

/// What a transaction holds back.
#[derive(Default)]
struct Group {
    around: Option<u64>,
    entries: Vec<(u32, Until)>,
    /// Once it may be committing: the puts of its keys, if all are its own from then on.
    commits: Option<BTreeMap<u32, u32>>,
}

impl Group {
    fn may_commit(&self, key: u32) -> bool {
        self.commits.as_ref().is_some_and(|keys| keys.contains_key(&key))
    }
}

fn serves(kept: &BTreeMap<u32, Until>, key: u32, now: Duration) -> bool {
    kept.get(&key)
        .is_some_and(|until| until.is_none_or(|until| now < until))
}

impl Kept {
    /// Something may be kept under a key: how often that was so.
    fn may_keep(&mut self, key: u32, until: Until) -> u32 {
        let longest = self.perhaps.entry(key).or_insert(until);
        *longest = longest.zip(until).map(|(one, other)| one.max(other));
        let puts = self.puts.entry(key).or_default();
        *puts += 1;
        *puts
    }

    /// Whether a transaction may be keeping something under a key right now.
    fn is_contended(&self, key: u32) -> bool {
        self.groups.values().any(|group| group.may_commit(key))
    }

    /// A value was computed, in a transaction or in none.
    fn keep(&mut self, key: u32, until: Until, group: Option<u64>) {
        let number = group.filter(|group| self.groups.contains_key(group));
        let Some(number) = number else {
            self.may_keep(key, until);
            match self.is_contended(key) {
                true => self.surely.remove(&key),
                false => self.surely.insert(key, until),
            };
            return;
        };
        let group = self.groups.entry(number).or_default();
        group.entries.push((key, until));
        if group.commits.is_some() {
            self.may_commit(number, &[(key, until)]);
        }
    }

    /// The body of a transaction has returned: from now on it may commit, unless it does so with another.
    fn decide(&mut self, number: u64) {
        let group = self.groups.entry(number).or_default();
        if group.around.is_none() {
            let entries = group.entries.clone();
            group.commits.get_or_insert_default();
            self.may_commit(number, &entries);
        }
    }

    fn may_commit(&mut self, number: u64, entries: &[(u32, Until)]) {
        for &(key, until) in entries {
            self.surely.remove(&key);
            let puts = self.may_keep(key, until);
            let group = self.groups.entry(number).or_default();
            let own = group.commits.get_or_insert_default();
            // What others put in between shows as a difference for ever.
            own.entry(key).and_modify(|own| *own += 1).or_insert(puts);
        }
    }

    fn end(&mut self, number: u64, how: GroupEnd) {
        let Some(group) = self.groups.remove(&number) else {
            return;
        };
        if how == GroupEnd::Returned
            && let Some(around) = group.around
        {
            self.groups
                .entry(around)
                .or_default()
                .entries
                .extend(group.entries);
            return;
        }
        let commits = group.commits.unwrap_or_default();
        let is_known = |kept: &Self, key| commits.get(&key) == kept.puts.get(&key) && !kept.is_contended(key);
        for (key, until) in group.entries {
            if how == GroupEnd::Returned && is_known(self, key) {
                self.surely.insert(key, until);
            }
        }
        // Another that may be committing meanwhile cannot know who came last.
        commits
            .keys()
            .for_each(|key| *self.puts.entry(*key).or_default() += 1);
    }
}

pub(super) fn check(simulated: &Simulated, troubles: &mut Vec<String>) {
    let mut kept = Kept::default();
    for part in &simulated.parts {
        let case = Case::of(part);
        let mut look = Look {
            remembers: part.plan.flows.iter().any(|flow| flow.retries > 0),
            begun: BTreeSet::new(),
            computing: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        for (index, line) in part.lines.iter().enumerate() {
            match &line.what {
                What::GroupBegan { group, around } => {
                    kept.groups.entry(*group).or_default().around = *around;
                }
                What::GroupDecides { group } => kept.decide(*group),
                What::GroupEnded { group, how } => kept.end(*group, *how),
                What::BodyBegan {
                    id: Some(id), group, ..
                } => {
                    look.members.extend(group.map(|group| (*id, group)));
                }
                _ => {}
            }
            let (id, name) = match &line.what {
                What::Changed { id, name, .. } => (*id, name),
                What::BodyBegan { id: Some(id), .. } | What::BodyEnded { id: Some(id), .. } => {
                    match case.runs.get(id) {
                        Some(run) => (*id, &run.name),
                        None => continue,
                    }
                }
                _ => continue,
            };
            if let Some(cached) = call_of(&part.plan, name).and_then(|call| call.cached.as_ref()) {
                look.at(index, line, id, cached, &mut kept, troubles);
            }
        }
    }
}

/// What is known of a part while its lines are looked at.
struct Look {
    remembers: bool,
    begun: BTreeSet<TaskRunId>,
    computing: BTreeMap<u32, TaskRunId>,
    /// The transactions of runs.
    members: BTreeMap<TaskRunId, u64>,
}

impl Look {
    /// Something happened to a run of a cached call.
    fn at(
        &mut self,
        index: usize,
        line: &Line,
        id: TaskRunId,
        cached: &Cached,
        kept: &mut Kept,
        troubles: &mut Vec<String>,
    ) {
        let key = cached.key;
        match &line.what {
            What::Changed {
                to: State::Pending, ..
            } => {}
            What::Changed { to, .. } => {
                let first = self.begun.insert(id);
                if *to == State::Cached && !serves(&kept.perhaps, key, line.at) && !self.remembers {
                    troubles.push(format!("line {index}: there was nothing to serve"));
                }
                let computes = matches!(to, State::Running | State::AwaitingSlot);
                if first && computes && serves(&kept.surely, key, line.at) && !cached.refresh {
                    troubles.push(format!("line {index}: its value was there"));
                }
                if *to == State::Completed {
                    let until = cached
                        .expires
                        .map(|expires| line.at + Duration::from_millis(expires));
                    kept.keep(key, until, self.members.get(&id).copied());
                }
            }
            // Equal runs in transactions do not wait for each other.
            What::BodyBegan { group: None, .. } if !cached.refresh => {
                if let Some(other) = self.computing.insert(key, id) {
                    troubles.push(format!("line {index}: {other} computes this key too"));
                }
            }
            What::BodyEnded { .. } if !cached.refresh && !self.members.contains_key(&id) => {
                self.computing.remove(&key);
            }
            _ => {}
        }
    }
}
