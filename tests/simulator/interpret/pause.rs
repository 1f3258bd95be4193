//! A body that pauses until somebody outside resumes it.

use flowkit::prelude::*;
use flowkit::{BoxError, ErrorKind, current_run, pause};
use tokio::time::Instant;

use super::{Performer, millis};
use crate::plan::Pause;

impl Performer<'_> {
    pub(super) async fn pause(&self, planned: &Pause) -> Result<()> {
        let run = current_run().ok_or("a body belongs to a run")?;
        let flow = run.flow_run_id();
        let world = self.world;
        let key = match planned.fresh {
            true => format!("p{}, {}", planned.number, world.value()),
            false => format!("p{}", planned.number),
        };
        world.resume_later(flow, key.clone(), planned);
        let mut asked = pause::<u64>(key);
        if let Some(timeout) = planned.timeout {
            asked = asked.timeout(millis(timeout));
        }
        let began = Instant::now();
        if let Some(id) = run.task_run_id().filter(|_| planned.fresh) {
            let longest = planned.timeout.unwrap_or(u64::MAX).min(planned.after);
            world.pauses(id, began + millis(longest));
        }
        let outcome = asked.await;
        let waited = began.elapsed().as_millis() as u64;
        let kind = outcome.as_ref().err().map(flowkit::Error::kind);
        let in_time = planned.timeout.is_none_or(|timeout| planned.after <= timeout);
        // It waits for slots after it was resumed.
        let exact = planned.fresh && self.options.is_none();
        let fits = match (&outcome, kind) {
            (Ok(input), _) => {
                let waited_right = if exact { waited == planned.after } else { true };
                *input == planned.number && waited_right && (in_time || !planned.fresh)
            }
            (Err(_), Some(ErrorKind::TimedOut)) => {
                let timeout = planned.timeout.unwrap_or(u64::MAX);
                timeout <= waited && timeout <= planned.after
            }
            _ => false,
        };
        if !fits {
            world.trouble(format!("{planned:?} came to {outcome:?} after {waited} ms"));
        }
        match outcome {
            Err(error) if planned.pass => Err(BoxError::from(error)),
            _ => Ok(()),
        }
    }
}
