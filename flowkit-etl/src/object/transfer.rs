//! Files into a bucket, and objects out of it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::{MultipartUpload, ObjectStoreExt as _};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::object::Bucket;

/// How much of a file is held in memory at a time. One that is no larger is put by one request.
const CHUNK: usize = 8 << 20;
/// How many chunks are on their way at a time.
const IN_FLIGHT: usize = 4;

impl Bucket {
    /// Puts a file there, chunk by chunk. It appears as a whole.
    pub(crate) async fn upload(&self, file: &Path, name: &str) -> Result<()> {
        let what = format!("{self}/{name}");
        let failed = |error| self.failed("write", &what, &error);
        let place = self.path(name)?;
        let opened = File::open(file).map_err(|error| Error::io("read", file, error))?;
        let opened = Arc::new(Mutex::new(opened));
        let next = || {
            let (opened, path) = (Arc::clone(&opened), file.to_owned());
            crate::blocking::run(move || read_chunk(&opened, &path))
        };
        let mut chunk = next().await?;
        if chunk.len() < CHUNK {
            let put = self.store().put(&place, chunk.into()).await;
            return put.map(drop).map_err(failed);
        }
        let upload = self.store().put_multipart(&place).await.map_err(failed)?;
        let mut upload = Unfinished(Some(Parts {
            upload,
            under_way: JoinSet::new(),
        }));
        let sent = async {
            while !chunk.is_empty() {
                if let Some(parts) = &mut upload.0 {
                    parts.wait_until_fewer_than(IN_FLIGHT).await.map_err(failed)?;
                    parts.under_way.spawn(parts.upload.put_part(chunk.into()));
                }
                chunk = next().await?;
            }
            match &mut upload.0 {
                Some(parts) => parts.wait_until_fewer_than(1).await.map_err(failed),
                None => Ok(()),
            }
        };
        let sent = sent.await;
        // From here on it may be there as a whole, also if nobody waits for the answer.
        let Some(mut parts) = upload.0.take() else {
            return sent;
        };
        let put = match sent {
            Ok(()) => parts.upload.complete().await.map(drop).map_err(failed),
            Err(error) => Err(error),
        };
        if put.is_err() {
            // Also if nobody waits for it any more.
            drop(tokio::spawn(parts.abort()).await);
        }
        put
    }

    /// Removes an object. One that cannot be removed now is one that nobody reads.
    pub(crate) async fn remove(&self, name: &str) {
        let removed = match self.path(name) {
            Ok(path) => self
                .store()
                .delete(&path)
                .await
                .map_err(|error| self.failed("remove", name, &error)),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(target: "flowkit_etl", %error, bucket = %self, object = name, "an object that nobody reads any more could not be removed");
        }
    }
}

/// An upload, and those of its parts that are on their way.
struct Parts {
    upload: Box<dyn MultipartUpload>,
    under_way: JoinSet<object_store::Result<()>>,
}

impl Parts {
    /// Waits until so few of them are on their way, or one of them failed.
    async fn wait_until_fewer_than(&mut self, most: usize) -> object_store::Result<()> {
        while self.under_way.len() >= most {
            match self.under_way.join_next().await {
                Some(sent) => sent??,
                None => break,
            }
        }
        Ok(())
    }

    async fn abort(mut self) {
        // One that arrived later would stay.
        self.under_way.shutdown().await;
        drop(self.upload.abort().await);
    }
}

/// An upload that did not come to its end. Parts that nobody puts together are paid for until somebody looks: so they are taken away, also if whoever waits for the upload does so no more.
struct Unfinished(Option<Parts>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some(parts), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(parts.abort());
        }
    }
}

fn read_chunk(file: &Mutex<File>, path: &Path) -> Result<Vec<u8>> {
    let mut chunk = Vec::new();
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
    read.map_err(|error| Error::io("read", path, error))?;
    Ok(chunk)
}
