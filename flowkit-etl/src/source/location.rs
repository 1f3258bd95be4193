//! Where files are: on this system, in an object store, at an address of HTTP.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "http")]
use crate::http::Endpoint;
#[cfg(feature = "objects")]
use crate::object::Bucket;
use crate::source::Input;

/// Where files are. What lets one in is part of it and is shown nowhere.
///
/// Text files are streamed from wherever they are, and of Parquet files only the parts that are needed are brought where parts can be asked for: of a file elsewhere, memory holds some pieces of 8 MiB of text, or the wanted columns of
/// one row group. A file elsewhere that is replaced while it is read ends the reading with [`ErrorKind::Changed`], so that what was read is of one version.
///
/// ```
/// use flowkit_etl::source::Location;
///
/// let files = Location::parse("season/*.csv.gz")?;
/// assert_eq!(files.to_string(), "season/*.csv.gz");
/// assert!(Location::parse("ftp://plants.example/a.csv").is_err());
/// # Ok::<(), flowkit_etl::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Location(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Path(PathBuf),
    #[cfg(feature = "objects")]
    Objects(Bucket, String),
    #[cfg(feature = "http")]
    Url(Box<Endpoint>),
}

impl Location {
    /// A file of this system, or all that match a pattern such as `season/*.csv` or `season/**/*.csv`. Names that begin with a dot match only where the pattern has the dot: what a sink is still writing is in such.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self(Kind::Path(path.as_ref().to_owned()))
    }

    /// Objects of a bucket, or of its part: one by its key, `season/may.csv`; all below a prefix that ends with a slash, `season/`, but those with a name that begins with `_` or `.`; those that match a pattern, `season/*.csv.gz` or `season/**/*.csv`.
    /// They are read in the order of their names.
    #[cfg(feature = "objects")]
    pub fn objects(bucket: &Bucket, pattern: impl Into<String>) -> Self {
        Self(Kind::Objects(bucket.clone(), pattern.into()))
    }

    /// The file at an address of HTTP.
    ///
    /// Its body is streamed. One that breaks off is gone on with where it broke off, if the server gives parts (`Accept-Ranges`) and says which version it gives (`ETag` or `Last-Modified`); else the reading ends with
    /// [`ErrorKind::Unavailable`]. So does one that is shorter than the server said; a server that says nothing of it, as before HTTP 1.1, cannot be checked.
    #[cfg(feature = "http")]
    pub fn url(endpoint: &Endpoint) -> Self {
        Self(Kind::Url(Box::new(endpoint.clone())))
    }

    /// What a text names: a path or pattern; `s3://bucket/key`, `gs://…`, `az://…`, of which the key may also be a prefix or pattern as in [`objects`](Self::objects); `https://…`, `http://…`. What lets one into
    /// an object store comes from the environment.
    ///
    /// # Errors
    /// When its scheme is none of these, or needs a feature that this program was built without.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once("://") {
            None => Ok(Self::path(text)),
            Some(("s3" | "gs" | "az", _)) => of_object(text),
            Some(("http" | "https", _)) => of_url(text),
            Some((scheme, _)) => Err(Error::new(
                ErrorKind::Options,
                format!(
                    "files cannot be read from `{scheme}://`: name a path, `s3://`, `gs://`, `az://`, `https://` or `http://`"
                ),
            )),
        }
    }

    /// The files that are there.
    pub(crate) async fn find(&self) -> Result<Vec<Input>> {
        match &self.0 {
            Kind::Path(path) => {
                let path = path.clone();
                let files = crate::blocking::run(move || crate::matching::matching(&path)).await?;
                Ok(files.into_iter().map(Input::Local).collect())
            }
            #[cfg(feature = "objects")]
            Kind::Objects(bucket, pattern) => {
                let found = bucket.find(pattern).await?;
                let input = |meta| Input::Remote(std::sync::Arc::new(bucket.file(meta)));
                Ok(found.into_iter().map(input).collect())
            }
            #[cfg(feature = "http")]
            Kind::Url(endpoint) => {
                let file = crate::http::UrlFile::open(endpoint).await?;
                Ok(vec![Input::Remote(std::sync::Arc::new(file))])
            }
        }
    }
}

#[cfg(feature = "objects")]
fn of_object(text: &str) -> Result<Location> {
    let (bucket, key) = Bucket::split(text)?;
    Ok(Location::objects(&Bucket::open(&bucket)?, key))
}

#[cfg(not(feature = "objects"))]
fn of_object(_: &str) -> Result<Location> {
    let message = "objects need the feature `objects` of flowkit-etl";
    Err(Error::new(ErrorKind::Options, message))
}

#[cfg(feature = "http")]
fn of_url(text: &str) -> Result<Location> {
    Ok(Location::url(&Endpoint::new(text)?))
}

#[cfg(not(feature = "http"))]
fn of_url(_: &str) -> Result<Location> {
    let message = "files at addresses of HTTP need the feature `http` of flowkit-etl";
    Err(Error::new(ErrorKind::Options, message))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Path(path) => path.display().fmt(f),
            #[cfg(feature = "objects")]
            Kind::Objects(bucket, pattern) => write!(f, "{bucket}/{pattern}"),
            #[cfg(feature = "http")]
            Kind::Url(endpoint) => endpoint.fmt(f),
        }
    }
}
