//! The file in which records are kept for whoever comes after this process: a JSON line for each change, of which the last about a thing counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::alert::rfc3339;
use super::record::{AlertRecord, Listened, Remembering};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// How much is appended before the file is written anew, with what still counts.
const MOST_APPENDED: usize = 4 << 20;

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Entry {
    Alert {
        number: u64,
        #[serde(flatten)]
        record: Box<AlertRecord>,
    },
    /// A flow that has not succeeded since then.
    Quiet {
        flow: String,
        tags: Vec<String>,
        #[serde(with = "rfc3339")]
        quiet_since: SystemTime,
    },
}

impl Entry {
    pub(super) fn quiet((flow, tags): &Listened, since: SystemTime) -> Self {
        Self::Quiet {
            flow: flow.clone(),
            tags: tags.clone(),
            quiet_since: since,
        }
    }
}

/// What a file knows of earlier processes.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The first ones first.
    pub(super) records: Vec<AlertRecord>,
    pub(super) quiet: BTreeMap<Listened, SystemTime>,
}

impl Remembered {
    /// A line that cannot be read is none: the process may have died over it.
    fn of(text: &[u8], path: &Path) -> Self {
        let (mut records, mut quiet) = (BTreeMap::new(), BTreeMap::new());
        for (line, text) in (1_u64..).zip(text.split(|byte| *byte == b'\n')) {
            match serde_json::from_slice(text) {
                Ok(Entry::Alert { number, record }) => drop(records.insert(number, *record)),
                Ok(Entry::Quiet {
                    flow,
                    tags,
                    quiet_since,
                }) => drop(quiet.insert((flow, tags), quiet_since)),
                Err(_) if text.is_empty() => {}
                Err(error) => {
                    tracing::warn!(target: "flowkit_etl", path = %path.display(), line, %error, "a line of the records of alerts cannot be read");
                }
            }
        }
        Self {
            records: records.into_values().collect(),
            quiet,
        }
    }
}

/// The file, which one process at a time writes.
pub(super) struct History {
    path: PathBuf,
    /// Not there until all of it is written, and after a write that failed.
    file: Option<File>,
    appended: usize,
    /// Holds the lock.
    _locked: File,
}

impl History {
    /// Opens the file, and reads what is there.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Remembered)> {
        durable::make_directory(durable::directory_of(&path))?;
        let failed = |error| Error::io("keep records of alerts in", &path, error);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(&path, ".lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process keeps records of alerts in {}", path.display());
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(failed)?,
        };
        let remembered = Remembered::of(&text, &path);
        let history = Self {
            path,
            file: None,
            appended: 0,
            _locked: lock,
        };
        Ok((history, remembered))
    }

    /// Writes the file anew, so that it is there as a whole or as it was before.
    pub(super) fn rewrite(&mut self, entries: &[Entry]) -> Result<()> {
        let new = beside(&self.path, ".new");
        let failed = |error| Error::io("keep records of alerts in", &new, error);
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(&lines(entries)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        durable::rename(&new, &self.path)?;
        (self.file, self.appended) = (Some(file), 0);
        Ok(())
    }

    /// Appends, or writes all of it where that is due: after enough was appended, and after what failed.
    fn write(&mut self, entries: &[Entry], records: &Remembering) -> Result<()> {
        let is_due = self.file.is_none() || self.appended >= MOST_APPENDED;
        if is_due && let Some(all) = records.entries() {
            return self.rewrite(&all);
        }
        let failed = |error| Error::io("keep records of alerts in", &self.path, error);
        let Some(mut file) = self.file.take() else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let lines = lines(entries);
        let written = file.write_all(&lines).and_then(|()| file.sync_data());
        written.map_err(failed)?;
        self.appended += lines.len();
        self.file = Some(file);
        Ok(())
    }

    /// Writes what it is given, as long as somebody gives.
    pub(super) async fn follow(mut self, mut received: mpsc::UnboundedReceiver<Entry>, records: Remembering) {
        let mut entries = Vec::new();
        while received.recv_many(&mut entries, 256).await > 0 {
            match self.noted(std::mem::take(&mut entries), records.clone()).await {
                Some(history) => self = history,
                // It goes with the runtime.
                None => return,
            }
        }
        if self.file.is_none() {
            // What failed last may do now.
            self.noted(Vec::new(), records).await;
        }
    }

    async fn noted(mut self, entries: Vec<Entry>, records: Remembering) -> Option<Self> {
        let noted = tokio::task::spawn_blocking(move || {
            if let Err(error) = self.write(&entries, &records) {
                tracing::error!(target: "flowkit_etl", ?error, "records of alerts cannot be kept");
            }
            self
        });
        noted.await.ok()
    }
}

fn lines(entries: &[Entry]) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in entries {
        // All of it can be written as JSON.
        if let Ok(line) = serde_json::to_vec(entry) {
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
    }
    text
}

/// The path whose name goes on like this.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::record::Records;
    use crate::alerts::{Alert, Status};

    fn alert(summary: &str) -> Alert {
        Alert {
            status: Status::Raised,
            rule: "run failed".to_owned(),
            subject: "nightly".to_owned(),
            flow: "nightly".to_owned(),
            flow_run: None,
            flow_run_name: None,
            at: SystemTime::UNIX_EPOCH,
            summary: summary.to_owned(),
            details: String::new(),
            repeated: 0,
            held_back: 0,
        }
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_by_the_next_one_and_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        let (mut history, remembered) = History::open(path.clone()).unwrap();
        let (written, mut entries) = mpsc::unbounded_channel();
        let records = Records::new(10, remembered, Some(written));
        history.rewrite(&[]).unwrap();
        // Nothing can be written through this.
        history.file = Some(File::open(&path).unwrap());
        let told = || {
            let text = fs::read(&path).unwrap();
            Remembered::of(&text, &path).records.len()
        };
        let mut write = |history: &mut History, summary: &str| {
            records.add("chat", alert(summary), SystemTime::UNIX_EPOCH);
            let entry = entries.try_recv().unwrap();
            history.write(&[entry], &records.remembering())
        };
        assert!(write(&mut history, "one").is_err());
        assert_eq!(told(), 0);
        write(&mut history, "two").unwrap();
        assert_eq!(told(), 2);
        history.file = Some(File::open(&path).unwrap());
        assert!(write(&mut history, "three").is_err());
        let remembering = records.remembering();
        records.close();
        history.follow(entries, remembering).await;
        assert_eq!(told(), 3);
    }
}
