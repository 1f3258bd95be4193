//! Files that lie elsewhere: an object of a store, what is at an address of HTTP. They are read by work that blocks, while a task of tokio's brings what comes next.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};

/// A file that lies elsewhere. What is read of it is all of one version, or ends in an error.
#[cfg_attr(
    not(feature = "parquet"),
    allow(dead_code, reason = "only of Parquet files parts are read")
)]
pub(crate) trait Remote: Send + Sync + fmt::Debug {
    /// What errors call it. There is no secret in it.
    fn name(&self) -> &str;

    /// All of it from the beginning, piece by piece, as they are asked for. It ends without an error only after the last byte.
    fn stream(self: Arc<Self>) -> BoxStream<'static, Result<Bytes>>;

    /// How many bytes it has, if parts of it can be asked for.
    fn length(&self) -> BoxFuture<'_, Result<Option<u64>>>;

    /// A part of it. Only asked for if it has a [`length`](Self::length).
    fn range(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>>;
}

/// Waits for a future on a thread that may block, within a runtime.
#[cfg_attr(
    not(feature = "parquet"),
    allow(dead_code, reason = "only of Parquet files parts are read")
)]
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move { drop(sender.send(future.await)) });
    receiver.blocking_recv().unwrap_or_else(|_| Err(abandoned()))
}

fn abandoned() -> Error {
    Error::new(
        ErrorKind::Io,
        "the reading was abandoned, since the program is shutting down",
    )
}

/// The pieces of a file, for work that blocks. One is worked on while the next one is brought.
pub(crate) struct Pieces {
    /// Nothing is the end; that nobody sends any more is none.
    pieces: mpsc::Receiver<Option<Result<Bytes>>>,
    ended: bool,
    task: JoinHandle<()>,
}

impl Pieces {
    /// Begins to bring them. Must be called within a runtime.
    pub(crate) fn new(remote: Arc<dyn Remote>) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let mut stream = remote.stream();
            // Nothing is brought before there is room for it.
            while let Ok(room) = sender.reserve().await {
                let piece = stream.next().await;
                let last = !matches!(piece, Some(Ok(_)));
                room.send(piece);
                if last {
                    return;
                }
            }
        });
        Self {
            pieces,
            ended: false,
            task,
        }
    }

    /// The next one; none after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let next = self
            .pieces
            .blocking_recv()
            .unwrap_or_else(|| Some(Err(abandoned())));
        self.ended = !matches!(next, Some(Ok(_)));
        next.transpose()
    }
}

/// Nobody takes them any more: nothing is brought.
impl Drop for Pieces {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The bytes of a file, for what reads and blocks.
pub(crate) struct RemoteReader {
    pieces: Pieces,
    piece: Bytes,
}

impl RemoteReader {
    /// Begins to bring it. Must be called within a runtime.
    pub(crate) fn new(remote: Arc<dyn Remote>) -> Self {
        Self {
            pieces: Pieces::new(remote),
            piece: Bytes::new(),
        }
    }
}

impl Read for RemoteReader {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.next().map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = room.len().min(self.piece.len());
        let taken = self.piece.split_to(length);
        if let Some(room) = room.get_mut(..length) {
            room.copy_from_slice(&taken);
        }
        Ok(length)
    }
}
