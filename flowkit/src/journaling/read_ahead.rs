//! The results of a fan-out that is resumed, read in slices: its items ask one after another, and a read for each would take most of the time.

use std::collections::HashMap;

use flowkit_journal::record::Spot;
use flowkit_journal::{JournalResult, JournalStore, KeptResult};
use tokio::sync::Mutex;

/// More than this is not kept for who may not come.
const MOST: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct ReadAhead(Mutex<Ahead>);

#[derive(Debug, Default)]
struct Ahead {
    /// What was read, and nobody has asked for yet.
    results: HashMap<Spot, Vec<u8>>,
    /// The first item and the last of the slice that was read last of a fan-out: what is between them and not among the results is not small.
    slices: HashMap<Spot, (u32, u32)>,
}

impl Ahead {
    /// Whether a slice was read in which the item would be, were it small.
    fn has_read(&self, item: u32, fan_out: Spot) -> bool {
        let slice = self.slices.get(&fan_out);
        slice.is_some_and(|(first, last)| (first..=last).contains(&&item))
    }

    fn take_in(&mut self, item: u32, fan_out: Spot, slice: Vec<KeptResult>) {
        if self.results.len() + slice.len() > MOST {
            self.results.clear();
            self.slices.clear();
        }
        if let Some(last) = slice.iter().filter_map(|(spot, _)| spot.item).max() {
            self.slices.insert(fan_out, (item, last));
        }
        let small = slice
            .into_iter()
            .filter_map(|(spot, result)| Some((spot, result?)));
        self.results.extend(small);
    }
}

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
        let Some(item) = spot.item else {
            return store.result(spot).await;
        };
        let fan_out = Spot { item: None, ..spot };
        {
            // Whoever comes second waits for the first one's slice, which is likely to hold what it wants.
            let mut ahead = self.0.lock().await;
            if let Some(result) = ahead.results.remove(&spot) {
                return Ok(Some(result));
            }
            if !ahead.has_read(item, fan_out) {
                let slice = store.results_from(spot).await?;
                ahead.take_in(item, fan_out, slice);
                if let Some(result) = ahead.results.remove(&spot) {
                    return Ok(Some(result));
                }
            }
        }
        store.result(spot).await
    }
}
