//! sled panics where a disk that fails leaves it no error to give: when it is closed, above all. A cache never ends what uses it, so such a panic becomes an
//! error here.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::store::{StoreError, StoreErrorKind};

/// What sled does, or that it panicked.
pub(super) fn contained<T>(
    doing: &str,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // What is left half done is sled's own, which the error keeps anybody from using.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(doing, &*panic)))
}

/// What a panic said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(String);

fn panicked(doing: &str, panic: &(dyn Any + Send)) -> StoreError {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    let message = format!("{doing}: sled gave up: {said}");
    StoreError::new(StoreErrorKind::Io, message).because(Panicked(said.to_owned()))
}

/// Whether this became of a panic.
pub(super) fn is_panic(error: &StoreError) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<Panicked>())
        .is_some()
}

/// Holds a database, and is the last to let go of it.
pub(super) struct LastHold(pub(super) Option<sled::Db>);

impl Drop for LastHold {
    fn drop(&mut self) {
        let db = self.0.take();
        let close = || {
            drop(db);
            Ok(())
        };
        if let Err(error) = contained("closing the cache", close) {
            tracing::error!(target: "flowkit_cache", %error, "the cache could not be closed: what was kept last may be lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_what_it_said() {
        let error = contained::<()>("closing", || panic!("disk {}", 7)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Io);
        assert_eq!(error.to_string(), "closing: sled gave up: disk 7");
        assert!(is_panic(&error));
        assert_eq!(contained("closing", || Ok(7)).unwrap(), 7);
    }
}
