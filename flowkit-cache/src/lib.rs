//! Keys from inputs, and an embedded cache for results: what flowkit's `cache` word stands on, usable alone.
//!
//! A [`CacheKey`] is a digest of a value in a canonical form: equal keys mean equal values, on every machine and in
//! every process. A [`Cache`] keeps encoded values under keys in a [`CacheStore`]: on disk ([`SledStore`], the default, or
//! `RedbStore` with the feature `redb`, for several processes at once), or in memory ([`MemoryStore`]). Whatever is damaged, foreign or
//! expired is a miss and never an error; a cache may be slow or gone, but it is never wrong.
//!
//! ```
//! use flowkit_cache::{Cache, Lookup, MemoryStore, NewEntry, codec, key_of};
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::new(Arc::new(MemoryStore::new()));
//! let key = key_of(&("squares", 12u32))?;
//! let now = SystemTime::now();
//! cache.put(&key, NewEntry::new(codec::encode(&144u64)?, now)).await?;
//! let Lookup::Hit(entry) = cache.get(&key, now).await else { panic!("it was just kept") };
//! assert_eq!(codec::decode::<u64>(entry.value())?, 144);
//! # Ok(())
//! # }
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`key`] | the canonical form and its digest |
//! | [`codec`] | how values are encoded in entries |
//! | [`CacheStore`] | the contract of a store |
//! | [`SingleFlight`] | one computation for many callers of one key |

mod cache;
pub mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod entry;
mod flight;
pub mod key;
mod memory;
#[cfg(any(feature = "sled", feature = "redb"))]
mod objects;
#[cfg(any(feature = "sled", feature = "redb"))]
mod opened;
#[cfg(any(feature = "sled", feature = "redb"))]
mod record;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "sled")]
mod sled;
mod store;
mod sweeping;
mod sync;

pub use cache::{Cache, CacheBuilder, CacheProblem, Deferred, Limits, Lookup, MissReason, Sweep};
pub use entry::{Entry, NewEntry};
pub use flight::{LeaderGuard, Role, SingleFlight};
pub use key::{CacheKey, KeyError, KeyHasher, KeyParts, SecretKey, key_of};
pub use memory::MemoryStore;
#[cfg(feature = "redb")]
pub use redb::RedbStore;
#[cfg(feature = "sled")]
pub use sled::SledStore;
pub use store::{CacheStore, Found, Listed, StoreError, StoreErrorKind, StoreStats, SweepBudget};
