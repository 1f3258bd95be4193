//! Where objects are, and how one is let in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
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
/// What lets one in comes from the environment, from where the program runs, or from a store that one made; it is shown nowhere.
///
/// | | what lets one in | a server of one's own, by `http://` too |
/// |---|---|---|
/// | `s3://` | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; `AWS_REGION` | `AWS_ENDPOINT_URL` |
/// | `az://` | `AZURE_STORAGE_ACCOUNT_NAME` with `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, or `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` and `AZURE_TENANT_ID` | `AZURE_STORAGE_ENDPOINT`, with the account in it where the server wants that: `http://127.0.0.1:10000/devstoreaccount1`. For Azurite as it is unless told otherwise, only `AZURE_STORAGE_USE_EMULATOR=true`; `AZURITE_BLOB_STORAGE_URL` says where else it is |
/// | `gs://` | `GOOGLE_APPLICATION_CREDENTIALS`, or `GOOGLE_SERVICE_ACCOUNT`, the path of a service account's file | `GOOGLE_BASE_URL` |
///
/// The tests run S3 and Azure against servers. Google Cloud Storage is compiled, and no more than that: there is no server of it for tests that knows conditional writes.
///
/// Requests that find the store busy or broken are sent again up to 6 times within a minute, or by the rules of a store that one made.
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
            let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
            let plain = is_plain(endpoints.map(|key| builder.get_config_value(&key)));
            let builder = if plain {
                builder.with_allow_http(true)
            } else {
                builder
            };
            Arc::new(builder.build().map_err(wrong)?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            Arc::new(builder.with_retry(retry).build().map_err(wrong)?)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry);
            let plain = is_plain([builder.get_config_value(&AzureConfigKey::Endpoint)]);
            let builder = if plain {
                builder.with_allow_http(true)
            } else {
                builder
            };
            Arc::new(builder.build().map_err(wrong)?)
        }
        _ => return Err(no_address()),
    })
}

/// Whether the first endpoint that is named is one by `http://`: who names it wants that.
fn is_plain(endpoints: impl IntoIterator<Item = Option<String>>) -> bool {
    let mut named = endpoints.into_iter().flatten();
    named
        .next()
        .is_some_and(|endpoint| endpoint.starts_with("http://"))
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
