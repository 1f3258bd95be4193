//! Replacing files, several together: a reader sees a whole former file or a whole new one, and a failure changes none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::{NamedTempFile, TempPath};
use thiserror::Error;

/// Why files were not written.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    #[error("cannot make the directory {}", dir.display())]
    MakeDirectory { dir: PathBuf, source: io::Error },
    /// All files are as they were before.
    #[error("cannot write {}", file.display())]
    Write { file: PathBuf, source: io::Error },
    /// The disk refused twice: `file` is new although the others are not.
    #[error("cannot put back the former {}", file.display())]
    PutBack { file: PathBuf, source: io::Error },
}

/// Write each of `files`, a path and what it is to hold, in place of the file that is there, if any.
///
/// All of them are written and synced under temporary names beside their targets before the first is renamed. When a
/// renaming fails, those already renamed are put back. Directories that do not exist are made.
pub(crate) fn replace_files(files: &[(PathBuf, Vec<u8>)]) -> Result<(), WriteError> {
    let mut staged = Vec::with_capacity(files.len());
    for (target, content) in files {
        let dir = directory_of(target);
        fs::create_dir_all(dir).map_err(|source| WriteError::MakeDirectory {
            dir: dir.to_owned(),
            source,
        })?;
        sweep(dir, ABANDONED);
        staged.push(stage(target, content).map_err(|source| WriteError::Write {
            file: target.clone(),
            source,
        })?);
    }
    put_in_place(staged)
}

/// How old a temporary file must be for nobody to be writing it any more.
const ABANDONED: Duration = Duration::from_secs(3600);
const PREFIXES: [&str; 2] = [".writing-", ".former-"];

/// Remove the temporary files of runs that were killed while they wrote. What cannot be removed is left to the next run.
fn sweep(dir: &Path, age: Duration) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name
            .to_str()
            .is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|since| since >= age));
        if is_ours && is_old {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// A new file that waits beside its target, and the former one under a second name.
struct Staged {
    target: PathBuf,
    new: NamedTempFile<File>,
    former: Option<TempPath>,
}

fn stage(target: &Path, content: &[u8]) -> io::Result<Staged> {
    // `tempfile()` would make a file that only its owner may read; this one is to become an ordinary file.
    let mut new = tempfile::Builder::new()
        .prefix(".writing-")
        .make_in(directory_of(target), |name| File::create_new(name))?;
    new.as_file_mut().write_all(content)?;
    new.as_file().sync_all()?;
    Ok(Staged {
        target: target.to_owned(),
        new,
        former: second_name(target)?,
    })
}

/// Another name for the file at `target`, under which it outlives a renaming; none when there is no file.
fn second_name(target: &Path) -> io::Result<Option<TempPath>> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(_) => {}
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".former-");
    let linked = builder.make_in(directory_of(target), |name| fs::hard_link(target, name));
    // Some file systems have no second names: a copy will do.
    let kept = linked
        .or_else(|_| builder.make_in(directory_of(target), |name| fs::copy(target, name).map(|_| ())))?;
    Ok(Some(kept.into_temp_path()))
}

fn put_in_place(staged: Vec<Staged>) -> Result<(), WriteError> {
    let mut done = Vec::with_capacity(staged.len());
    for Staged { target, new, former } in staged {
        let renamed = new.persist(&target).map(|_| ()).map_err(|error| error.error);
        let failure = match renamed {
            Ok(()) => {
                let synced = sync_directory(directory_of(&target));
                done.push((target.clone(), former));
                synced.err()
            }
            Err(error) => Some(error),
        };
        if let Some(source) = failure {
            put_back(done)?;
            return Err(WriteError::Write { file: target, source });
        }
    }
    Ok(())
}

fn put_back(done: Vec<(PathBuf, Option<TempPath>)>) -> Result<(), WriteError> {
    for (target, former) in done {
        let restored = match former {
            Some(former) => former.persist(&target).map_err(|error| error.error),
            None => fs::remove_file(&target),
        };
        restored.map_err(|source| WriteError::PutBack { file: target, source })?;
    }
    Ok(())
}

/// Make the new names outlast a power cut.
fn sync_directory(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

fn directory_of(target: &Path) -> &Path {
    target
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_run_left_behind_is_removed_once_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".writing-a1", ".former-b2", "plants.csv", ".hidden"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        sweep(dir.path(), ABANDONED);
        assert_eq!(names(dir.path()).len(), 4, "somebody may be writing them");
        sweep(dir.path(), Duration::ZERO);
        assert_eq!(names(dir.path()), [".hidden", "plants.csv"]);
    }

    #[test]
    fn files_are_made_and_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("new/a"), dir.path().join("new/b"));
        for content in ["one", "two"] {
            replace_files(&[(a.clone(), content.into()), (b.clone(), content.into())]).unwrap();
            assert_eq!(fs::read_to_string(&a).unwrap(), content);
            assert_eq!(fs::read_to_string(&b).unwrap(), content);
            assert_eq!(names(&dir.path().join("new")), ["a", "b"]);
        }
    }

    #[test]
    fn when_the_second_file_cannot_be_written_the_first_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "former").unwrap();
        fs::create_dir(&b).unwrap();
        let error = replace_files(&[(a.clone(), "new".into()), (b.clone(), "new".into())]).unwrap_err();
        assert!(
            matches!(&error, WriteError::Write { file, .. } if *file == b),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&a).unwrap(), "former");
        assert_eq!(names(dir.path()), ["a", "b"]);
    }

    #[test]
    fn when_the_second_renaming_fails_the_first_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, made, broken) = (
            dir.path().join("kept"),
            dir.path().join("made"),
            dir.path().join("broken"),
        );
        fs::write(&kept, "former").unwrap();
        let staged = [&kept, &made, &broken]
            .map(|target| stage(target, b"new").unwrap())
            .into_iter()
            .collect::<Vec<_>>();
        fs::create_dir(&broken).unwrap();
        let error = put_in_place(staged).unwrap_err();
        assert!(
            matches!(&error, WriteError::Write { file, .. } if *file == broken),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&kept).unwrap(), "former");
        assert_eq!(names(dir.path()), ["broken", "kept"]);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = replace_files(&[(file.join("a"), "new".into())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot make the directory {}", file.display())
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        replace_files(&[(ours.clone(), "x".into())]).unwrap();
        fs::write(&theirs, "x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(theirs));
    }
}
