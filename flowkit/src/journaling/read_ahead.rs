//! The results of a fan-out that is resumed, read in slices: its items ask one after another, and a read for each would take most of the time.

use std::collections::HashMap;

use flowkit_journal::record::Spot;
use flowkit_journal::{JournalResult, JournalStore};
use tokio::sync::Mutex;

/// More than this is not kept for who may not come.
const MOST: usize = 16 * 1024;

/// What was read, and nobody has asked for yet.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead(Mutex<HashMap<Spot, Vec<u8>>>);

impl ReadAhead {
    /// What a task run returned.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn result(
        &self,
        store: &dyn JournalStore,
        spot: Spot,
    ) -> JournalResult<Option<Vec<u8>>> {
        if spot.item.is_none() {
            return store.result(spot).await;
        }
        {
            // Whoever comes second waits for the first one's slice, which is likely to hold what it wants.
            let mut ahead = self.0.lock().await;
            if let Some(result) = ahead.remove(&spot) {
                return Ok(Some(result));
            }
            let slice = store.results_from(spot).await?;
            if ahead.len() + slice.len() > MOST {
                ahead.clear();
            }
            ahead.extend(slice);
            if let Some(result) = ahead.remove(&spot) {
                return Ok(Some(result));
            }
        }
        store.result(spot).await
    }
}
