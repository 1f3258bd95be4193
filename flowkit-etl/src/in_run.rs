//! The run that a part works in, which is told what passes.

use std::any::Any;
use std::fmt;

/// The run that a part works in, if it works in one and that is observed. Found where the part is called, since it then works in other tasks and threads too.
#[derive(Clone, Default)]
pub(crate) struct InRun {
    #[cfg(feature = "runs")]
    run: Option<flowkit::CurrentRun>,
}

impl InRun {
    /// The run that the code asking belongs to.
    pub(crate) fn current() -> Self {
        Self {
            #[cfg(feature = "runs")]
            run: flowkit::current_run().filter(flowkit::CurrentRun::is_observed),
        }
    }

    /// Whether anybody would be told.
    pub(crate) fn is_observed(&self) -> bool {
        #[cfg(feature = "runs")]
        return self.run.is_some();
        #[cfg(not(feature = "runs"))]
        false
    }

    /// Tells whoever observes the run.
    pub(crate) fn tell(&self, report: &(dyn Any + Send + Sync)) {
        #[cfg(feature = "runs")]
        if let Some(run) = &self.run {
            run.report(report);
        }
        #[cfg(not(feature = "runs"))]
        let _ = report;
    }
}

impl fmt::Debug for InRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InRun").field(&self.is_observed()).finish()
    }
}
