//! Opens the store of a directory beside the other processes that have it open.
//!
//! Every process that has the store open holds a shared lock on the file `users`, and the system gives it up with the process, however that ends.
//! Who gets that lock for itself alone, at opening, knows that nobody else is there. Only then are the files removed that no record names: while others
//! are there, such a file may be one that was just written and is about to be named. And only then is a store that is damaged, or of an older layout, renamed
//! aside, which would otherwise split those who have it open from those who open it next.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, ConcurrencyMode, Database};

use super::{Inner, redb_error, tables};
use crate::objects::Objects;
use crate::opened::Opened;
use crate::store::{StoreError, StoreErrorKind};

/// The version of the layout of the tables.
const LAYOUT: u64 = 2;
/// redb's own default is 1 GiB of memory.
const CACHE_SIZE: usize = 32 * 1024 * 1024;

static OPENED: Opened<Inner> = Opened::new();

pub(super) fn open(directory: &Path) -> Result<Arc<Inner>, StoreError> {
    let doing = format!("opening the cache in `{}`", directory.display());
    let io = |error| StoreError::io(&doing, error);
    // Beside what another store keeps in this directory.
    let ours = directory.join("redb");
    fs::create_dir_all(ours.join("objects")).map_err(io)?;
    let ours = ours.canonicalize().map_err(io)?;
    OPENED.get_or_open(&ours, || open_here(&ours, &doing))
}

fn open_here(directory: &Path, doing: &str) -> Result<Inner, StoreError> {
    let io = |error| StoreError::io(doing, error);
    let users = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(directory.join("users"))
        .map_err(io)?;
    let alone = match users.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => {
            // It waits only for one that is alone and just opening.
            users.lock_shared().map_err(io)?;
            false
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    };
    let (database, layout) = match open_database(directory, doing) {
        Err(error) if alone && error.kind() == StoreErrorKind::Corrupt => {
            let aside = set_aside(directory, "damaged").map_err(io)?;
            tracing::warn!(target: "flowkit_cache", aside = %aside.display(), "the cache was damaged: it was set aside, and a new one begun");
            open_database(directory, doing)?
        }
        Ok((database, layout)) if layout < LAYOUT && alone => {
            drop(database);
            let aside = set_aside(directory, "older").map_err(io)?;
            tracing::warn!(target: "flowkit_cache", aside = %aside.display(), "the cache was written by an older flowkit: it was set aside and may be deleted, and a new one begun");
            open_database(directory, doing)?
        }
        opened => opened?,
    };
    if layout != LAYOUT {
        return Err(StoreError::new(
            StoreErrorKind::Version,
            format!(
                "{doing}: a process of an older flowkit has it open (layout {layout}, this one writes {LAYOUT}); wait for that one, or give this one another directory"
            ),
        ));
    }
    let objects = Objects::new(directory.join("objects"));
    if alone {
        let named = tables::objects(&database).map_err(|error| redb_error(doing, error))?;
        objects.remove_orphans(&named).map_err(io)?;
        // Not in one step: who comes in between is alone, and finds nothing of ours that is not named.
        users.unlock().map_err(io)?;
        users.lock_shared().map_err(io)?;
    }
    Ok(Inner {
        directory: directory.to_owned(),
        database,
        objects,
        used: Default::default(),
        waiting: Default::default(),
        writing: Default::default(),
        _users: users,
    })
}

/// The database, and its layout, which is not newer than ours.
fn open_database(directory: &Path, doing: &str) -> Result<(Database, u64), StoreError> {
    let failed = |error: redb::Error| match error {
        // Not a database at all.
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            redb_error(doing, redb::Error::Corrupted(error.to_string()))
        }
        error => redb_error(doing, error),
    };
    let database = Builder::new()
        .set_concurrency_mode(ConcurrencyMode::MultiWriter)
        .set_cache_size(CACHE_SIZE)
        .create(directory.join("cache.redb"))
        .map_err(|error| failed(error.into()))?;
    let layout = tables::layout(&database, LAYOUT).map_err(failed)?;
    if layout > LAYOUT {
        return Err(StoreError::new(
            StoreErrorKind::Version,
            format!(
                "{doing}: a newer flowkit wrote it (layout {layout}, this one knows {LAYOUT}); update this program or give it another directory"
            ),
        ));
    }
    Ok((database, layout))
}

/// Renames what cannot be read, so that nothing is lost and a new store can begin.
fn set_aside(directory: &Path, why: &str) -> std::io::Result<PathBuf> {
    let free = (1u32..)
        .map(|number| directory.join(format!("cache.redb.{why}-{number}")))
        .find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| directory.join(format!("cache.redb.{why}")));
    fs::rename(directory.join("cache.redb"), &aside)?;
    Ok(aside)
}
