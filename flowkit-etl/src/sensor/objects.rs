//! Objects that appear in a store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, FutureExt};

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
    settling: Settling<String, State>,
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
            settling: Settling::new(),
        }
    }

    /// Only objects that have stayed the same for so long. By default an object is ready when it is there: a store shows none before it is whole, so that this is for those that are put anew again and again.
    #[must_use]
    pub fn stable_for(mut self, duration: Duration) -> Self {
        self.settling = self.settling.stable_for(duration);
        self
    }

    /// Only objects that were put at this time or later, by the store's clock.
    #[must_use]
    pub fn modified_since(mut self, time: SystemTime) -> Self {
        self.settling = self.settling.modified_since(time);
        self
    }

    /// Only once so many objects are ready; one unless said otherwise.
    #[must_use]
    pub fn at_least(mut self, objects: usize) -> Self {
        self.settling = self.settling.at_least(objects);
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
            if self.settling.since().is_none_or(|since| state.modified >= since) {
                there.insert(self.bucket.name_of(&meta.location).to_owned(), state);
            }
        }
        Ok(self.settling.ready(there))
    }
}

impl Condition for Objects {
    type Met = Vec<String>;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Vec<String>>>> {
        self.look().boxed()
    }

    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        self.settling.next()
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects matching {}/{}", self.bucket, self.pattern)
    }
}
