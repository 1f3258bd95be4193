//! Waits until somebody asks the program to end.

use std::io;

/// Returns at ctrl-c, and on Unix at SIGTERM too.
///
/// # Errors
/// When the system does not let the program listen for either.
pub async fn interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
