//! Where objects are, and how one is let in.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// How much of an object is held in memory at a time.
const CHUNK: usize = 8 << 20;
/// How many chunks are on their way at a time.
const IN_FLIGHT: usize = 4;

/// A bucket, or a part of one below a prefix: `s3://plants/lake`, `gs://plants/lake`, `az://plants/lake`.
///
/// What lets one in comes from the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, …), from where the program runs, or from a store that one made; it is shown nowhere. Requests that
/// fail are tried again by the store's own rules.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    root: Path,
    shown: String,
}

impl Bucket {
    /// The bucket at an address.
    ///
    /// # Errors
    /// When it is no such address, or the environment lacks what it needs.
    pub fn open(address: &str) -> Result<Self> {
        let (scheme, rest) = address.split_once("://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let wrong = |error: object_store::Error| {
            Error::new(
                ErrorKind::Options,
                format!("the bucket {scheme}://{bucket} cannot be opened"),
            )
            .because(error)
        };
        let store: Arc<dyn ObjectStore> = match scheme {
            _ if bucket.is_empty() => return Err(no_address()),
            "s3" => Arc::new(
                AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .build()
                    .map_err(wrong)?,
            ),
            "gs" => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .build()
                    .map_err(wrong)?,
            ),
            "az" => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_container_name(bucket)
                    .build()
                    .map_err(wrong)?,
            ),
            _ => return Err(no_address()),
        };
        Self::of(store, &format!("{scheme}://{bucket}"), prefix)
    }

    /// A store that one made, below a prefix. `shown` is what errors and results call it.
    ///
    /// # Errors
    /// When the prefix cannot be one.
    pub fn of(store: Arc<dyn ObjectStore>, shown: &str, prefix: &str) -> Result<Self> {
        let root = Path::parse(prefix.trim_end_matches('/')).map_err(|error| {
            Error::new(ErrorKind::Options, format!("{prefix:?} is no prefix of objects")).because(error)
        })?;
        let shown = if root.as_ref().is_empty() {
            shown.to_owned()
        } else {
            format!("{shown}/{root}")
        };
        Ok(Self { store, root, shown })
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The object of this name in the bucket's part.
    pub(crate) fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.root.clone(), Path::join)
    }

    /// What results call it.
    pub(crate) fn shown(&self) -> PathBuf {
        PathBuf::from(&self.shown)
    }

    /// What a store said against doing something.
    pub(crate) fn failed(&self, doing: &str, error: object_store::Error) -> Error {
        use object_store::Error as Of;
        let kind = match &error {
            Of::NotFound { .. } => ErrorKind::NotFound,
            Of::AlreadyExists { .. } | Of::Precondition { .. } => ErrorKind::Conflict,
            Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => ErrorKind::Access,
            Of::InvalidPath { .. }
            | Of::NotSupported { .. }
            | Of::NotImplemented { .. }
            | Of::UnknownConfigurationKey { .. } => ErrorKind::Options,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("cannot {doing} {}", self.shown)).because(error)
    }

    /// Puts a file there, chunk by chunk. It appears as a whole.
    pub(crate) async fn upload(&self, file: &FilePath, name: &str) -> Result<()> {
        let failed = |error| self.failed("write into", error);
        let opened = std::fs::File::open(file).map_err(|error| Error::io("read", file, error))?;
        let opened = Arc::new(std::sync::Mutex::new(opened));
        let upload = self.store.put_multipart(&self.path(name)).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        loop {
            let (opened, path) = (Arc::clone(&opened), file.to_owned());
            let chunk = crate::blocking::run(move || read_chunk(&opened, &path)).await?;
            if chunk.is_empty() {
                break;
            }
            upload.wait_for_capacity(IN_FLIGHT).await.map_err(failed)?;
            upload.write(&chunk);
        }
        upload.finish().await.map(drop).map_err(failed)
    }

    /// Gets an object into a file, chunk by chunk.
    pub(crate) async fn download(&self, name: &str, file: &FilePath) -> Result<()> {
        use std::io::Write as _;
        let failed = |error| self.failed("read from", error);
        let mut chunks = self
            .store
            .get(&self.path(name))
            .await
            .map_err(failed)?
            .into_stream();
        let created = std::fs::File::create(file).map_err(|error| Error::io("write", file, error))?;
        let created = Arc::new(Mutex::new(created));
        while let Some(chunk) = chunks.next().await {
            let (chunk, path) = (chunk.map_err(failed)?, file.to_owned());
            let mut created = Arc::clone(&created).lock_owned().await;
            crate::blocking::run(move || {
                created
                    .write_all(&chunk)
                    .map_err(|error| Error::io("write", &path, error))
            })
            .await?;
        }
        Ok(())
    }

    /// Removes an object. One that cannot be removed now is one that nobody reads.
    pub(crate) async fn remove(&self, name: &str) {
        if let Err(error) = self.store.delete(&self.path(name)).await {
            tracing::warn!(target: "flowkit_etl", %error, bucket = self.shown, object = name, "an object that nobody reads any more could not be removed");
        }
    }
}

fn read_chunk(file: &std::sync::Mutex<std::fs::File>, path: &FilePath) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut chunk = Vec::new();
    let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
    read.map_err(|error| Error::io("read", path, error))?;
    Ok(chunk)
}

fn no_address() -> Error {
    let message = "an address of a bucket begins with `s3://`, `gs://` or `az://`, and the bucket's name";
    Error::new(ErrorKind::Options, message)
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({self})")
    }
}
