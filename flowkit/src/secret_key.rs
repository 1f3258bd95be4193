//! The key that secrets are hashed with: in a file of the data directory, or of the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flowkit_cache::SecretKey;

/// The file's name.
pub(crate) const FILE: &str = "secret.key";

type Key = [u8; 32];

/// The key of a runtime, which is read or made when it is first asked for.
pub(crate) struct RuntimeKey {
    file: Option<PathBuf>,
    key: OnceLock<Option<Key>>,
}

impl RuntimeKey {
    /// The key in this file; without one, that of the process.
    pub(crate) const fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            key: OnceLock::new(),
        }
    }
}

impl SecretKey for RuntimeKey {
    fn secret_key(&self) -> Option<Key> {
        *self.key.get_or_init(|| {
            let Some(file) = self.file.as_deref() else {
                return of_process();
            };
            read_or_make(file).map_or_else(
                |error| {
                    tracing::warn!(target: "flowkit", file = %file.display(), %error, "the key for secrets cannot be used: what was kept under secrets is not found");
                    of_process()
                },
                Some,
            )
        })
    }
}

/// The key of this process, for what does not outlive it.
pub(crate) struct ProcessKey;

impl SecretKey for ProcessKey {
    fn secret_key(&self) -> Option<Key> {
        of_process()
    }
}

fn of_process() -> Option<Key> {
    static KEY: OnceLock<Option<Key>> = OnceLock::new();
    *KEY.get_or_init(|| random().ok())
}

fn random() -> io::Result<Key> {
    let mut key = Key::default();
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

fn read_or_make(file: &Path) -> io::Result<Key> {
    match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    // Another process may make one at the same time: it appears whole, and the first stays.
    let draft = file.with_extension(format!("{}.draft", std::process::id()));
    let made = make(&draft).and_then(|()| fs::hard_link(&draft, file));
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => removed?,
    }
    if let Some(directory) = file.parent() {
        sync_directory(directory)?;
    }
    read(file)
}

fn read(file: &Path) -> io::Result<Key> {
    let mut bytes = Vec::new();
    File::open(file)?.take(33).read_to_end(&mut bytes)?;
    Key::try_from(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not 32 bytes long"))
}

/// Writes a new key, readable by nobody else.
fn make(draft: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(&random()?)?;
    file.sync_all()
}

/// Has the file's name survive a power failure, so that what is kept under the key can be found again.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_replaced_and_the_process_goes_on_with_its_own() {
        let directory = std::env::temp_dir().join(format!("flowkit-secret-key-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join(FILE);
        fs::write(&file, b"short").unwrap();
        let key = RuntimeKey::new(Some(file.clone()));
        assert_eq!(key.secret_key(), of_process());
        assert_eq!(fs::read(&file).unwrap(), b"short");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn many_at_once_find_one_key() {
        let directory = std::env::temp_dir().join(format!("flowkit-secret-keys-{}", std::process::id()));
        let file = directory.join(FILE);
        let keys: Vec<_> = (0..4)
            .map(|_| RuntimeKey::new(Some(file.clone())).secret_key())
            .collect();
        assert!(keys.iter().all(|key| key.is_some() && *key == keys[0]));
        assert_ne!(keys[0], of_process());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }
}
