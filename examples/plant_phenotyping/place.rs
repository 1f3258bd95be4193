//! Where measurements come from, and where the figures go.
//!
//! A file or a directory, for which the core is enough; or, with the feature `etl`, a pattern of files, Parquet, or tables of a database. What lets one into a database is taken out of the address here, and
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
    /// CSV files that match a pattern.
    Pattern(PathBuf),
    /// Parquet files to read, or a directory to write data sets into.
    Parquet(PathBuf),
    /// A database, without its password; to read, with the table's name.
    Database { address: String, table: String },
}

/// The databases at the ends, with what lets one in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    #[cfg(feature = "etl")]
    pub(crate) source: Option<flowkit_etl::sql::Database>,
    #[cfg(feature = "etl")]
    pub(crate) destination: Option<flowkit_etl::sql::Database>,
}

impl Ends {
    /// The ends of a run.
    #[cfg(feature = "etl")]
    pub(crate) fn of(
        source: Option<flowkit_etl::sql::Database>,
        destination: Option<flowkit_etl::sql::Database>,
    ) -> Self {
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
            Self::Path(path) | Self::Pattern(path) | Self::Parquet(path) => path.clone(),
            Self::Database { .. } => self.to_string().into(),
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
            Self::Path(path) | Self::Pattern(path) | Self::Parquet(path) => write!(f, "{}", path.display()),
            Self::Database { address, table } if table.is_empty() => f.write_str(address),
            Self::Database { address, table } => write!(f, "{address}?table={table}"),
        }
    }
}

/// Whether this names a database rather than a file.
pub(crate) fn is_database(text: &str) -> bool {
    ["sqlite:", "postgres:", "postgresql:", "mysql:", "mariadb:"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

#[cfg(feature = "etl")]
mod with_etl {
    use flowkit_etl::sql::Database;

    use super::{PathBuf, Place, is_database};

    /// Reads the place that the command line names, and the database, if it is one.
    pub(crate) fn read(text: &str) -> Result<(Place, Option<Database>), flowkit_etl::Error> {
        if is_database(text) {
            let (address, table) = split_table(text);
            let database = Database::new(&address)?;
            let address = database.to_string();
            return Ok((Place::Database { address, table }, Some(database)));
        }
        let place = match text.strip_prefix("parquet:") {
            Some(path) => Place::Parquet(path.into()),
            None if text.ends_with(".parquet") => Place::Parquet(text.into()),
            None if text.contains(['*', '?', '[']) && !std::path::Path::new(text).exists() => {
                Place::Pattern(text.into())
            }
            None => Place::Path(PathBuf::from(text)),
        };
        Ok((place, None))
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

        #[test]
        fn a_database_is_shown_without_its_password_and_its_table_is_no_option_of_its() {
            let (place, database) =
                read("postgres://etl:hunter2@db.example/plants?table=raw&sslmode=disable").unwrap();
            assert_eq!(
                place.to_string(),
                "postgres://etl@db.example:5432/plants?table=raw"
            );
            assert!(database.is_some() && !format!("{place:?}").contains("hunter2"));
            assert_eq!(
                read("season/*.csv").unwrap().0,
                Place::Pattern("season/*.csv".into())
            );
            assert_eq!(read("parquet:out").unwrap().0, Place::Parquet("out".into()));
            assert_eq!(read("plants.csv").unwrap().0, Place::Path("plants.csv".into()));
        }
    }
}

#[cfg(feature = "etl")]
pub(crate) use with_etl::read;

/// Reads the place that the command line names.
#[cfg(not(feature = "etl"))]
pub(crate) fn read(text: &str) -> Result<(Place, ()), String> {
    if is_database(text) || text.starts_with("parquet:") || text.ends_with(".parquet") {
        return Err("databases and Parquet need `--features etl` when the example is built".to_owned());
    }
    Ok((Place::Path(text.into()), ()))
}
