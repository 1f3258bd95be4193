//! What the examples share: an observer that shows a run on the terminal as it goes, and a way to be told to end.

mod interrupted;

pub use interrupted::interrupted;

#[cfg(feature = "progress")]
mod progress;

#[cfg(feature = "progress")]
pub use progress::Progress;

/// Shows nothing: the examples were built without the feature `progress`.
#[cfg(not(feature = "progress"))]
#[derive(Debug, Default)]
pub struct Progress(());

#[cfg(not(feature = "progress"))]
impl flowkit::Observer for Progress {
    fn on_event(&self, _event: &flowkit::Event<'_>) {}
}

#[cfg(feature = "etl")]
pub mod warehouse;
