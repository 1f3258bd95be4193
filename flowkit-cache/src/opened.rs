//! The stores that are open in this process: opening a directory again gives the store that has it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::store::StoreError;

/// The stores of one kind, by their directories.
pub(crate) struct Opened<S>(OnceLock<Mutex<HashMap<PathBuf, Weak<S>>>>);

impl<S> Opened<S> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The store of this directory, opened now if it is not open. Who asks meanwhile waits.
    pub(crate) fn get_or_open(
        &self,
        directory: &Path,
        open: impl FnOnce() -> Result<S, StoreError>,
    ) -> Result<Arc<S>, StoreError> {
        let mut stores = self
            .0
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(directory).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = Arc::new(open()?);
        stores.retain(|_, store| store.strong_count() > 0);
        stores.insert(directory.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }
}
