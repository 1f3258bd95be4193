//! Fan-outs: one task run for each call of an iterator, a bounded number at a time.

mod handles;
mod lanes;
mod mapped;
mod outcomes;
mod refusing;
mod shared;
mod stream;
mod waiting;

use std::fmt;
use std::num::NonZeroUsize;

pub use mapped::{AsCompleted, Mapped, Outcomes};
pub use stream::SubmitStream;

use crate::call::TaskCall;

/// How many items of a fan-out run at a time unless [`SubmitAll::concurrency`] says otherwise.
pub const DEFAULT_CONCURRENCY: usize = 1024;

/// Submits every call of an iterator.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn length(word: String) -> usize {
///     word.len()
/// }
///
/// #[flow]
/// async fn lengths(words: Vec<String>) -> Result<Vec<usize>> {
///     Ok(words.iter().map(|word| length(word)).submit_all().await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let words = vec!["a".to_owned(), "bcd".to_owned()];
/// assert_eq!(lengths(words).await.unwrap(), [1, 3]);
/// # }
/// ```
pub trait SubmitAll<T>: Iterator<Item = TaskCall<T>> + Sized {
    /// Takes every call of the iterator now and runs them beside the caller, 1,024 at a time.
    ///
    /// The calls wait in memory, at some 180 bytes each, until they run; an iterator that is longer than that allows,
    /// and owns what it reads, is better given to [`submit_lazily`](Self::submit_lazily).
    fn submit_all(self) -> Mapped<T>
    where
        T: Send + Sync + 'static,
    {
        FanOut {
            calls: self,
            concurrency: DEFAULT_CONCURRENCY,
        }
        .submit_all()
    }

    /// Runs the calls beside the caller, 1,024 at a time, and takes each from the iterator only when its turn has come.
    fn submit_lazily(self) -> Mapped<T>
    where
        Self: Send + 'static,
        T: Send + Sync + 'static,
    {
        FanOut {
            calls: self,
            concurrency: DEFAULT_CONCURRENCY,
        }
        .submit_lazily()
    }

    /// At most `limit` of them run at a time.
    ///
    /// The bound is given before the fan-out is submitted, so that no item can start before it is known.
    fn concurrency(self, limit: NonZeroUsize) -> FanOut<Self> {
        FanOut {
            calls: self,
            concurrency: limit.get(),
        }
    }
}

impl<T, I: Iterator<Item = TaskCall<T>>> SubmitAll<T> for I {}

/// A fan-out that is not submitted yet: see [`SubmitAll::concurrency`].
#[must_use = "a fan-out does nothing until it is submitted"]
pub struct FanOut<I> {
    calls: I,
    concurrency: usize,
}

impl<I> fmt::Debug for FanOut<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FanOut")
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static, I: Iterator<Item = TaskCall<T>>> FanOut<I> {
    /// See [`SubmitAll::submit_all`].
    pub fn submit_all(self) -> Mapped<T> {
        let calls: Vec<_> = self.calls.map(TaskCall::erased).collect();
        Mapped::new(lanes::submit(
            Box::new(calls.into_iter()),
            self.concurrency,
            outcomes::open::<T>,
        ))
    }

    /// See [`SubmitAll::submit_lazily`].
    pub fn submit_lazily(self) -> Mapped<T>
    where
        I: Send + 'static,
    {
        let calls = Box::new(self.calls.map(TaskCall::erased));
        Mapped::new(lanes::submit(calls, self.concurrency, outcomes::open::<T>))
    }
}
