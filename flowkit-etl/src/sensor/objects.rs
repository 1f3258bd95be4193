//! Objects that appear in a store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use futures::future::{self, BoxFuture, FutureExt};

use crate::error::Result;
use crate::object::Bucket;
use crate::sensor::Condition;
use crate::sensor::settling::Settling;

/// An object of a key, or objects below a prefix or that match a pattern, as at [`Location::objects`](crate::source::Location::objects): `incoming/may.csv`, `incoming/`, `incoming/*.csv`. Met, it gives the keys of those that are ready, in their order.
///
/// A store tells nothing by itself, so they are looked for at each [`poke_interval`](crate::sensor::Sensor::poke_interval). A bucket that is not there, and one that does not let one in, end the wait.
///
/// ```no_run
/// use flowkit_etl::object::Bucket;
/// use flowkit_etl::sensor::{Objects, Sensor};
/// use std::time::Duration;
///
/// # async fn story() -> flowkit_etl::Result<()> {
/// let lake = Bucket::open("s3://plants")?;
/// let come = Objects::matching(&lake, "incoming/*.csv").at_least(3);
/// let keys = Sensor::new(come).timeout(Duration::from_secs(3600)).wait().await?;
/// # Ok(())
/// # }
/// ```
pub struct Objects {
    bucket: Bucket,
    pattern: String,
    at_least: usize,
    stable_for: Duration,
    modified_since: Option<SystemTime>,
    seen: Settling<String, State>,
}

/// What of an object changes when it is put anew.
#[derive(Debug, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: SystemTime,
    tag: Option<String>,
}

impl Objects {
    /// The object of a key, or the objects below a prefix or that match a pattern.
    pub fn matching(bucket: &Bucket, pattern: impl Into<String>) -> Self {
        Self {
            bucket: bucket.clone(),
            pattern: pattern.into(),
            at_least: 1,
            stable_for: Duration::ZERO,
            modified_since: None,
            seen: Settling::new(),
        }
    }

    /// Only objects that have stayed the same for so long. By default an object is ready when it is there: a store shows none before it is whole, so that this is for those that are put anew again and again.
    #[must_use]
    pub fn stable_for(mut self, duration: Duration) -> Self {
        self.stable_for = duration;
        self
    }

    /// Only objects that were put at this time or later, by the store's clock.
    #[must_use]
    pub fn modified_since(mut self, time: SystemTime) -> Self {
        self.modified_since = Some(time);
        self
    }

    /// Only once so many objects are ready; one unless said otherwise.
    #[must_use]
    pub fn at_least(mut self, objects: usize) -> Self {
        self.at_least = objects.max(1);
        self
    }

    async fn look(&mut self) -> Result<Option<Vec<String>>> {
        let mut there = BTreeMap::new();
        for meta in self.bucket.look(&self.pattern).await? {
            let state = State {
                bytes: meta.size,
                modified: meta.last_modified.into(),
                tag: meta.e_tag.clone(),
            };
            if self.modified_since.is_none_or(|since| state.modified >= since) {
                there.insert(self.bucket.name_of(&meta.location).to_owned(), state);
            }
        }
        let ready = self.seen.settled(there, self.stable_for);
        Ok((ready.len() >= self.at_least).then_some(ready))
    }
}

impl Condition for Objects {
    type Met = Vec<String>;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Vec<String>>>> {
        self.look().boxed()
    }

    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        match self.seen.next(self.stable_for) {
            Some(stable) => tokio::time::sleep_until(stable).boxed(),
            None => future::pending().boxed(),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects matching {}/{}", self.bucket, self.pattern)
    }
}
