//! How far the log went, written down beside it after each batch. A log that was cut short looks like one that never was longer: only who knows how
//! long it was can tell.
//!
//! The note is never synced, and need not be. The death of the process leaves what was written of it; after a power failure it may be an older one,
//! which says less, and never one that says more, since it is written after what it speaks of was synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use sqlx::{Row, SqliteConnection};

use super::files::{LOG, NOTE, beside, length};
use super::log::{HEADER, salts_of};

/// How long the note is.
const NOTED: usize = 16;

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// What tells this round of the log from those before it.
    pub(super) salts: [u8; 8],
    /// How many frames it has.
    pub(super) frames: u32,
}

impl End {
    /// What was noted beside the log of a database; `None` when nothing was, or something else.
    pub(super) fn noted(file: &Path) -> Option<Self> {
        let mut note = [0; NOTED];
        let mut noted = File::open(beside(file, NOTE)).ok()?;
        noted.read_exact(&mut note).ok()?;
        let frames = u32::from_le_bytes(part(&note, 8)?);
        let again = u32::from_le_bytes(part(&note, 12)?);
        (again == !frames).then_some(Self {
            salts: part(&note, 0)?,
            frames,
        })
    }

    fn to_bytes(self) -> [u8; NOTED] {
        let mut note = [0; NOTED];
        let parts = [self.frames.to_le_bytes(), (!self.frames).to_le_bytes()].concat();
        let bytes = self.salts.into_iter().chain(parts);
        note.iter_mut().zip(bytes).for_each(|(into, byte)| *into = byte);
        note
    }
}

/// Some of the bytes from one on.
fn part<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..from + N)?.try_into().ok()
}

/// How many frames the log of an open database has; `None` when it has no log.
///
/// SQLite is asked. Its index, which says so too, must not be opened: closing a file drops all locks that the process has on it, and those on the index keep others from
/// taking it for their own.
pub(super) async fn frames(connection: &mut SqliteConnection) -> Result<Option<u32>, sqlx::Error> {
    // It counts and does nothing.
    let row = sqlx::query("PRAGMA wal_checkpoint(NOOP)")
        .fetch_one(connection)
        .await?;
    Ok(u32::try_from(row.try_get::<i64, _>(1)?).ok())
}

/// Notes that the log of a database has so many frames now. SQLite locks nothing in the log itself.
///
/// # Errors
/// When that cannot be read or written. What was committed is so regardless.
pub(super) fn note(file: &Path, frames: u32) -> io::Result<()> {
    let mut header = [0; HEADER];
    File::open(beside(file, LOG))?.read_exact(&mut header)?;
    let Some(salts) = salts_of(&header) else {
        return Ok(());
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(beside(file, NOTE))?
        .write_all(&End { salts, frames }.to_bytes())
}

/// Takes the note away, where the log is gone as well.
pub(super) fn forget(file: &Path) {
    if length(&beside(file, LOG)) == 0 {
        drop(fs::remove_file(beside(file, NOTE)));
    }
}
