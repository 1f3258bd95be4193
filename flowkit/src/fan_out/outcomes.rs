//! The outcome of each item of a fan-out, of which the type alone knows more than whether there is one.

use std::any::Any;

use crate::completion::Outcome;
use crate::error::Error;
use crate::job::{AnyOutput, take_value};

/// Where an item stands.
pub(super) enum Standing<'a> {
    Open,
    /// It has, or had, a value.
    Completed,
    Failed(&'a Error),
}

/// The outcomes of a fan-out, of whatever type. Nothing of the user's is called or dropped in here, since it is called under a lock.
pub(super) trait AnyOutcomes: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn len(&self) -> usize;
    /// None of an item that is not there.
    fn standing(&self, index: u32) -> Option<Standing<'_>>;
    fn has_failure(&self) -> bool;
    /// There is one more item.
    fn push(&mut self);
    /// There are no more items than this: those that go are open.
    fn truncate(&mut self, items: usize);
    /// Takes the value of an item out of its job.
    fn put(&mut self, index: u32, output: &mut dyn AnyOutput);
    fn fail(&mut self, index: u32, error: Error);
}

/// Makes so many open outcomes.
pub(super) type NewOutcomes = fn(items: usize) -> Box<dyn AnyOutcomes>;

/// So many open outcomes of items that give a `T`.
pub(super) fn open<T: Send + Sync + 'static>(items: usize) -> Box<dyn AnyOutcomes> {
    let mut outcomes = Vec::new();
    outcomes.resize_with(items, || Outcome::<T>::Open);
    Box::new(ItemOutcomes(outcomes))
}

pub(super) struct ItemOutcomes<T>(pub(super) Vec<Outcome<T>>);

impl<T: Send + Sync + 'static> AnyOutcomes for ItemOutcomes<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn standing(&self, index: u32) -> Option<Standing<'_>> {
        Some(match self.0.get(index as usize)? {
            Outcome::Open => Standing::Open,
            Outcome::Value(_) | Outcome::Shared(_) | Outcome::Taken => Standing::Completed,
            Outcome::Failed(error) => Standing::Failed(error),
        })
    }

    fn has_failure(&self) -> bool {
        self.0.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    fn push(&mut self) {
        self.0.push(Outcome::Open);
    }

    fn truncate(&mut self, items: usize) {
        self.0.truncate(items);
    }

    fn put(&mut self, index: u32, output: &mut dyn AnyOutput) {
        if let Some(outcome) = self.0.get_mut(index as usize) {
            *outcome = take_value(output).map_or_else(Outcome::Failed, Outcome::Value);
        }
    }

    fn fail(&mut self, index: u32, error: Error) {
        if let Some(outcome) = self.0.get_mut(index as usize) {
            *outcome = Outcome::Failed(error);
        }
    }
}
