//! Why a command was not done, and the exit code that goes with it.

use flowkit_cache::StoreError;
use flowkit_journal::JournalError;

use super::Exit;
use crate::error::{Error, ErrorKind};

/// What ends a command before its time.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) exit: Exit,
    pub(super) said: Said,
}

/// What is printed.
#[derive(Debug)]
pub(super) enum Said {
    /// An error, on standard error.
    Error(String),
    /// What clap has to say, which may be help that was asked for.
    Clap(Box<clap::Error>),
}

impl Trouble {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            said: Said::Error(message.into()),
        }
    }

    /// What was typed cannot be meant.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// It was tried, and failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The data directory cannot be used.
    pub(super) fn store(message: impl Into<String>) -> Self {
        Self::new(Exit::Store, message)
    }

    /// Why a runtime could not be built, or takes no run.
    pub(super) fn of_runtime(error: &Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Input => Exit::Usage,
            ErrorKind::Build | ErrorKind::Journal => Exit::Store,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<clap::Error> for Trouble {
    fn from(error: clap::Error) -> Self {
        let exit = if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Completed
        };
        Self {
            exit,
            said: Said::Clap(Box::new(error)),
        }
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::store(error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::store(error.to_string())
    }
}
