//! How what runs is stopped, kept beside what is known of it.

use std::sync::Weak;
use std::task::Waker;

/// How what a node has running is stopped.
pub(crate) enum Control {
    /// It need not be told: it finds out, if it ever waits.
    None,
    /// A submitted run that waits: it is woken, and finds that it was stopped.
    Wake(Waker),
    /// A fan-out.
    FanOut(Weak<dyn Cancel>),
}

/// What can be told to stop.
pub(crate) trait Cancel: Send + Sync {
    fn cancel(&self);
}

impl Control {
    pub(crate) fn cancel(self) {
        match self {
            Self::None => {}
            Self::Wake(waker) => waker.wake(),
            Self::FanOut(fan_out) => {
                if let Some(fan_out) = fan_out.upgrade() {
                    fan_out.cancel();
                }
            }
        }
    }
}
