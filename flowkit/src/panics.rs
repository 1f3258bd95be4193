//! Catches panics with what they say and where they happened.
//!
//! A caught panic carries its message only; the place is known to the panic hook alone. So the first catch puts a hook of ours before
//! the one that is there, which notes what the last panic of each thread said and where, and leaves everything else as it was. A catch
//! that meets no panic costs nothing but the catch.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// What the last panic of the thread said, and where it happened.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it is its message and its place.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    note_places();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Ok(value),
        Err(payload) => Err(said_and_where(payload)),
    }
}

/// Drops what is, or holds, the user's. A panic on the way is logged: whatever else was to be done then is done.
pub(crate) fn dropped<V>(what: &str, value: V) {
    dropped_by(what, move || drop(value));
}

/// The same where it is dropped in its place.
pub(crate) fn dropped_by(what: &str, drop: impl FnOnce()) {
    if let Err(message) = caught(drop) {
        tracing::warn!(target: "flowkit", panic = message, "{what} panicked when it was dropped");
    }
}

/// Apart from `caught`, of which there are many.
fn said_and_where(payload: Box<dyn Any + Send>) -> String {
    let message = message_of(&*payload);
    // Another panic may have been caught by others since, and this one may come from another thread or have no place at all.
    match LAST.take() {
        Some((said, place)) if said == message => format!("{message} ({place})"),
        _ => message,
    }
}

fn note_places() {
    static NOTED: Once = Once::new();
    // The hook cannot be changed while the thread unwinds. The next catch will do it.
    if NOTED.is_completed() || std::thread::panicking() {
        return;
    }
    NOTED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string);
            LAST.set(place.map(|place| (message_of(panic.payload()), place)));
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
