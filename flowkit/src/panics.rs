//! Catches panics with what they say and where they happened.
//!
//! A caught panic carries its message only; the place is known to the panic hook alone. So the first catch puts a hook of ours before
//! the one that is there, which notes the place of panics that are about to be caught and leaves everything else as it was.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// How many catches the thread is in.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic happened that is about to be caught.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it is its message and its place.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    note_places();
    let _catching = Catching::begin();
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let message = message_of(&*payload);
        match PLACE.take() {
            Some(place) => format!("{message} ({place})"),
            None => message,
        }
    })
}

/// Counts a catch, also out of one that unwinds.
struct Catching;

impl Catching {
    fn begin() -> Self {
        // A place that nobody asked for belongs to a panic that was caught elsewhere.
        PLACE.set(None);
        CATCHING.set(CATCHING.get() + 1);
        Self
    }
}

impl Drop for Catching {
    fn drop(&mut self) {
        CATCHING.set(CATCHING.get().saturating_sub(1));
    }
}

fn note_places() {
    // The hook cannot be changed while the thread unwinds. The next catch will do it.
    if std::thread::panicking() {
        return;
    }
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if CATCHING.get() > 0 {
                PLACE.set(panic.location().map(ToString::to_string));
            }
            before(panic);
        }));
    });
}

/// The message of a panic, from its payload.
fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic carried no message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_says_what_and_where() {
        let line = line!() + 1;
        let caught = caught(|| assert_eq!(1, 2, "no {}", "luck")).unwrap_err();
        assert!(caught.contains("no luck"), "{caught}");
        assert!(
            caught.ends_with(&format!("(flowkit/src/panics.rs:{line}:32)")),
            "{caught}"
        );
    }

    #[test]
    fn a_panic_that_is_caught_elsewhere_leaves_no_place_behind() {
        drop(catch_unwind(|| std::panic::resume_unwind(Box::new(7))));
        assert_eq!(
            caught(|| std::panic::resume_unwind(Box::new(7))),
            Err::<(), _>("the panic carried no message".to_owned())
        );
    }
}
