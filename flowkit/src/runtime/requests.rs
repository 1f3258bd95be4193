//! Requests from other processes: files in the data directory, which the runtime that owns it looks for while flow runs go on.
//!
//! The name of a file is the whole request: `requests/cancel-ID`. Whoever owns the directory takes it away when it has been heard, whether or not there was
//! such a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Runtime, RuntimeInner};
use crate::ids::FlowRunId;

/// How often the owner looks.
pub(crate) const PERIOD: Duration = Duration::from_millis(200);
const CANCEL: &str = "cancel-";

fn room(data_dir: &Path) -> PathBuf {
    data_dir.join("requests")
}

/// A request to cancel a run of another process.
#[derive(Debug)]
pub(crate) struct CancelRequest(PathBuf);

impl CancelRequest {
    /// Makes it.
    pub(crate) fn make(data_dir: &Path, run: FlowRunId) -> io::Result<Self> {
        let room = room(data_dir);
        fs::create_dir_all(&room)?;
        let file = room.join(format!("{CANCEL}{run}"));
        fs::write(&file, b"")?;
        Ok(Self(file))
    }

    /// Whether the owner has taken it.
    pub(crate) fn is_heard(&self) -> bool {
        !self.0.exists()
    }

    /// Takes it back.
    pub(crate) fn withdraw(self) {
        // It may have been heard in this very moment.
        drop(fs::remove_file(&self.0));
    }
}

/// What the runtime that owns a data directory looks for requests in.
#[derive(Debug)]
pub(super) struct Requests {
    room: PathBuf,
    looking: AtomicBool,
}

impl Requests {
    /// Of this directory. Requests that nobody heard were meant for a process that is gone: they are dropped.
    pub(super) fn of(data_dir: &Path) -> Self {
        let requests = Self {
            room: room(data_dir),
            looking: AtomicBool::new(false),
        };
        drop(requests.take());
        requests
    }

    /// The runs that are to be cancelled, each once.
    fn take(&self) -> Vec<FlowRunId> {
        let Ok(files) = fs::read_dir(&self.room) else {
            return Vec::new();
        };
        let requested = files.filter_map(Result::ok).filter_map(|file| {
            let name = file.file_name();
            let id = name.to_str()?.strip_prefix(CANCEL)?;
            let id = FlowRunId::from_u128(uuid::Uuid::parse_str(id).ok()?.as_u128());
            // One that cannot be taken away would be heard again and again, which changes nothing.
            drop(fs::remove_file(file.path()));
            Some(id)
        });
        requested.collect()
    }
}

impl RuntimeInner {
    /// Hears what is asked in the directory that the runtime owns.
    pub(super) fn own_requests(&self, data_dir: &Path) {
        // It is built once.
        let _ = self.requests.set(Requests::of(data_dir));
    }

    /// Looks for requests from now on, until no flow run goes on.
    pub(super) fn look_for_requests(self: &Arc<Self>) {
        let Some(requests) = self.requests.get() else {
            return;
        };
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if requests.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::downgrade(self);
        tokio.spawn(async move {
            loop {
                tokio::time::sleep(PERIOD).await;
                let Some(inner) = inner.upgrade() else { return };
                if !Runtime(inner).hear_requests() {
                    return;
                }
            }
        });
    }
}

impl Runtime {
    /// Does what is asked, and says whether there is still a run that something may be asked of.
    fn hear_requests(&self) -> bool {
        let Some(requests) = self.0.requests.get() else {
            return false;
        };
        for run in requests.take() {
            let found = self.cancel(run);
            tracing::info!(target: "flowkit", flow_run_id = %run, found, "another process asked for a flow run to be cancelled");
        }
        if self.running() > 0 {
            return true;
        }
        requests.looking.store(false, Ordering::Release);
        // One may have begun just before that, and seen us looking.
        self.running() > 0 && !requests.looking.swap(true, Ordering::AcqRel)
    }
}
