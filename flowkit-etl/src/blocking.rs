//! Work that blocks, off the threads that drive futures.

use crate::error::{Error, ErrorKind, Result};

/// Runs `work` on tokio's pool for blocking work. Work that panics is an error.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::new(ErrorKind::Io, "what was to be done did not come to its end").because(error))
        }
    }
}
