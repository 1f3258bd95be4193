//! An object as a file that is read: of one version, part by part, so that no request waits for what is done with an earlier one.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStoreExt as _};

use crate::error::{Error, ErrorKind, Result};
use crate::object::Bucket;
use crate::remote::Remote;

/// How much of an object is asked for at a time, and held in memory.
const PIECE: u64 = 8 << 20;

/// An object as it was when it was found.
pub(crate) struct BucketFile {
    bucket: Bucket,
    path: Path,
    name: String,
    bytes: u64,
    /// What says which version was found. Some stores list no tags, and Azure lists them without the quotes that belong to them.
    found: Option<String>,
    /// The same as the first answer had it, which is what the store understands.
    answered: OnceLock<String>,
    modified: Option<DateTime<Utc>>,
}

impl Bucket {
    /// An object that was found here, to be read.
    pub(crate) fn file(&self, meta: ObjectMeta) -> BucketFile {
        BucketFile {
            bucket: self.clone(),
            name: format!("{self}/{}", self.name_of(&meta.location)),
            path: meta.location,
            bytes: meta.size,
            found: meta.e_tag,
            answered: OnceLock::new(),
            modified: Some(meta.last_modified),
        }
    }

    /// An object that is put there once and never changes, to be read.
    pub(crate) fn part(&self, name: &str, bytes: u64) -> Result<BucketFile> {
        Ok(BucketFile {
            bucket: self.clone(),
            path: self.path(name)?,
            name: format!("{self}/{name}"),
            bytes,
            found: None,
            answered: OnceLock::new(),
            modified: None,
        })
    }
}

impl BucketFile {
    async fn part(&self, range: Range<u64>) -> Result<Bytes> {
        let found = self.found.as_ref().filter(|tag| tag.ends_with('"'));
        let tag = self.answered.get().or(found);
        let strong = tag.filter(|tag| !tag.starts_with("W/"));
        let options = GetOptions::new()
            .with_range(Some(range.clone()))
            .with_if_match(strong.cloned());
        let got = self.bucket.store().get_opts(&self.path, options).await;
        let bytes = match got {
            Ok(got) if self.is_other(&got.meta) => return Err(self.changed()),
            Ok(got) => {
                if let Some(tag) = &got.meta.e_tag {
                    self.answered.get_or_init(|| tag.clone());
                }
                got.bytes().await
            }
            Err(error) => Err(error),
        };
        let error = match bytes {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
            Ok(bytes) => {
                let message = format!(
                    "{} broke off after {} of {} bytes",
                    self.name,
                    bytes.len(),
                    range.end - range.start
                );
                Error::new(ErrorKind::Unavailable, message)
            }
            Err(object_store::Error::Precondition { .. }) => return Err(self.changed()),
            Err(error) => self.bucket.failed("read", &self.name, &error),
        };
        // A part that cannot be had may be one that there is no more.
        let now = self.bucket.store().head(&self.path).await;
        Err(match now {
            Ok(now) if self.is_other(&now) => self.changed(),
            _ => error,
        })
    }

    /// Whether this is another version of it.
    fn is_other(&self, now: &ObjectMeta) -> bool {
        match (self.answered.get().or(self.found.as_ref()), &now.e_tag) {
            (Some(then), Some(now)) => then.trim_matches('"') != now.trim_matches('"'),
            _ => {
                // Lists are more exact than headers, which know seconds.
                let second = now.last_modified.timestamp();
                let touched = self.modified.is_some_and(|then| then.timestamp() != second);
                touched || self.bytes != now.size
            }
        }
    }

    fn changed(&self) -> Error {
        let message = format!("{} was replaced while it was read: read it anew", self.name);
        Error::new(ErrorKind::Changed, message)
    }
}

impl Remote for BucketFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(self: Arc<Self>) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold((self, 0), |(file, start)| async move {
            let end = file.bytes.min(start + PIECE);
            if start >= end {
                return Ok(None);
            }
            let piece = file.part(start..end).await?;
            Ok(Some((piece, (file, end))))
        })
        .boxed()
    }

    fn length(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        std::future::ready(Ok(Some(self.bytes))).boxed()
    }

    fn range(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.part(range).boxed()
    }
}

impl fmt::Debug for BucketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketFile({})", self.name)
    }
}
