//! How what runs is stopped: kept for fan-outs and for runs that wait, beside what is known of all.

use std::sync::Weak;
use std::task::Waker;

use slab::Slab;

/// How what a node has running is stopped.
pub(crate) enum Control {
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
            Self::Wake(waker) => waker.wake(),
            Self::FanOut(fan_out) => {
                if let Some(fan_out) = fan_out.upgrade() {
                    fan_out.cancel();
                }
            }
        }
    }
}

/// Where the control of a node is kept. Most have none: such a run finds out that it was stopped, if it ever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ControlKey(u32);

impl ControlKey {
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// The controls of a graph's nodes.
#[derive(Default)]
pub(super) struct Controls(Slab<Control>);

impl Controls {
    /// Keeps a control at `key`, in place of the one that is there.
    pub(super) fn set(&mut self, key: &mut ControlKey, control: Control) {
        match self.0.get_mut(key.0 as usize) {
            Some(known) => *known = control,
            // A graph has fewer nodes than there are keys.
            None => *key = ControlKey(u32::try_from(self.0.insert(control)).unwrap_or(u32::MAX)),
        }
    }

    pub(super) fn take(&mut self, key: &mut ControlKey) -> Option<Control> {
        if *key == ControlKey::NONE {
            return None;
        }
        let key = std::mem::replace(key, ControlKey::NONE);
        self.0.try_remove(key.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Cancel for Told {
        fn cancel(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn control(told: &Arc<Told>) -> Control {
        let told: Weak<dyn Cancel> = Arc::downgrade(&(Arc::clone(told) as Arc<dyn Cancel>));
        Control::FanOut(told)
    }

    #[test]
    fn each_node_has_the_last_control_that_it_was_given_and_has_it_once() {
        let (first, second) = (Arc::new(Told::default()), Arc::new(Told::default()));
        let mut controls = Controls::default();
        let (mut one, mut other) = (ControlKey::NONE, ControlKey::NONE);
        controls.set(&mut one, control(&second));
        controls.set(&mut one, control(&first));
        controls.set(&mut other, control(&second));
        for _ in 0..2 {
            controls.take(&mut one).into_iter().for_each(Control::cancel);
            controls.take(&mut other).into_iter().for_each(Control::cancel);
        }
        assert_eq!(
            [&first, &second].map(|told| told.0.load(Ordering::Relaxed)),
            [1, 1]
        );
        assert!(controls.0.is_empty());
    }
}
