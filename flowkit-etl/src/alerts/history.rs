//! The file in which records are kept for whoever comes after this process: a JSON line for each change, of which the last about a thing counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::alert::rfc3339;
use super::record::{AlertRecord, Listened, Remembering};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// How much is appended before the file is written anew, with what still counts.
const MOST_APPENDED: usize = 4 << 20;

/// How long after a write that failed it is tried again, if nothing else is to be written.
const AGAIN: Duration = Duration::from_secs(60);

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

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.quiet.is_empty()
    }
}

/// The file, which one process at a time writes.
pub(super) struct History {
    path: PathBuf,
    /// Not there until all of it is written, and after a write that failed: then all of it is written next.
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
        if !text.trim_ascii().is_empty() && remembered.is_empty() {
            let message = format!(
                "{} has no records of alerts: name a file of their own",
                path.display()
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
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
        // Whatever of this fails, nobody knows which file has the name then.
        self.file = None;
        let new = beside(&self.path, ".new");
        let written = written(&new, &lines(entries)).and_then(|file| {
            durable::rename(&new, &self.path)?;
            Ok(file)
        });
        if written.is_err() {
            // It may be what fills the disk. If it was not made, it is not there.
            drop(fs::remove_file(&new));
        }
        (self.file, self.appended) = (Some(written?), 0);
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

    /// Writes what it is given, as long as somebody gives. What could not be written is tried again after a while, if nothing else comes.
    pub(super) async fn follow(mut self, mut received: mpsc::UnboundedReceiver<Entry>, records: Remembering) {
        let mut entries = Vec::new();
        loop {
            let more = received.recv_many(&mut entries, 256);
            let more = match self.file {
                Some(_) => Some(more.await),
                None => timeout(AGAIN, more).await.ok(),
            };
            if more == Some(0) {
                break;
            }
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

/// A new file of this text, which is on the disk.
fn written(path: &Path, text: &[u8]) -> Result<File> {
    let failed = |error| Error::io("keep records of alerts in", path, error);
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(file)
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
    use crate::alerts::fate::Fate;
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

    /// A file, and records that are to be written there.
    struct Story {
        directory: tempfile::TempDir,
        history: History,
        records: Records,
        entries: mpsc::UnboundedReceiver<Entry>,
    }

    impl Story {
        fn begin() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let (mut history, remembered) = History::open(directory.path().join("records.jsonl")).unwrap();
            let (written, entries) = mpsc::unbounded_channel();
            let records = Records::new(10, remembered, Some(written));
            history.rewrite(&[]).unwrap();
            Self {
                directory,
                history,
                records,
                entries,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn told(&self) -> usize {
            let path = self.path("records.jsonl");
            Remembered::of(&fs::read(&path).unwrap(), &path).records.len()
        }

        fn write(&mut self, summary: &str) -> Result<()> {
            let now = SystemTime::UNIX_EPOCH;
            self.records.add("chat", alert(summary), Fate::default(), now);
            let entry = self.entries.try_recv().unwrap();
            self.history.write(&[entry], &self.records.remembering())
        }

        /// Nothing can be written through this.
        fn break_file(&mut self) {
            self.history.file = Some(File::open(self.path("records.jsonl")).unwrap());
        }

        /// How many the file has at last.
        async fn end(self) -> usize {
            let path = self.path("records.jsonl");
            let remembering = self.records.remembering();
            self.records.close();
            self.history.follow(self.entries, remembering).await;
            Remembered::of(&fs::read(&path).unwrap(), &path).records.len()
        }
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_by_the_next_one_and_at_the_end() {
        let mut story = Story::begin();
        story.break_file();
        assert!(story.write("one").is_err());
        assert_eq!(story.told(), 0);
        story.write("two").unwrap();
        assert_eq!(story.told(), 2);
        story.break_file();
        assert!(story.write("three").is_err());
        assert_eq!(story.end().await, 3);
    }

    #[tokio::test]
    async fn what_could_not_be_written_anew_is_written_at_the_end() {
        let mut story = Story::begin();
        story.write("one").unwrap();
        story.history.appended = MOST_APPENDED;
        fs::create_dir(story.path("records.jsonl.new")).unwrap();
        assert!(story.write("two").is_err());
        assert_eq!(story.told(), 1);
        fs::remove_dir(story.path("records.jsonl.new")).unwrap();
        assert_eq!(story.end().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_tried_again_though_nothing_comes_after_it() {
        let mut story = Story::begin();
        story.break_file();
        assert!(story.write("one").is_err());
        let (path, remembering) = (story.path("records.jsonl"), story.records.remembering());
        let following = tokio::spawn(story.history.follow(story.entries, remembering));
        tokio::time::sleep(2 * AGAIN).await;
        assert_eq!(Remembered::of(&fs::read(&path).unwrap(), &path).records.len(), 1);
        story.records.close();
        following.await.unwrap();
    }

    #[tokio::test]
    async fn what_could_not_come_in_place_is_not_left_beside_it() {
        let mut story = Story::begin();
        fs::remove_file(story.path("records.jsonl")).unwrap();
        fs::create_dir(story.path("records.jsonl")).unwrap();
        story.history.appended = MOST_APPENDED;
        assert!(story.write("one").is_err());
        assert!(!story.path("records.jsonl.new").exists());
        fs::remove_dir(story.path("records.jsonl")).unwrap();
        assert_eq!(story.end().await, 1);
    }
}
