//! Opens the store of a directory: one handle for each directory of a process, a clear answer when another process has
//! it, and a new beginning when it is damaged beyond reading.
//!
//! The rule of layouts: a directory of a newer layout is refused, and one of an older layout is set aside for a new beginning.
//! A cache is not worth a migration.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::contained::{LastHold, contained, is_panic};
use super::flusher::Flusher;
use super::trees::Trees;
use super::{Handle, Inner, sled_error};
use crate::objects::{Objects, sync_directory};
use crate::opened::Opened;
use crate::store::{StoreError, StoreErrorKind};

/// The version of the directory's layout.
const LAYOUT: u32 = 3;
const PREFIX: &str = "flowkit-cache ";
/// sled's own default is 1 GiB of memory.
const CACHE_CAPACITY: u64 = 32 * 1024 * 1024;
/// How often, and how long apart, a lock is tried that somebody may just be giving up.
const TRIES: u32 = 21;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

static OPENED: Opened<Handle> = Opened::new();

pub(super) fn open(directory: &Path) -> Result<Arc<Handle>, StoreError> {
    let doing = format!("opening the cache in `{}`", directory.display());
    fs::create_dir_all(directory.join("objects")).map_err(|error| StoreError::io(&doing, error))?;
    let directory = directory
        .canonicalize()
        .map_err(|error| StoreError::io(&doing, error))?;
    OPENED.get_or_open(&directory, || open_here(&directory, &doing))
}

fn open_here(directory: &Path, doing: &str) -> Result<Handle, StoreError> {
    check_layout(directory, doing)?;
    let (trees, last, named) = open_trees(directory, doing)?;
    let objects = Objects::new(directory.join("objects"));
    objects
        .remove_orphans(&named)
        .map_err(|error| StoreError::io(doing, error))?;
    let inner = Arc::new(Inner {
        directory: directory.to_owned(),
        trees,
        objects,
        doomed: Mutex::default(),
        dirty: AtomicBool::new(true),
        _last: last,
    });
    let flusher = Flusher::start(Arc::clone(&inner))?;
    Ok(Handle { inner, flusher })
}

/// Refuses the directory of a newer flowkit, sets an older one's store aside, and marks the directory as ours.
fn check_layout(directory: &Path, doing: &str) -> Result<(), StoreError> {
    let file = directory.join("layout");
    let io = |error| StoreError::io(doing, error);
    match fs::read(&file) {
        Ok(text) => match String::from_utf8_lossy(&text)
            .trim()
            .strip_prefix(PREFIX)
            .and_then(|version| version.parse::<u32>().ok())
        {
            Some(LAYOUT) => return Ok(()),
            Some(version) if version > LAYOUT => {
                return Err(StoreError::new(
                    StoreErrorKind::Version,
                    format!(
                        "{doing}: a newer flowkit wrote it (layout {version}, this one knows {LAYOUT}); update this program or give it another directory"
                    ),
                ));
            }
            _ => set_older_aside(directory, doing)?,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
            set_older_aside(directory, doing)?;
            fs::rename(&file, free_name(directory, "layout.damaged")).map_err(io)?;
        }
        Err(error) => return Err(io(error)),
    }
    // Last, so that a crash before it has the next opening begin anew as well.
    fs::write(&file, format!("{PREFIX}{LAYOUT}\n")).map_err(io)?;
    sync_directory(directory).map_err(io)
}

fn set_older_aside(directory: &Path, doing: &str) -> Result<(), StoreError> {
    let io = |error| StoreError::io(doing, error);
    match File::open(directory.join("sled/db")) {
        // sled holds this lock while it has the store open.
        Ok(file) if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) => {
            return Err(locked(directory, TryLockError::WouldBlock));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    }
    let aside = set_aside(directory, "older").map_err(io)?;
    tracing::warn!(target: "flowkit_cache", aside = %aside.display(), "the cache was written by an older flowkit: it was set aside and may be deleted, and a new one begun");
    Ok(())
}

fn open_trees(directory: &Path, doing: &str) -> Result<Opening, StoreError> {
    match try_open(directory, doing) {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            let aside = set_aside(directory, "damaged").map_err(|error| StoreError::io(doing, error))?;
            tracing::warn!(target: "flowkit_cache", aside = %aside.display(), "the cache was damaged: it was set aside, and a new one begun");
            try_open(directory, doing)
        }
        opened => opened,
    }
}

/// The trees, who lets go of them last, and the files that records name.
type Opening = (Trees, LastHold, HashSet<String>);

/// Opens the trees alone, with nobody to write them out.
pub(super) fn try_open(directory: &Path, doing: &str) -> Result<Opening, StoreError> {
    let config = sled::Config::new()
        .path(directory.join("sled"))
        .cache_capacity(CACHE_CAPACITY)
        .flush_every_ms(None);
    let (mut tries, mut panics) = (0, 0);
    loop {
        match contained(doing, || open_once(&config, doing)) {
            Ok(Ok(opening)) => return Ok(opening),
            Ok(Err(error)) => {
                tries += 1;
                if tries >= TRIES {
                    return Err(locked(directory, error));
                }
                wait_for_the_lock();
            }
            // A disk that failed for a moment is no damage; what is damaged has sled panic again.
            Err(error) if is_panic(&error) && panics == 0 => panics += 1,
            Err(error) if is_panic(&error) => return Err(damaged(doing, error)),
            Err(error) => return Err(error),
        }
    }
}

/// The inner error is that somebody else has it.
fn open_once(config: &sled::Config, doing: &str) -> Result<Result<Opening, sled::Error>, StoreError> {
    let db = match config.open() {
        Ok(db) => db,
        Err(error) if is_locked(&error) => return Ok(Err(error)),
        Err(error) => return Err(opening_error(doing, error)),
    };
    // Not let go of before the trees, should those not open.
    let last = LastHold(Some(db.clone()));
    let (trees, named) = Trees::open(db)?;
    Ok(Ok((trees, last, named)))
}

fn damaged(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    let message = format!("{doing}: the store is damaged; remove its directory to begin anew");
    StoreError::new(StoreErrorKind::Corrupt, message).because(error)
}

/// An error of opening, where what sled does not recognise as its own is damage as well.
fn opening_error(doing: &str, error: sled::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, IsADirectory, UnexpectedEof};
    let is_damage = match &error {
        sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) | sled::Error::CollectionNotFound(_) => {
            true
        }
        sled::Error::Io(error) => matches!(error.kind(), InvalidData | IsADirectory | UnexpectedEof),
        sled::Error::Corruption { .. } => true,
    };
    if is_damage {
        damaged(doing, error)
    } else {
        sled_error(doing, error)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file lock tells nobody when it is given up: it can only be tried again"
)]
fn wait_for_the_lock() {
    std::thread::sleep(BETWEEN_TRIES);
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn locked(directory: &Path, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    let message = format!(
        "the cache in `{}` is locked by another process: wait for that one, or give this one a directory of its own (FLOWKIT_HOME, or `data_dir` in the builder)",
        directory.display()
    );
    StoreError::new(StoreErrorKind::Locked, message).because(error)
}

/// Renames what cannot be read, so that nothing is lost and a new store can begin.
fn set_aside(directory: &Path, why: &str) -> std::io::Result<PathBuf> {
    let aside = free_name(directory, &format!("sled.{why}"));
    fs::rename(directory.join("sled"), &aside)?;
    Ok(aside)
}

/// A name that is not taken, for what is set aside.
fn free_name(directory: &Path, name: &str) -> PathBuf {
    let free = (1u32..)
        .map(|number| directory.join(format!("{name}-{number}")))
        .find(|path| !path.exists());
    free.unwrap_or_else(|| directory.join(name))
}
