//! Files that appear, and are whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::future::{self, BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::sensor::Condition;
use crate::sensor::settling::Settling;
use crate::sensor::watching::Watching;

/// Files at a path, or that match a pattern such as `incoming/*.csv`. Met, it names those that are ready, sorted.
///
/// What changes in their directory is told by the system where it can, so that the sensor looks at once; what it finds is decided by looking, since network file systems tell nothing. A directory
/// that is not there yet is waited for in the one above it. What lies below a directory is watched only where the pattern has `*` or the like in the name of one. Names that begin with a dot match
/// only patterns that do.
pub struct Files {
    pattern: PathBuf,
    settling: Settling<PathBuf, State>,
    watching: Watching,
}

/// What of a file changes while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Files {
    /// The file at a path, or the files that match a pattern.
    pub fn matching(pattern: impl AsRef<Path>) -> Self {
        Self {
            pattern: pattern.as_ref().to_owned(),
            settling: Settling::new(),
            watching: Watching::new(pattern.as_ref()),
        }
    }

    /// Only files whose size and time of change have stayed the same for so long: so that one that is still being written is not met. By default a file is ready when it is there.
    ///
    /// Who writes a file elsewhere and renames it does not need this.
    #[must_use]
    pub fn stable_for(mut self, duration: Duration) -> Self {
        self.settling = self.settling.stable_for(duration);
        self
    }

    /// Only files that were changed at this time or later.
    #[must_use]
    pub fn modified_since(mut self, time: SystemTime) -> Self {
        self.settling = self.settling.modified_since(time);
        self
    }

    /// Only once so many files are ready; one unless said otherwise.
    #[must_use]
    pub fn at_least(mut self, files: usize) -> Self {
        self.settling = self.settling.at_least(files);
        self
    }
}

impl Condition for Files {
    type Met = Vec<PathBuf>;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Vec<PathBuf>>>> {
        async move {
            self.watching.begin();
            let (pattern, since) = (self.pattern.clone(), self.settling.since());
            let there = crate::blocking::run(move || look(&pattern, since)).await?;
            Ok(self.settling.ready(there))
        }
        .boxed()
    }

    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        let next = self.settling.next();
        future::select(self.watching.told().boxed(), next)
            .map(drop)
            .boxed()
    }
}

/// The files that match, as they are.
fn look(pattern: &Path, since: Option<SystemTime>) -> Result<BTreeMap<PathBuf, State>> {
    let files = match crate::matching::matching(pattern) {
        Err(error) if error.kind() == ErrorKind::NotFound && !pattern.is_dir() => return Ok(BTreeMap::new()),
        files => files?,
    };
    let mut there = BTreeMap::new();
    for file in files {
        let metadata = match file.metadata() {
            // It went between the two looks.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(|error| Error::io("look at", &file, error))?,
        };
        let state = State {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        };
        if since.is_none_or(|since| state.modified.is_some_and(|modified| modified >= since)) {
            there.insert(file, state);
        }
    }
    Ok(there)
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files matching {}", self.pattern.display())
    }
}
