//! Anything that can be asked.

use std::fmt;

use futures::future::{BoxFuture, FutureExt};

use crate::error::Result;
use crate::sensor::Condition;

type Ask<T> = Box<dyn FnMut() -> BoxFuture<'static, Result<Option<T>>> + Send>;

/// An async function that is asked until it has an answer.
pub struct Predicate<T> {
    name: String,
    ask: Ask<T>,
}

impl<T> Predicate<T> {
    /// Asks this function. The name is what errors and logs call it.
    pub fn new<F>(name: impl Into<String>, mut ask: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Option<T>>> + Send + 'static,
    {
        Self {
            name: name.into(),
            ask: Box::new(move || ask().boxed()),
        }
    }
}

impl<T: Send> Condition for Predicate<T> {
    type Met = T;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        (self.ask)()
    }
}

impl<T> fmt::Debug for Predicate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
