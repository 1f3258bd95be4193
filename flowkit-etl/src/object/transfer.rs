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
        let mut upload = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        while !chunk.is_empty() {
            let room = upload.wait_for_capacity(IN_FLIGHT).await.map_err(failed);
            let following = match room {
                Ok(()) => {
                    upload.write(&chunk);
                    next().await
                }
                Err(error) => Err(error),
            };
            match following {
                Ok(following) => chunk = following,
                Err(error) => {
                    // Parts that nobody puts together are paid for until somebody looks.
                    drop(upload.abort().await);
                    return Err(error);
                }
            }
        }
        upload.finish().await.map(drop).map_err(failed)
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

fn read_chunk(file: &Mutex<File>, path: &Path) -> Result<Vec<u8>> {
    let mut chunk = Vec::new();
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
    read.map_err(|error| Error::io("read", path, error))?;
    Ok(chunk)
}
