//! What is left to be written when a journal is dropped, and the tokio runtime that should have written it has ended.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::owner::Owner;
use crate::record::Record;
use crate::store::JournalStore;

/// How long whoever drops a journal waits for it. The disk may take longer, and a program that ends must end.
const WAIT: Duration = Duration::from_secs(5);

/// The last records of a journal.
pub(super) struct Last {
    pub(super) store: Arc<dyn JournalStore>,
    /// What keeps others from writing until these are written.
    pub(super) owner: Option<Owner>,
    pub(super) batches: [Arc<Vec<Record>>; 2],
    /// Whether the store could not be written lately.
    pub(super) has_failed: bool,
}

impl Last {
    /// Writes them, in a thread with a tokio runtime of its own, since there is none to be relied on here.
    pub(super) fn write(self) {
        let records: usize = self.batches.iter().map(|batch| batch.len()).sum();
        if records == 0 {
            return;
        }
        let reason = if self.has_failed {
            "the journal could not be written".to_owned()
        } else {
            let (done, written) = mpsc::channel();
            let thread = thread::Builder::new().name("flowkit-journal".to_owned());
            let begun = thread.spawn(move || drop(done.send(self.write_here())));
            match begun.map(|_| written.recv_timeout(WAIT)) {
                Ok(Ok(Ok(()))) => return,
                Ok(Ok(Err(reason))) => reason,
                Ok(Err(RecvTimeoutError::Timeout)) => "the journal takes too long to be written".to_owned(),
                Ok(Err(RecvTimeoutError::Disconnected)) => "the journal panicked".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        tracing::error!(target: "flowkit", records, reason, "the last records of a journal are lost: the tokio runtime ended before they were written; shut the runtime down first");
    }

    fn write_here(self) -> Result<(), String> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let tokio = tokio.map_err(|error| error.to_string())?;
        tokio.block_on(async {
            self.owner
                .as_ref()
                .map_or(Ok(()), Owner::check)
                .map_err(|trouble| trouble.to_string())?;
            for batch in self.batches.iter().filter(|batch| !batch.is_empty()) {
                let written = self.store.write(batch).await;
                written.map_err(|trouble| trouble.to_string())?;
            }
            Ok(())
        })
    }
}
