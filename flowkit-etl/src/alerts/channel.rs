//! Where alerts go: the contract.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use super::Alert;
use crate::error::Error;

/// Why an alert was not taken. An error that [is transient](Error::is_transient) is tried again, others are not.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// How long the other side says to wait, if it does.
    pub after: Option<Duration>,
    /// Whether some of those whom the channel tells have it nevertheless. If it is given up, it counts as delivered then, and its record keeps the error.
    pub partly: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            after: None,
            partly: false,
        }
    }
}

/// Somewhere that alerts go to.
///
/// It is asked for one alert after the other, is given up after the [timeout](super::Delivery::timeout), and may be given one again that it had taken if nobody was told of that.
/// What it says in errors is recorded and logged, so no secret may be in there.
pub trait Channel: fmt::Debug + Send + Sync + 'static {
    /// Looks whether it is described so that it can deliver, without delivering anything. It is asked when alerts are started.
    ///
    /// # Errors
    /// Why it never could.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Delivers an alert.
    ///
    /// # Errors
    /// Why it could not.
    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>>;
}
