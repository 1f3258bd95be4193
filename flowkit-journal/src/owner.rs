//! Who owns a data directory: one process at a time, by a lock that the system takes back when the process dies.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::identity::Identity;
use crate::record::Timestamp;
use crate::store::{JournalError, JournalResult};

/// The file in the directory that is locked, and says by whom.
const FILE: &str = "owner";
/// More than an owner's text is never read.
const LONGEST: u64 = 256;

/// That this runtime owns a data directory. Nobody else can take it until this is dropped or the process ends, however it ends.
pub struct Owner {
    directory: PathBuf,
    /// When it was taken.
    since: Timestamp,
    /// Holds the lock.
    file: Mutex<File>,
}

impl Owner {
    /// Takes a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`JournalError::Owned`] at once when another process has it, or another runtime of this one; [`JournalError::Io`] when the
    /// directory cannot be used.
    pub fn take(directory: impl AsRef<Path>, now: Timestamp) -> JournalResult<Self> {
        let directory = directory.as_ref();
        Ok(Self {
            directory: directory.to_owned(),
            since: now,
            file: Mutex::new(lock(directory, now)?),
        })
    }

    /// The process that has a directory now, if any has. Whoever only looks is in no owner's way.
    ///
    /// # Errors
    /// [`JournalError::Io`] when that cannot be told.
    pub fn of(directory: impl AsRef<Path>) -> JournalResult<Option<OwnedBy>> {
        let directory = directory.as_ref();
        let failed = |error: io::Error| JournalError::Io {
            path: directory.join(FILE),
            action: "read",
            reason: error.to_string().into(),
        };
        let mut file = match File::open(directory.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                drop(file.unlock());
                Ok(None)
            }
            Err(TryLockError::WouldBlock) => Ok(Some(signed(&mut file))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The process that had a directory last, as far as that is written there. Whether it still has it, only [`of`](Self::of) tells.
    pub fn last_of(directory: impl AsRef<Path>) -> Option<OwnedBy> {
        let mut file = File::open(directory.as_ref().join(FILE)).ok()?;
        let last = signed(&mut file);
        (last.pid != 0).then_some(last)
    }

    /// Sees to it that the directory is still ours. A file that was deleted is written anew, since nobody has taken the directory without one.
    ///
    /// # Errors
    /// [`JournalError::Displaced`] when another file lies there: another process has the directory, or had it.
    pub(crate) fn check(&self) -> JournalResult<()> {
        let path = self.directory.join(FILE);
        let failed = failed(&self.directory, "written");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match Identity::at(&path).map_err(&failed)? {
            Some(there) if there == Identity::of_open(&file).map_err(&failed)? => Ok(()),
            Some(_) => Err(JournalError::Displaced {
                path,
                how: "replaced",
                advice: "another process has taken the data directory, or had it: stop it, and start this program again".into(),
            }),
            None => {
                *file = lock(&self.directory, self.since)?;
                tracing::error!(target: "flowkit_journal", path = %path.display(), "the file that says who owns the data directory was deleted while this program owned it: it was written anew, and must be left alone as long as the program runs");
                Ok(())
            }
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A process that has a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedBy {
    /// The process; 0 if that is not known.
    pub pid: u32,
    /// When it took the directory, in RFC 3339.
    pub since: String,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started at this moment may have it open as well.
        drop(
            self.file
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .unlock(),
        );
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("directory", &self.directory)
            .finish()
    }
}

/// How often the lock is asked for while somebody is just looking who has it.
const ASKED: u32 = 1_000;

/// Takes the lock. Who looks shares it for an instant, and that refuses nobody.
fn seize(file: &File) -> Result<(), TryLockError> {
    for _ in 1..ASKED {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            locked => return locked,
        }
        // Where an owner has it, it cannot be shared.
        file.try_lock_shared()?;
        file.unlock().map_err(TryLockError::Error)?;
        std::thread::yield_now();
    }
    file.try_lock()
}

fn failed(directory: &Path, action: &'static str) -> impl Fn(io::Error) -> JournalError {
    move |error| JournalError::Io {
        path: directory.to_owned(),
        action,
        reason: error.to_string().into(),
    }
}

/// The file of a directory, which is made if it is not there, locked and signed.
fn lock(directory: &Path, since: Timestamp) -> JournalResult<File> {
    let failed = failed(directory, "opened");
    fs::create_dir_all(directory).map_err(&failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join(FILE))
        .map_err(&failed)?;
    match seize(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(owned(directory, &mut file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // A disk that is full must not keep anybody from what is on it: the lock counts, the text only tells.
    if let Err(error) = sign(&mut file, since) {
        tracing::warn!(target: "flowkit_journal", %error, directory = %directory.display(), "who owns the data directory could not be written down");
    }
    Ok(file)
}

/// Writes who we are. The text has the same length each time, so that nobody reads an end of another.
fn sign(file: &mut File, now: Timestamp) -> io::Result<()> {
    let since = humantime::format_rfc3339_seconds(clamped(now));
    let text = format!("{:<10} {since}\n", std::process::id());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// What can be written as RFC 3339: humantime panics at times before 1970 and after 9999.
fn clamped(Timestamp(micros): Timestamp) -> SystemTime {
    const YEAR_9999: i64 = 253_370_764_800_000_000;
    SystemTime::from(Timestamp(micros.clamp(0, YEAR_9999)))
}

fn owned(directory: &Path, file: &mut File) -> JournalError {
    let OwnedBy { pid, since } = signed(file);
    JournalError::Owned {
        path: directory.to_owned(),
        pid,
        since,
    }
}

/// Who is written in the file. What cannot be read is told as unknown.
fn signed(file: &mut File) -> OwnedBy {
    let mut text = String::new();
    drop(file.take(LONGEST).read_to_string(&mut text));
    let mut words = text.split_whitespace();
    OwnedBy {
        pid: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
        since: words.next().unwrap_or("an unknown time").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_700_000_000_000_000);

    #[test]
    fn two_runtimes_of_a_process_cannot_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("made/on/demand");
        let owner = Owner::take(&place, NOON).unwrap();
        assert_eq!(owner.directory(), place);
        let error = Owner::take(&place, NOON).unwrap_err();
        let JournalError::Owned { path, pid, since } = &error else {
            panic!("{error}")
        };
        assert_eq!(
            (path, *pid, since.as_str()),
            (&place, std::process::id(), "2023-11-14T22:13:20Z")
        );
        drop(owner);
        drop(Owner::take(&place, NOON).unwrap());
    }

    #[test]
    fn who_has_a_directory_is_told_and_looking_refuses_nobody() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Owner::of(directory.path()).unwrap(), None, "nobody ever had it");
        let owner = Owner::take(directory.path(), NOON).unwrap();
        let has = Owner::of(directory.path()).unwrap().unwrap();
        assert_eq!(
            (has.pid, has.since.as_str()),
            (std::process::id(), "2023-11-14T22:13:20Z")
        );
        drop(owner);
        assert_eq!(Owner::of(directory.path()).unwrap(), None);
        assert_eq!(Owner::last_of(directory.path()), Some(has));
        let (done, path) = (std::sync::atomic::AtomicBool::new(false), directory.path());
        let taken = std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        drop(Owner::of(path));
                    }
                });
            }
            let taken: Vec<_> = (0..300).map(|_| Owner::take(path, NOON).map(drop)).collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            taken
        });
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    }

    #[test]
    fn times_that_no_text_has_and_texts_that_nobody_wrote_are_no_trouble() {
        let directory = tempfile::tempdir().unwrap();
        for now in [i64::MIN, -1, i64::MAX] {
            drop(Owner::take(directory.path(), Timestamp(now)).unwrap());
        }
        let owner = Owner::take(directory.path(), NOON).unwrap();
        for text in [&b""[..], &[0xff; 10_000], b"x y z"] {
            fs::write(directory.path().join(FILE), text).unwrap();
            let error = Owner::take(directory.path(), NOON).unwrap_err();
            assert!(matches!(error, JournalError::Owned { .. }), "{error}");
        }
        drop(owner);
        drop(Owner::take(directory.path(), NOON).unwrap());
    }

    #[test]
    fn a_directory_whose_file_was_deleted_stays_ours() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::take(directory.path(), NOON).unwrap();
        owner.check().unwrap();
        fs::remove_file(directory.path().join(FILE)).unwrap();
        owner.check().unwrap();
        let error = Owner::take(directory.path(), NOON).unwrap_err();
        assert!(matches!(error, JournalError::Owned { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_another_took_is_no_longer_ours_even_when_that_one_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::take(directory.path(), NOON).unwrap();
        fs::remove_file(directory.path().join(FILE)).unwrap();
        let another = Owner::take(directory.path(), NOON).unwrap();
        let is_displaced = |error: &JournalError| matches!(error, JournalError::Displaced { .. });
        assert!(is_displaced(&owner.check().unwrap_err()));
        drop(another);
        assert!(is_displaced(&owner.check().unwrap_err()));
    }

    #[test]
    fn what_is_no_directory_is_a_typed_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Owner::take(&file, NOON).unwrap_err();
        assert!(
            matches!(error, JournalError::Io { action: "opened", .. }),
            "{error}"
        );
    }
}
