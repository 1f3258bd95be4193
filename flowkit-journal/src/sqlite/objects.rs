//! Large results: one file each, named by its content, written and synced before a row names it, unlinked after no row does.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest result that is kept in its row, in bytes.
pub(super) const INLINE: usize = 4 * 1024;

/// The name of a result: BLAKE3 of what is in it.
pub(super) type Name = [u8; 32];

pub(super) fn name_of(bytes: &[u8]) -> Name {
    *blake3::hash(bytes).as_bytes()
}

/// The directory of large results.
#[derive(Debug, Clone)]
pub(super) struct Objects(PathBuf);

impl Objects {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The folder and the file of a result.
    fn place(&self, name: &Name) -> (PathBuf, PathBuf) {
        let digits = blake3::Hash::from_bytes(*name).to_hex();
        let (folder, file) = digits.split_at(2);
        let folder = self.0.join(folder);
        let file = folder.join(file);
        (folder, file)
    }

    /// Writes results, each whole or not at all, so that they survive a power failure. One that is there is written anew if it is damaged.
    pub(super) fn write(&self, results: &[(Name, Arc<[u8]>)]) -> io::Result<()> {
        let results: HashMap<&Name, &Arc<[u8]>> = results.iter().map(|(name, bytes)| (name, bytes)).collect();
        let mut folders = HashSet::new();
        for (name, bytes) in results {
            let (folder, file) = self.place(name);
            if is_there(&file, bytes) {
                // Whoever wrote it may have died before it was synced.
                File::options().write(true).open(&file)?.sync_all()?;
            } else {
                write_whole(&folder, &file, bytes)?;
            }
            folders.insert(folder);
        }
        for folder in &folders {
            sync_directory(folder)?;
        }
        if !folders.is_empty() {
            sync_directory(&self.0)?;
        }
        Ok(())
    }

    /// A result, if it is what was written.
    pub(super) fn read(&self, name: &Name) -> io::Result<Option<Vec<u8>>> {
        let bytes = match fs::read(self.place(name).1) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((name_of(&bytes) == *name).then_some(bytes))
    }

    /// Removes files. One that cannot be removed is found again when somebody begins next.
    pub(super) fn unlink(&self, names: &[Name]) {
        for name in names {
            drop(fs::remove_file(self.place(name).1));
        }
    }

    /// Removes the files that no row names: a process ended between writing one and naming it, or between forgetting one and unlinking
    /// it. Files of other names are somebody else's.
    pub(super) fn remove_orphans(&self, named: &HashSet<Name>) -> io::Result<()> {
        let folders = match fs::read_dir(&self.0) {
            Ok(folders) => folders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for folder in folders {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let (prefix, rest) = (folder.file_name(), file.file_name());
                let (prefix, rest) = (prefix.to_string_lossy(), rest.to_string_lossy());
                let (digits, is_half) = match rest.strip_suffix(".new") {
                    Some(digits) => (digits, true),
                    None => (&*rest, false),
                };
                let Ok(hash) = blake3::Hash::from_hex(format!("{prefix}{digits}")) else {
                    continue;
                };
                if prefix.len() == 2 && (is_half || !named.contains(hash.as_bytes())) {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a file has these bytes and no others.
fn is_there(file: &Path, bytes: &[u8]) -> bool {
    // One that cannot be read is damaged, or whoever writes it anew is told why.
    fs::read(file).is_ok_and(|there| there == bytes)
}

/// Writes a file that is there whole or not at all.
fn write_whole(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = file.with_extension("new");
    let written = write_synced(&new, bytes).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // A disk that is full must not keep halves.
        drop(fs::remove_file(&new));
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a directory durable. On systems where a directory cannot be opened as a file, the names are the file system's to keep.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}
