//! The outcome of each item of a fan-out, of which the type alone knows more than whether there is one.

use std::any::Any;
use std::sync::Arc;

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
    outcomes.resize_with(items, || ItemOutcome::<T>::Open);
    Box::new(ItemOutcomes(outcomes))
}

pub(super) struct ItemOutcomes<T>(pub(super) Vec<ItemOutcome<T>>);

pub(super) enum ItemOutcome<T> {
    Open,
    Value(T),
    Shared(Arc<T>),
    Failed(Error),
    /// Taken by the owner of the fan-out.
    Taken,
}

impl<T: Send + Sync + 'static> AnyOutcomes for ItemOutcomes<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn standing(&self, index: u32) -> Option<Standing<'_>> {
        Some(match self.0.get(index as usize)? {
            ItemOutcome::Open => Standing::Open,
            ItemOutcome::Value(_) | ItemOutcome::Shared(_) | ItemOutcome::Taken => Standing::Completed,
            ItemOutcome::Failed(error) => Standing::Failed(error),
        })
    }

    fn has_failure(&self) -> bool {
        self.0
            .iter()
            .any(|outcome| matches!(outcome, ItemOutcome::Failed(_)))
    }

    fn push(&mut self) {
        self.0.push(ItemOutcome::Open);
    }

    fn truncate(&mut self, items: usize) {
        self.0.truncate(items);
    }

    fn put(&mut self, index: u32, output: &mut dyn AnyOutput) {
        if let Some(outcome) = self.0.get_mut(index as usize) {
            *outcome = take_value(output).map_or_else(ItemOutcome::Failed, ItemOutcome::Value);
        }
    }

    fn fail(&mut self, index: u32, error: Error) {
        if let Some(outcome) = self.0.get_mut(index as usize) {
            *outcome = ItemOutcome::Failed(error);
        }
    }
}

impl<T> ItemOutcome<T> {
    /// The outcome, for one of several who may ask for it; none while there is none.
    pub(super) fn share(&mut self) -> Option<Result<Arc<T>, Error>> {
        if matches!(self, Self::Value(_))
            && let Self::Value(value) = std::mem::replace(self, Self::Taken)
        {
            *self = Self::Shared(Arc::new(value));
        }
        match self {
            Self::Shared(value) => Some(Ok(Arc::clone(value))),
            Self::Failed(error) => Some(Err(error.clone())),
            Self::Open | Self::Value(_) | Self::Taken => None,
        }
    }

    /// The same for the only one who may ask for it, who is given the value itself.
    pub(super) fn take(&mut self) -> Option<Result<T, Error>>
    where
        T: Clone,
    {
        match std::mem::replace(self, Self::Taken) {
            Self::Value(value) => Some(Ok(value)),
            Self::Shared(value) => Some(Ok(Arc::unwrap_or_clone(value))),
            Self::Failed(error) => {
                *self = Self::Failed(error.clone());
                Some(Err(error))
            }
            Self::Open | Self::Taken => None,
        }
    }

    /// A copy of the outcome.
    pub(super) fn copy(&self) -> Option<Result<T, Error>>
    where
        T: Clone,
    {
        match self {
            Self::Value(value) => Some(Ok(value.clone())),
            Self::Shared(value) => Some(Ok(T::clone(value))),
            Self::Failed(error) => Some(Err(error.clone())),
            Self::Open | Self::Taken => None,
        }
    }
}
