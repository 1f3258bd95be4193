//! What answers questions, each in a tokio task of its own.
//!
//! Whoever asks may stop polling the answer without dropping it, as a loop over `buffer_unordered` does while its body awaits something else. Polled by
//! them alone, it would keep one of the few connections from the next question, which may be what they await.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;

use super::dictionary::Dictionary;
use super::errors;
use super::objects::Objects;
use super::readers::Readers;
use crate::store::{JournalError, JournalResult};

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) directory: PathBuf,
    pub(super) file: PathBuf,
    objects: Objects,
    pub(super) readers: Readers,
    /// What readers know.
    pub(super) dictionary: Mutex<Arc<Dictionary>>,
}

impl Reading {
    pub(super) fn new(directory: PathBuf, file: PathBuf, readers: Readers) -> Self {
        Self {
            objects: Objects::new(directory.join("objects")),
            dictionary: Mutex::default(),
            directory,
            file,
            readers,
        }
    }

    pub(super) fn known(&self) -> Arc<Dictionary> {
        Arc::clone(&self.dictionary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does this where it may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Objects) -> std::io::Result<T> + Send + 'static,
    ) -> JournalResult<T> {
        let objects = self.objects.clone();
        let done = tokio::task::spawn_blocking(move || work(&objects)).await;
        let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        done.map_err(errors::failed_io(&self.directory, action))
    }

    /// Finds an answer beside whoever asks.
    pub(super) fn ask<'a, T, F>(
        self: &Arc<Self>,
        question: impl FnOnce(Arc<Self>) -> F,
    ) -> BoxFuture<'a, JournalResult<T>>
    where
        T: Send + 'static,
        F: Future<Output = JournalResult<T>> + Send + 'static,
    {
        let answer = question(Arc::clone(self));
        let reading = Arc::clone(self);
        async move {
            let Ok(tokio) = Handle::try_current() else {
                return answer.await;
            };
            let answered = tokio.spawn(answer).await;
            answered.unwrap_or_else(|ended| Err(reading.ended(&ended)))
        }
        .boxed()
    }

    fn ended(&self, why: &dyn Display) -> JournalError {
        JournalError::Io {
            path: self.file.clone(),
            action: "read",
            reason: why.to_string().into(),
        }
    }
}
