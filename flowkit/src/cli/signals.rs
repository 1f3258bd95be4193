//! Being asked to end: ctrl-c, and on Unix SIGTERM too.

/// What a program listens to.
pub(super) struct Signals {
    #[cfg(unix)]
    listening: Option<[tokio::signal::unix::Signal; 2]>,
    #[cfg(not(unix))]
    listening: bool,
}

impl Signals {
    /// Nothing.
    pub(super) fn none() -> Self {
        Self {
            #[cfg(unix)]
            listening: None,
            #[cfg(not(unix))]
            listening: false,
        }
    }

    /// Listens from now on. Where the system does not let us, the signals do what they do by themselves.
    pub(super) fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt());
            let terminate = signal(SignalKind::terminate());
            Self {
                listening: interrupt.ok().zip(terminate.ok()).map(<[_; 2]>::from),
            }
        }
        #[cfg(not(unix))]
        Self { listening: true }
    }

    /// Returns when somebody asks.
    pub(super) async fn asked(&mut self) {
        #[cfg(unix)]
        if let Some([interrupt, terminate]) = &mut self.listening {
            tokio::select! {
                Some(()) = interrupt.recv() => return,
                Some(()) = terminate.recv() => return,
                else => {}
            }
        }
        #[cfg(not(unix))]
        if self.listening && tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
        std::future::pending().await
    }
}
