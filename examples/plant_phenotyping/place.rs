//! Where measurements come from, and where the figures go.
//!
//! A file or a directory, for which the core is enough; or, with the feature `etl`, files of other kinds and elsewhere, buckets, and tables of a database. What lets one in is taken out of the address here, and
//! reaches the tasks as a resource, so that it is recorded nowhere.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A place, as it is shown and recorded.
#[cfg_attr(
    not(feature = "etl"),
    allow(dead_code, reason = "without it there are only paths")
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A CSV file to read, or a directory to write CSV files into.
    Path(PathBuf),
    /// Files to read that are not one CSV file here: many of them, of another kind, elsewhere.
    Files(String),
    /// Parquet files to read, or a directory to write data sets into.
    Parquet(PathBuf),
    /// A part of a bucket, to write data sets into.
    Bucket(String),
    /// A database, without its password; to read, with the table's name.
    Database { address: String, table: String },
}

/// The ends that are no ordinary files, with what lets one in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    #[cfg(feature = "etl")]
    pub(crate) source: Option<From>,
    #[cfg(feature = "etl")]
    pub(crate) destination: Option<To>,
}

/// What is read from.
#[cfg(feature = "etl")]
#[derive(Debug, Clone)]
pub(crate) enum From {
    Files(flowkit_etl::source::Location),
    Database(Box<flowkit_etl::sql::Database>),
}

/// What is written to.
#[cfg(feature = "etl")]
#[derive(Debug, Clone)]
pub(crate) enum To {
    Bucket(flowkit_etl::object::Bucket),
    Database(Box<flowkit_etl::sql::Database>),
}

impl Ends {
    /// The ends of a run.
    #[cfg(feature = "etl")]
    pub(crate) fn of(source: Option<From>, destination: Option<To>) -> Self {
        Self { source, destination }
    }

    /// The ends of a run, which are files.
    #[cfg(not(feature = "etl"))]
    pub(crate) fn of((): (), (): ()) -> Self {
        Self {}
    }
}

impl Place {
    /// The place for messages: a path, or something like one.
    pub(crate) fn shown(&self) -> PathBuf {
        match self {
            Self::Path(path) | Self::Parquet(path) => path.clone(),
            other => other.to_string().into(),
        }
    }

    /// The path, if it is an ordinary one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Parquet(path) => write!(f, "{}", path.display()),
            Self::Files(text) | Self::Bucket(text) => f.write_str(text),
            Self::Database { address, table } if table.is_empty() => f.write_str(address),
            Self::Database { address, table } => write!(f, "{address}?table={table}"),
        }
    }
}

/// Whether this names a database rather than a file.
#[cfg(feature = "etl")]
fn is_database(text: &str) -> bool {
    ["sqlite:", "postgres:", "postgresql:", "mysql:", "mariadb:"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// The scheme that an address begins with: what stands before a colon, unless there is a file or a directory of this name. One letter is a drive.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
    (is_scheme && !Path::new(text).exists()).then_some(scheme)
}

#[cfg(feature = "etl")]
mod with_etl {
    use std::path::{Path, PathBuf};

    use flowkit_etl::object::Bucket;
    use flowkit_etl::source::Location;
    use flowkit_etl::sql::Database;
    use flowkit_etl::{Error, ErrorKind};

    use super::{From, Place, To, is_database, scheme};

    /// Reads the source that the command line names.
    pub(crate) fn read_source(text: &str) -> Result<(Place, Option<From>), Error> {
        if is_database(text) {
            let (place, database) = read_database(text)?;
            return Ok((place, Some(From::Database(Box::new(database)))));
        }
        if let Some(path) = text.strip_prefix("parquet:") {
            return Ok((Place::Parquet(path.into()), None));
        }
        let pattern = text.contains(['*', '?', '[']) && !Path::new(text).exists();
        let kinds = [".parquet", ".gz", ".zst", ".jsonl", ".ndjson"];
        if text.contains("://") || pattern || kinds.iter().any(|end| text.ends_with(end)) {
            let files = Location::parse(text)?;
            return Ok((Place::Files(files.to_string()), Some(From::Files(files))));
        }
        Ok((Place::Path(PathBuf::from(text)), None))
    }

    /// Reads the destination that the command line names.
    pub(crate) fn read_destination(text: &str) -> Result<(Place, Option<To>), Error> {
        if is_database(text) {
            let (place, database) = read_database(text)?;
            return Ok((place, Some(To::Database(Box::new(database)))));
        }
        if let Some(path) = text.strip_prefix("parquet:") {
            return Ok((Place::Parquet(path.into()), None));
        }
        match scheme(text) {
            Some("s3" | "gs" | "az") => {
                let bucket = Bucket::open(text)?;
                Ok((Place::Bucket(bucket.to_string()), Some(To::Bucket(bucket))))
            }
            Some(scheme) => Err(Error::new(
                ErrorKind::Options,
                format!(
                    "figures cannot be written to `{scheme}:`: name a directory, parquet:DIR, s3://BUCKET/PREFIX, sqlite:FILE, postgres://... or mysql://..."
                ),
            )),
            None => Ok((Place::Path(PathBuf::from(text)), None)),
        }
    }

    fn read_database(text: &str) -> Result<(Place, Database), Error> {
        let (address, table) = split_table(text);
        let database = Database::new(&address)?;
        let address = database.to_string();
        Ok((Place::Database { address, table }, database))
    }

    /// Takes the name of the table out of an address's options.
    fn split_table(text: &str) -> (String, String) {
        let Some((address, options)) = text.split_once('?') else {
            return (text.to_owned(), String::new());
        };
        let (tables, others): (Vec<&str>, Vec<&str>) = options
            .split('&')
            .partition(|option| option.starts_with("table="));
        let table = tables
            .first()
            .and_then(|option| option.strip_prefix("table="))
            .unwrap_or_default();
        let separator = if others.is_empty() { "" } else { "?" };
        (
            format!("{address}{separator}{}", others.join("&")),
            table.to_owned(),
        )
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn source(text: &str) -> Place {
            read_source(text).unwrap().0
        }

        #[test]
        fn what_lets_one_in_is_shown_nowhere_and_the_table_is_no_option_of_a_database() {
            let postgres = "postgres://etl:hunter2@db.example/plants?table=raw&sslmode=disable";
            let web = "https://etl:hunter2@plants.example/a.csv?token=hunter2";
            for (text, shown) in [
                (postgres, "postgres://etl@db.example:5432/plants?table=raw"),
                (web, "https://plants.example/a.csv"),
            ] {
                let (place, from) = read_source(text).unwrap();
                assert_eq!(place.to_string(), shown);
                assert!(!format!("{place:?} {from:?}").contains("hunter2"));
            }
        }

        #[test]
        fn files_here_and_elsewhere_are_told_from_one_csv_file() {
            for text in [
                "season/*.csv",
                "a.csv.gz",
                "a.jsonl",
                "a.parquet",
                "http://a.example/a.csv",
            ] {
                assert_eq!(source(text), Place::Files(text.to_owned()));
            }
            assert_eq!(source("parquet:out"), Place::Parquet("out".into()));
            assert_eq!(source("plants.csv"), Place::Path("plants.csv".into()));
            assert_eq!(read_destination("out").unwrap().0, Place::Path("out".into()));
        }

        #[test]
        fn a_scheme_that_is_none_is_told_what_there_is() {
            let error = read_source("ftp://a.example/a.csv").unwrap_err().to_string();
            assert!(error.starts_with("files cannot be read from `ftp://`"), "{error}");
            for (text, scheme) in [("https://a.example/out", "https"), ("oracle:plants", "oracle")] {
                let error = read_destination(text).unwrap_err().to_string();
                assert!(
                    error.contains(&format!("`{scheme}:`: name a directory")),
                    "{error}"
                );
            }
            let error = read_destination("s3://").unwrap_err().to_string();
            assert!(error.contains("the bucket's name"), "{error}");
        }
    }
}

#[cfg(feature = "etl")]
pub(crate) use with_etl::{read_destination, read_source};

/// Reads the place that the command line names.
#[cfg(not(feature = "etl"))]
pub(crate) fn read(text: &str) -> Result<(Place, ()), String> {
    let kinds = [".parquet", ".gz", ".zst", ".jsonl", ".ndjson"];
    if scheme(text).is_some() || kinds.iter().any(|end| text.ends_with(end)) {
        return Err(format!("{text} needs `--features etl` when the example is built"));
    }
    Ok((Place::Path(text.into()), ()))
}

#[cfg(not(feature = "etl"))]
pub(crate) use self::{read as read_source, read as read_destination};
