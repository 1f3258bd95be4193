//! Where objects are, and how one is let in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};

use crate::error::{Error, ErrorKind, Result};

/// How often a store that is busy or broken is asked again, after a while that grows.
const RETRIES: usize = 6;
/// For no longer than this. A task has retries of its own.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A bucket, or a part of one below a prefix: `s3://plants/lake`, `gs://plants/lake`, `az://plants/lake`.
///
/// What lets one in comes from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`; `GOOGLE_APPLICATION_CREDENTIALS`; `AZURE_STORAGE_ACCOUNT_NAME`, …), from where the program runs, or from a store that one made; it is shown
/// nowhere. Requests that find the store busy or broken are sent again up to 6 times within a minute, or by the rules of a store that one made.
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
        if bucket.is_empty() {
            return Err(no_address());
        }
        let store = store_of(scheme, bucket)?;
        Self::of(store, &format!("{scheme}://{bucket}"), prefix)
    }

    /// The bucket in the address of an object, and the object's key: `s3://plants` and `season/may.csv`.
    pub(crate) fn split(address: &str) -> Result<(String, String)> {
        let (scheme, rest) = address.split_once("://").ok_or_else(no_address)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Ok((format!("{scheme}://{bucket}"), key.to_owned()))
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

    /// The part of it below a prefix: of `s3://plants/lake`, `maize` is `s3://plants/lake/maize`.
    ///
    /// # Errors
    /// When the prefix cannot be one.
    pub fn below(&self, prefix: &str) -> Result<Self> {
        let root = self.path(prefix)?;
        let shown = match self.name_of(&root) {
            "" => self.shown.clone(),
            name => format!("{}/{name}", self.shown),
        };
        Ok(Self {
            store: Arc::clone(&self.store),
            root,
            shown,
        })
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The object of this name in the bucket's part.
    pub(crate) fn path(&self, name: &str) -> Result<Path> {
        let whole = match self.root.as_ref() {
            "" => name.to_owned(),
            root => format!("{root}/{name}"),
        };
        Path::parse(whole).map_err(|error| {
            Error::new(
                ErrorKind::Options,
                format!("{name:?} cannot be the key of an object"),
            )
            .because(error)
        })
    }

    /// What comes after the bucket's part in the key of an object.
    pub(crate) fn name_of<'a>(&self, path: &'a Path) -> &'a str {
        let key = path.as_ref();
        let below = key.strip_prefix(self.root.as_ref()).unwrap_or(key);
        below.strip_prefix('/').unwrap_or(below)
    }

    /// What results call it.
    pub(crate) fn shown(&self) -> PathBuf {
        PathBuf::from(&self.shown)
    }
}

/// The store of a bucket, by what the environment says.
fn store_of(scheme: &str, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let wrong = |error: object_store::Error| {
        Error::new(
            ErrorKind::Options,
            format!("the bucket {scheme}://{bucket} cannot be opened"),
        )
        .because(error)
    };
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    Ok(match scheme {
        "s3" => {
            let builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry);
            Arc::new(trusting(builder).build().map_err(wrong)?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            Arc::new(builder.with_retry(retry).build().map_err(wrong)?)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            Arc::new(builder.with_retry(retry).build().map_err(wrong)?)
        }
        _ => return Err(no_address()),
    })
}

/// Who names an endpoint by `http://` wants that.
fn trusting(builder: AmazonS3Builder) -> AmazonS3Builder {
    let plain = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .filter_map(|key| builder.get_config_value(key))
        .next()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    if plain {
        builder.with_allow_http(true)
    } else {
        builder
    }
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
