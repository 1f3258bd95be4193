//! Being asked to end: ctrl-c, and on Unix SIGTERM too.

/// What a program listens to, once it has something that can be cancelled. Before that the signals do what they do by themselves.
pub(super) struct Signals {
    wanted: bool,
    #[cfg(unix)]
    listening: Option<[tokio::signal::unix::Signal; 2]>,
    #[cfg(not(unix))]
    listening: bool,
}

impl Signals {
    /// Nothing is ever listened to, or as soon as there is need.
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            #[cfg(unix)]
            listening: None,
            #[cfg(not(unix))]
            listening: false,
        }
    }

    /// Listens from now on, if that is wanted and the system lets us.
    pub(super) fn listen(&mut self) {
        if !self.wanted {
            return;
        }
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt());
            let terminate = signal(SignalKind::terminate());
            self.listening = interrupt.ok().zip(terminate.ok()).map(<[_; 2]>::from);
        }
        #[cfg(not(unix))]
        {
            self.listening = true;
        }
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
        std::future::pending::<()>().await;
    }
}
