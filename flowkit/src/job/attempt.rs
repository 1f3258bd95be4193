//! What an attempt is given beside its inputs: the code that an attribute expands to asks it for each parameter.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use crate::definition::Definition;
use crate::engine::blocking;
use crate::error::{Error, ErrorKind, Failure};
use crate::input::{Input, Lent, Taken};
use crate::runtime::RuntimeInner;

/// What an attempt is given beside its inputs.
pub struct Attempt<'a> {
    pub(crate) definition: &'static Definition,
    pub(crate) runtime: &'a Arc<RuntimeInner>,
    /// No other attempt will follow: inputs may be given away.
    pub(crate) last: bool,
}

impl std::fmt::Debug for Attempt<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Attempt")
            .field("of", &self.definition.name())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Attempt<'_> {
    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.definition.kind(), self.definition.name())
    }

    /// The value of a parameter that borrows.
    ///
    /// # Errors
    /// When the input is spent, which is a bug of the engine.
    pub fn lend<T>(&self, input: &mut Input<T>) -> Result<Lent<T>, Error> {
        input
            .lend(self.last)
            .ok_or_else(|| self.error(ErrorKind::Internal).detailed("an input was not there"))
    }

    /// The value of a parameter that owns.
    ///
    /// # Errors
    /// When others share the value and it cannot be cloned.
    pub fn take<T>(
        &self,
        name: &'static str,
        input: &mut Input<T>,
        clone: Option<fn(&T) -> T>,
    ) -> Result<T, Error> {
        match input.take(self.last, clone) {
            Taken::Value(value) => Ok(value),
            Taken::IsShared => Err(self.shared_error(name)),
            Taken::Missing => Err(self.missing_error(name)),
        }
    }

    fn shared_error(&self, name: &str) -> Error {
        self.error(ErrorKind::Input).detailed(format!(
            "parameter `{name}` takes its value whole, but others share the value (a fan-out keeps those of its items), and its type is not `Clone`: \
             let the parameter borrow (`&T`), or derive `Clone`"
        ))
    }

    fn missing_error(&self, name: &str) -> Error {
        self.error(ErrorKind::Internal)
            .detailed(format!("input `{name}` was not there"))
    }

    /// What the runtime lends to a `#[resource]` parameter that borrows.
    ///
    /// # Errors
    /// When the runtime has no resource of this type.
    pub fn resource<R: Any + Send + Sync>(&self, name: &'static str) -> Result<Arc<R>, Error> {
        self.runtime.resources.get::<R>().ok_or_else(|| {
            self.error(ErrorKind::MissingResource).detailed(format!(
                "parameter `{name}` asks for a resource of type `{}`, and the runtime has none: give it one with `Runtime::builder().resource(…)`",
                std::any::type_name::<R>()
            ))
        })
    }

    /// What the runtime lends to a `#[resource]` parameter that owns.
    ///
    /// # Errors
    /// When the runtime has no resource of this type.
    pub fn resource_cloned<R: Any + Send + Sync + Clone>(&self, name: &'static str) -> Result<R, Error> {
        self.resource::<R>(name).map(Arc::unwrap_or_clone)
    }

    /// Runs blocking work on the pool for it, as the body of this attempt.
    pub fn blocking<R, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static + use<R, W>
    where
        R: Send + 'static,
        W: FnOnce() -> Result<R, Failure> + Send + 'static,
    {
        blocking::run(Arc::clone(self.runtime), work)
    }
}
