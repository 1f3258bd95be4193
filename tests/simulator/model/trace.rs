//! The course of one run and of what it called, which can be cut off.

use std::collections::BTreeMap;

use flowkit::{ErrorKind, State};

use super::memo::Place;
use super::{Course, Failure, Model};

#[derive(Debug)]
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) is_flow: bool,
    pub(super) submitted: u64,
    /// When its inputs were there, and it was counted among the calls of its flow's attempt.
    pub(super) ready: u64,
    /// Under what its value is remembered.
    pub(super) place: Option<Place>,
    pub(super) attempts: Vec<Began>,
    pub(super) state: State,
    pub(super) failure: Option<Failure>,
    pub(super) ended: u64,
    pub(super) value: u64,
    /// When somebody looked at how it failed.
    pub(super) looked: Option<u64>,
    /// Whether its end is the cause of what its caller did next, and so came before that.
    pub(super) is_settled: bool,
}

/// One attempt, and what it called.
#[derive(Debug)]
pub(super) struct Began {
    pub(super) at: u64,
    pub(super) children: Vec<Trace>,
}

impl Trace {
    pub(super) fn new(name: String, is_flow: bool, submitted: u64, ready: u64) -> Self {
        Self {
            name,
            is_flow,
            submitted,
            ready,
            place: None,
            attempts: Vec::new(),
            state: State::Pending,
            failure: None,
            ended: ready,
            value: 0,
            looked: None,
            is_settled: false,
        }
    }

    pub(super) fn complete(mut self, value: u64) -> Self {
        (self.state, self.failure, self.value) = (State::Completed, None, value);
        self
    }

    pub(super) fn fail(mut self, state: State, failure: Failure, at: u64) -> Self {
        self.state = state;
        self.failure = Some(failure);
        self.ended = at;
        self
    }

    /// Somebody looks, at `at` or as soon as it has ended.
    pub(super) fn look(&mut self, at: u64) {
        self.looked = Some(self.looked.map_or(at, |looked| looked.min(at)));
    }

    /// What its attempts called.
    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        self.attempts.iter().flat_map(|attempt| &attempt.children)
    }

    /// When the last of it and what it called has ended.
    pub(super) fn last_end(&self) -> u64 {
        self.children()
            .map(Self::last_end)
            .max()
            .unwrap_or(0)
            .max(self.ended)
    }

    /// The first run, in it or itself, that fails its flow: nobody looked at it.
    pub(super) fn unhandled(&self) -> Option<Failure> {
        let own = self.failure.filter(|failure| {
            let needed = self.state == State::UpstreamFailed && failure.cancelled;
            self.state.is_failure() && self.looked.is_none() && !needed
        });
        // What failed in a subflow is the subflow's.
        let below = self.attempts.iter().filter(|_| !self.is_flow);
        own.or_else(|| {
            below
                .flat_map(|attempt| &attempt.children)
                .find_map(Self::unhandled)
        })
    }

    /// Everything that its attempts called in the same flow belongs to attempts that failed, and is looked at with them.
    pub(super) fn look_below(&mut self, at: u64) {
        for child in self.attempts.iter_mut().flat_map(|attempt| &mut attempt.children) {
            child.look(at);
            if !child.is_flow {
                child.look_below(at);
            }
        }
    }

    pub(super) fn list(&self, courses: &mut BTreeMap<String, Vec<Course>>) {
        let runs = courses.entry(self.name.clone()).or_default();
        runs.push(Course {
            submitted: self.submitted,
            ended: self.ended,
            state: self.state,
            attempts: self.attempts.len(),
        });
        runs.sort();
        self.children().for_each(|child| child.list(courses));
    }
}

impl Model<'_> {
    /// Somebody stops these runs at `at`.
    pub(super) fn cut_all(&mut self, traces: &mut Vec<Trace>, at: u64) {
        traces.retain_mut(|trace| {
            let is_there = trace.submitted < at || (trace.submitted == at && trace.is_settled);
            self.is_tied |= trace.submitted == at && !trace.is_settled;
            if is_there {
                self.cut(trace, at);
            }
            is_there
        });
    }

    pub(super) fn cut(&mut self, trace: &mut Trace, at: u64) {
        self.is_tied |= trace.ended == at && !trace.is_settled;
        self.cut_attempts(trace, at);
        if trace.ready > at {
            trace.place = None;
        }
        trace.looked = trace.looked.filter(|looked| *looked <= at);
        if trace.ended > at {
            trace.state = State::Cancelled;
            trace.failure = Some(Failure::of(ErrorKind::Cancelled));
            trace.ended = at;
            trace.looked = None;
        }
    }

    pub(super) fn cut_attempts(&mut self, trace: &mut Trace, at: u64) {
        let ended = trace.ended;
        trace.attempts.retain_mut(|attempt| {
            self.is_tied |= attempt.at == at && ended != at;
            if attempt.at > at {
                return false;
            }
            self.cut_all(&mut attempt.children, at);
            true
        });
    }
}
