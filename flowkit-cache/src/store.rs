//! The contract of a store, and its one error.

use std::fmt;
use std::time::SystemTime;

use crate::entry::{Entry, NewEntry};
use crate::key::CacheKey;

/// What a store has under a key.
pub enum Found {
    /// Nothing.
    Nothing,
    /// An entry that verified.
    Entry(Entry),
    /// An entry that must be read from a file first: run this where blocking is allowed.
    Deferred(Box<dyn FnOnce() -> Result<Self, StoreError> + Send>),
    /// Something that did not verify. It has been set aside: it will not be found again.
    Damaged,
}

impl fmt::Debug for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("Nothing"),
            Self::Entry(entry) => formatter.debug_tuple("Entry").field(entry).finish(),
            Self::Deferred(_) => formatter.write_str("Deferred"),
            Self::Damaged => formatter.write_str("Damaged"),
        }
    }
}

/// How much of a store is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entries, expired ones that were not removed yet among them.
    pub entries: u64,
    /// Bytes of those entries, headers included.
    pub bytes: u64,
}

/// An entry as a list of entries shows it, without its value. That it is undamaged, only [`CacheStore::get`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: CacheKey,
    /// Its size, header included.
    pub bytes: u64,
    /// When it was made.
    pub created: SystemTime,
    /// From when on it is not served any more; none means never.
    pub expires: Option<SystemTime>,
}

/// What a slice of removing may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepBudget {
    /// Entries that have expired by then are removed.
    pub now: SystemTime,
    /// While there are more bytes than this, the entry that was used longest ago is removed.
    pub max_bytes: u64,
    /// At most so many entries are removed.
    pub entries: usize,
}

/// Keeps entries.
///
/// # Contract
///
/// - Methods may block for as long as a disk takes; [`get`](Self::get) only for as long as memory takes, and defers the rest.
/// - No method panics, and none reads a clock: times come in.
/// - Whatever is found verified as an undamaged entry of its key ([`Entry::from_bytes`]). What does not verify is removed.
/// - When [`put`](Self::put) returns, every later `get` in this process finds the entry, until it is removed, and no `get` ever finds a
///   mixture of two. If the entry asked to be durable, it is found after a power failure as well.
/// - An error of one key leaves the others usable.
///
/// The crate's own tests for this contract are public with the feature `conformance`.
pub trait CacheStore: fmt::Debug + Send + Sync + 'static {
    /// What there is under a key, expired or not. `now` counts as the time of its last use.
    ///
    /// # Errors
    /// When the store could not be asked.
    fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError>;

    /// Keeps an entry, in place of one that was there.
    ///
    /// # Errors
    /// When it could not be kept; what was there before may be there still.
    fn put(&self, key: &CacheKey, entry: &NewEntry) -> Result<(), StoreError>;

    /// Whether keeping a value of so many bytes may take a disk's time.
    fn is_slow_to_put(&self, bytes: usize) -> bool;

    /// Forgets an entry, and says whether there was one.
    ///
    /// # Errors
    /// When it could not be forgotten.
    fn remove(&self, key: &CacheKey) -> Result<bool, StoreError>;

    /// Removes expired entries, and then those used longest ago while there are too many bytes. Gives how many it removed; as many
    /// as the budget allows means that more may remain.
    ///
    /// # Errors
    /// When the store could not be changed.
    fn sweep(&self, budget: SweepBudget) -> Result<usize, StoreError>;

    /// Returns when everything put before is on the disk.
    ///
    /// # Errors
    /// When it could not be written.
    fn flush(&self) -> Result<(), StoreError>;

    /// How much there is.
    ///
    /// # Errors
    /// When the store could not be asked.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// The entries that come after a key in the order of keys, at most `limit` of them. To be listed is not to be used.
    ///
    /// # Errors
    /// When the store could not be asked, or cannot list what it has, as one that does not say otherwise.
    fn list(&self, after: Option<&CacheKey>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let _ = (after, limit);
        Err(StoreError::new(
            StoreErrorKind::Place,
            "this cache store cannot list its entries",
        ))
    }

    /// Forgets everything, and gives how many entries there were.
    ///
    /// # Errors
    /// When it could not be forgotten.
    fn clear(&self) -> Result<u64, StoreError>;
}

/// What went wrong with a store, in terms of what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another process uses it.
    Locked,
    /// It was written by a newer version.
    Version,
    /// It is damaged beyond what can be set aside.
    Corrupt,
    /// The place where it lies cannot be used: not a directory, not writable.
    Place,
    /// There is no room.
    Full,
    /// Something else between here and the disk.
    Io,
}

/// What went wrong with a store, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind. The message says what to do.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// With what it came from.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An error of the file system, about this doing.
    pub fn io(doing: &str, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let (kind, advice) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                (StoreErrorKind::Full, ": make room, or lower the cache's limit")
            }
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists => (
                StoreErrorKind::Place,
                ": choose a directory that this process may write",
            ),
            _ => (StoreErrorKind::Io, ""),
        };
        Self::new(kind, format!("{doing}: {error}{advice}")).because(error)
    }

    /// What went wrong.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}
