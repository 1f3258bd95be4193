//! Files into a bucket, and objects out of it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::{ObjectStoreExt as _, WriteMultipart};

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
        let mut upload = Unfinished(Some(WriteMultipart::new_with_chunk_size(upload, CHUNK)));
        let sent = async {
            while !chunk.is_empty() {
                if let Some(parts) = &mut upload.0 {
                    parts.wait_for_capacity(IN_FLIGHT).await.map_err(failed)?;
                    parts.write(&chunk);
                }
                chunk = next().await?;
            }
            // `finish` would leave the parts there if one of the last failed.
            match &mut upload.0 {
                Some(parts) => parts.wait_for_capacity(0).await.map_err(failed),
                None => Ok(()),
            }
        };
        let sent = sent.await;
        match (sent, upload.0.take()) {
            (Ok(()), Some(parts)) => parts.finish().await.map(drop).map_err(failed),
            (Err(error), Some(parts)) => {
                drop(parts.abort().await);
                Err(error)
            }
            (sent, None) => sent,
        }
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

/// An upload that did not come to its end. Parts that nobody puts together are paid for until somebody looks: so they are taken away, also if whoever waits for the upload does so no more.
struct Unfinished(Option<WriteMultipart>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some(parts), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { drop(parts.abort().await) });
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
