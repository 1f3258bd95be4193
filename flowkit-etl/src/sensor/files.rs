//! Files that appear, and are whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::{self, BoxFuture, FutureExt};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};
use crate::sensor::Condition;
use crate::sensor::settling::Settling;

/// Files at a path, or that match a pattern such as `incoming/*.csv`. Met, it names those that are ready, sorted.
///
/// What changes in their directory is told by the system where it can, so that the sensor looks at once; what it finds is decided by looking, since network file systems tell nothing. Names that begin
/// with a dot match only where the pattern has the dot.
pub struct Files {
    pattern: PathBuf,
    settling: Settling<PathBuf, State>,
    watch: Watch,
}

/// What of a file changes while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Whether the system tells of changes.
enum Watch {
    NotYet,
    /// Until this is dropped.
    Told(
        Arc<Notify>,
        #[expect(dead_code, reason = "it watches for as long as it is there")] RecommendedWatcher,
    ),
    Untold,
}

impl Files {
    /// The file at a path, or the files that match a pattern.
    pub fn matching(pattern: impl AsRef<Path>) -> Self {
        Self {
            pattern: pattern.as_ref().to_owned(),
            settling: Settling::new(),
            watch: Watch::NotYet,
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
            if matches!(self.watch, Watch::NotYet) {
                // Before the first look, so that nothing is missed in between.
                self.watch = watch(&self.pattern);
            }
            let (pattern, since) = (self.pattern.clone(), self.settling.since());
            let there = crate::blocking::run(move || look(&pattern, since)).await?;
            Ok(self.settling.ready(there))
        }
        .boxed()
    }

    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        let told = match &self.watch {
            Watch::Told(told, _) => told.notified().boxed(),
            Watch::NotYet | Watch::Untold => future::pending().boxed(),
        };
        future::select(told, self.settling.next()).map(drop).boxed()
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

/// Has the system tell of changes in the directory of a pattern, if it can.
fn watch(pattern: &Path) -> Watch {
    let special = |part: &Path| part.to_string_lossy().contains(['*', '?', '[']);
    let directory = pattern
        .ancestors()
        .skip(1)
        .find(|path| !special(path) && (path.is_dir() || path.as_os_str().is_empty()));
    let directory = match directory {
        Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
        Some(directory) => directory,
        None => return Watch::Untold,
    };
    // Deeper than the directory itself only where the pattern is.
    let deeper = pattern.parent().is_some_and(|parent| {
        parent != directory && !(parent.as_os_str().is_empty() && directory == Path::new("."))
    });
    let mode = if deeper {
        RecursiveMode::Recursive
    } else {
        RecursiveMode::NonRecursive
    };
    let told = Arc::new(Notify::new());
    let tell = Arc::clone(&told);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Looking is no change.
        let looked = event.is_ok_and(|event| match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => true,
            _ => false,
        });
        if !looked {
            tell.notify_one();
        }
    });
    let watching = watcher.and_then(|mut watcher| watcher.watch(directory, mode).map(|()| watcher));
    match watching {
        Ok(watcher) => Watch::Told(told, watcher),
        Err(error) => {
            tracing::debug!(target: "flowkit_etl", %error, directory = %directory.display(), "the system does not tell of changes here");
            Watch::Untold
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files matching {}", self.pattern.display())
    }
}
