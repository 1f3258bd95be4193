//! Where a run keeps what passes between its stages.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flowkit::{Clock as _, SystemClock};

use crate::durable;
use crate::error::{Error, Result};

/// How the names of these directories begin.
const PREFIX: &str = "flowkit-pipeline-";
/// How the names of those begin that are kept, so that nobody takes them for abandoned, wherever they are.
const KEPT: &str = "flowkit-kept-pipeline-";
/// The file whose lock says that the run is alive.
const LOCK: &str = ".lock";
/// What is left of a process that died is left to whoever resumes its runs, for so long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A directory for one life of a run, and for its user alone. It goes with this, unless it is kept for a life that comes after it.
#[derive(Debug)]
pub(super) struct Workplace {
    directory: PathBuf,
    /// How the names of those of all lives of the run begin.
    run: String,
    keep: bool,
    /// Holds the lock, where it is not kept.
    _locked: Option<File>,
}

impl Workplace {
    /// A new one: in this directory, where it is kept until the run has succeeded, or in that of the system for temporary files.
    pub(super) async fn of(run: String, within: Option<PathBuf>) -> Result<Self> {
        crate::blocking::run(move || match within {
            Some(root) => Self::within(&root, &run, true),
            None => {
                let root = std::env::temp_dir();
                clear_abandoned(&root);
                Self::within(&root, &run, false)
            }
        })
        .await
    }

    fn within(root: &Path, run: &str, keep: bool) -> Result<Self> {
        durable::make_directory(root)?;
        let prefix = if keep { KEPT } else { PREFIX };
        let run = format!("{prefix}{run}-");
        let directory = root.join(format!("{run}{:016x}", fastrand::u64(..)));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let failed = |error| Error::io("make the directory", &directory, error);
        builder.create(&directory).map_err(failed)?;
        let locked = || {
            let lock = File::create_new(directory.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        // Nothing clears away what is kept, and where that is there may be no locks.
        let locked = if keep {
            None
        } else {
            Some(locked().map_err(|error| Error::io("lock the directory", &directory, error))?)
        };
        Ok(Self {
            directory,
            run,
            keep,
            _locked: locked,
        })
    }

    /// Where a stage puts what it makes.
    pub(super) fn file(&self, stage: &str) -> PathBuf {
        self.directory.join(format!("{stage}.parquet"))
    }

    /// Whether a file of this life or of an earlier one is still there. What somebody else has put in its place is not.
    pub(super) fn has(&self, file: &Path) -> bool {
        let directory = durable::directory_of(file);
        file.is_file() && (directory == self.directory || is_of_one_user(directory, &self.directory))
    }

    /// The run has succeeded: nothing of it is needed any more, in any of the directories of its lives, among them those of these files.
    pub(super) fn clear<'a>(&self, files: impl Iterator<Item = &'a PathBuf>) {
        let of_files = files.map(|file| durable::directory_of(file).to_owned());
        let of_run = names_in(durable::directory_of(&self.directory), &self.run);
        for directory in of_files.filter(|directory| is_workplace(directory)).chain(of_run) {
            remove(&directory);
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let is_empty = || {
            names_in(&self.directory, "")
                .iter()
                .all(|path| path.ends_with(LOCK))
        };
        if !self.keep || is_empty() {
            remove(&self.directory);
        }
    }
}

fn is_workplace(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) || name.starts_with(KEPT.as_bytes())
}

/// What in a directory has a name that begins so.
fn names_in(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(prefix.as_bytes())
    });
    named.map(|entry| entry.path()).collect()
}

#[cfg(unix)]
fn is_of_one_user(directory: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let user = |path: &Path| fs::symlink_metadata(path).map(|metadata| metadata.uid());
    matches!((user(directory), user(other)), (Ok(one), Ok(two)) if one == two)
}

#[cfg(not(unix))]
fn is_of_one_user(_: &Path, _: &Path) -> bool {
    true
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(target: "flowkit_etl", %error, directory = %directory.display(), "what passed between stages could not be removed");
    }
}

/// Clears away what is left of processes that died, and of whose runs nobody has wanted anything since.
fn clear_abandoned(root: &Path) {
    let Some(long_ago) = SystemClock.now().checked_sub(ABANDONED_AFTER) else {
        return;
    };
    for directory in names_in(root, PREFIX) {
        let changed = fs::symlink_metadata(&directory).and_then(|metadata| metadata.modified());
        if changed.is_ok_and(|changed: SystemTime| changed < long_ago) {
            clear_unless_locked(&directory);
        }
    }
}

fn clear_unless_locked(directory: &Path) {
    let lock = File::options().write(true).open(directory.join(LOCK));
    let is_free = match &lock {
        Ok(lock) => lock.try_lock().is_ok(),
        // It died before it had one, and anything else; or it is another user's.
        Err(error) => error.kind() == io::ErrorKind::NotFound && names_in(directory, "").is_empty(),
    };
    if is_free {
        remove(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(root: &Path, run: &str, age: Duration) -> PathBuf {
        let directory = root.join(format!("{PREFIX}{run}-0"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(LOCK), "").unwrap();
        fs::write(directory.join("extract.parquet"), "").unwrap();
        age_by(&directory, age);
        directory
    }

    fn age_by(directory: &Path, age: Duration) {
        let then = SystemClock.now() - age;
        File::open(directory).unwrap().set_modified(then).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_left_of_dead_processes_is_cleared_away_after_a_day_and_what_is_in_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let (recent, old) = (
            made(root.path(), "recent", Duration::from_secs(60)),
            made(root.path(), "old", 2 * ABANDONED_AFTER),
        );
        let foreign = root.path().join("flowkit-other");
        fs::create_dir(&foreign).unwrap();
        age_by(&foreign, 2 * ABANDONED_AFTER);
        let alive = Workplace::within(root.path(), "alive", false).unwrap();
        age_by(&alive.directory, 2 * ABANDONED_AFTER);
        let kept = Workplace::within(root.path(), "kept", true).unwrap();
        age_by(&kept.directory, 2 * ABANDONED_AFTER);
        let unlocked = root.path().join(format!("{PREFIX}unlocked-0"));
        fs::create_dir(&unlocked).unwrap();
        age_by(&unlocked, 2 * ABANDONED_AFTER);
        clear_abandoned(root.path());
        assert!(!old.exists() && !unlocked.exists());
        // Its first stage may take longer than a day.
        assert!(kept.directory.exists() && is_workplace(&kept.directory));
        assert!(recent.exists() && foreign.exists() && alive.directory.exists());
        let gone = alive.directory.clone();
        drop(alive);
        assert!(!gone.exists());
    }

    #[test]
    fn a_run_that_has_succeeded_leaves_nothing_of_any_of_its_lives() {
        let root = tempfile::tempdir().unwrap();
        let first = Workplace::within(root.path(), "a", true).unwrap();
        let elsewhere = made(root.path(), "b", Duration::ZERO);
        let file = first.file("extract");
        fs::write(&file, "").unwrap();
        drop(first);
        let second = Workplace::within(root.path(), "a", true).unwrap();
        assert!(second.has(&file) && !second.has(&second.file("extract")));
        second.clear([file].iter());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert!(elsewhere.exists());
    }
}
