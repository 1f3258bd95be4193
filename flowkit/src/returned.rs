//! What a body returned: a value, or an error that is worth another attempt or not.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::error::{BoxError, Failure};
use crate::panics::caught;

/// A return type that can be an error.
#[diagnostic::on_unimplemented(
    message = "a task or flow whose return type ends in `Result` returns a `Result`",
    label = "`{Self}` is named like one, and is another type",
    note = "give the type another name, or return a `std::result::Result`"
)]
pub trait Fallible {
    /// What it is when all went well.
    type Value;
    /// What it is when not.
    type Error;
    /// Which of the two it is.
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;
    fn into_result(self) -> Self {
        self
    }
}

/// Stands for a return type that is not called `Result`. The attributes go by that name, since a macro sees no types: `IS` tells whether it is one
/// all the same, whose errors would pass for values.
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Returned<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Returned")
    }
}

/// The type is a `Result`.
#[derive(Debug)]
pub struct ResultByAnotherName;

/// The type is no `Result`.
#[derive(Debug)]
pub struct NoResult;

impl<T, E> Returned<Result<T, E>> {
    /// It is one. What a type has of its own comes before what a trait gives it.
    pub const IS: ResultByAnotherName = ResultByAnotherName;
}

/// What is not known to be a `Result`.
pub trait MayBeValue {
    /// It is none.
    const IS: NoResult = NoResult;
}

impl<T> MayBeValue for Returned<T> {}

/// A return type that is a value, whatever it is.
#[diagnostic::on_unimplemented(
    message = "a task or flow that can fail says so by the name `Result`",
    label = "a `Result` under another name, whose errors would pass for values",
    note = "return `Result<…>`, or give the alias that name: flowkit sees how a type is written, and not what it is. A `Result` that is meant as a value goes into a struct"
)]
pub trait Unfailing {}

impl Unfailing for NoResult {}

/// Asks for a return type that is a value.
pub const fn unfailing<T: Unfailing>(_is: &T) {}

/// How an attempt ended that returned this.
pub fn outcome<R: Fallible>(returned: R) -> Result<R::Value, Failure>
where
    R::Error: Into<BoxError>,
{
    returned
        .into_result()
        .map_err(|error| Failure::returned(error.into(), true))
}

/// The same, where a predicate decides whether the error is worth another attempt.
pub fn outcome_if<R: Fallible>(
    returned: R,
    retry_if: impl FnOnce(&R::Error) -> bool,
) -> Result<R::Value, Failure>
where
    R::Error: Into<BoxError>,
{
    returned.into_result().map_err(|error| {
        // A predicate that panics says nothing, and nothing is retried on its word.
        let retry = caught(|| retry_if(&error)).unwrap_or_else(no_retry);
        Failure::returned(error.into(), retry)
    })
}

fn no_retry(message: String) -> bool {
    tracing::warn!(target: "flowkit", panic = message, "what judges whether an error is retried panicked: it is not");
    false
}

/// The same, where another function says how long the next attempt is to wait at least.
pub fn outcome_after<R: Fallible>(
    returned: R,
    retry_if: impl FnOnce(&R::Error) -> bool,
    retry_after: impl FnOnce(&R::Error) -> Option<Duration>,
) -> Result<R::Value, Failure>
where
    R::Error: Into<BoxError>,
{
    let mut after = None;
    let judged = outcome_if(returned, |error| {
        after = retry_after(error);
        retry_if(error)
    });
    judged.map_err(|failure| failure.waiting(after))
}
