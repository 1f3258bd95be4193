//! A stream's batches, handed to work that blocks.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::StreamExt;
use futures::future::{Either, select};
use tokio::sync::mpsc;

use crate::blocking;
use crate::error::{Error, ErrorKind, Result};
use crate::stream::BatchStream;

/// How many batches wait for being written.
const WAITING: usize = 2;

/// Whether somebody still waits for the work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    abandoned: Arc<AtomicBool>,
}

impl Wanted {
    /// Nothing, if somebody does. To be asked before what was written is put in place: all batches may have been taken when a load is dropped.
    pub(crate) fn check(&self) -> Result<()> {
        match self.abandoned.load(Ordering::SeqCst) {
            true => Err(abandoned()),
            false => Ok(()),
        }
    }
}

/// Whoever waits for the work; until this is dropped.
struct Waiting(Wanted);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::SeqCst);
    }
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Io, "the load was abandoned before it was in place")
}

/// Batches as work that blocks takes them. After a stream of which not all came there is an error: an end means that it was whole.
pub(crate) struct Batches {
    pub(crate) schema: SchemaRef,
    pub(crate) wanted: Wanted,
    receiver: mpsc::Receiver<Option<Result<RecordBatch>>>,
    ended: bool,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self
            .receiver
            .blocking_recv()
            .unwrap_or_else(|| Some(Err(abandoned())));
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Runs `work` on the pool for blocking work, with the batches of a stream. If this future is dropped, the work is given an error, and told that it is not wanted any more.
pub(crate) async fn drain<T, W>(mut stream: BatchStream, work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce(Batches) -> Result<T> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let waiting = Waiting(Wanted::default());
    let batches = Batches {
        schema: stream.schema().clone(),
        wanted: waiting.0.clone(),
        receiver,
        ended: false,
    };
    let feed = async move {
        loop {
            // Where nobody takes them any more, the work says why, and not only once the source has the next one.
            let next = match select(pin!(sender.closed()), stream.next()).await {
                Either::Left(_) => return,
                Either::Right((next, _)) => next,
            };
            let Some(batch) = next else { break };
            if sender.send(Some(batch)).await.is_err() {
                return;
            }
        }
        drop(sender.send(None).await);
    };
    let (result, ()) = futures::join!(blocking::run(move || work(batches)), feed);
    result
}
