//! Where a database is, and how one is let in.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sqlx::ConnectOptions as _;

use crate::error::{Error, ErrorKind, Result};
use crate::sql::Session;
use crate::sql::dialect::Dialect;
use crate::value::Value;

/// A database: `sqlite:plants.db`, `postgres://etl@db.example/plants`, `mysql://etl@db.example/plants` (MariaDB too), each behind its feature.
///
/// What lets one in is kept apart from what is shown: neither [`Debug`] nor [`Display`](fmt::Display) nor any error of this crate has the password, whether it
/// stood in the address or not. It is no `Serialize`, so that it can be no recorded parameter: give it to a task as a `#[resource]`.
///
/// Nothing is connected until it is used; each use then has a connection of its own, closed at its end. How many at a time is what a named limit of the runtime is for.
///
/// In SQLite a load waits for those who read the database until it can commit, and what it has written meanwhile stays in memory as far as SQLite's cache has no place for it. So a table can be copied into another one of its own
/// file, as long as that memory suffices; `INSERT … SELECT` by [`execute`](Self::execute) needs none.
///
/// Certificates of servers are checked against those that the system trusts, once the address asks for it: `?sslmode=verify-full`, `?ssl-mode=VERIFY_IDENTITY`.
/// For PostgreSQL what the address does not say is taken from the environment (`PGHOST`, `PGPASSWORD`, …) and the user's `.pgpass`, as with its own programs.
#[derive(Clone)]
pub struct Database {
    options: Options,
}

#[derive(Clone)]
#[cfg_attr(
    any(feature = "postgres", feature = "mysql"),
    allow(clippy::large_enum_variant, reason = "there are few of them")
)]
enum Options {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteConnectOptions),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgConnectOptions),
    #[cfg(feature = "mysql")]
    MySql(sqlx::mysql::MySqlConnectOptions),
}

impl Database {
    /// The database at an address. A password in it must be percent-encoded, as in any address; better, it comes by [`password`](Self::password), [`from_env`](Self::from_env) or
    /// [`from_file`](Self::from_file).
    ///
    /// # Errors
    /// When it is no address, or of a database whose feature is off. The error does not repeat the address.
    pub fn new(address: &str) -> Result<Self> {
        let scheme = address.split(':').next().unwrap_or_default();
        let options = match scheme {
            "sqlite" => sqlite_options(address)?,
            "postgres" | "postgresql" => of_a_server(address).and_then(postgres_options)?,
            "mysql" | "mariadb" => of_a_server(address).and_then(mysql_options)?,
            _ => {
                let message = "an address of a database begins with `sqlite:`, `postgres://`, `mysql://` or `mariadb://`";
                return Err(Error::new(ErrorKind::Options, message));
            }
        };
        Ok(Self { options })
    }

    /// The database whose address a variable of the environment has.
    ///
    /// # Errors
    /// When the variable is not set, or not to an address.
    pub fn from_env(variable: &str) -> Result<Self> {
        let address = std::env::var(variable).map_err(|_| {
            Error::new(
                ErrorKind::NotFound,
                format!("the environment has no `{variable}`: set it to the address of the database"),
            )
        })?;
        Self::new(&address)
    }

    /// The database whose address is all that a file has, as orchestrators mount secrets.
    ///
    /// # Errors
    /// When the file cannot be read, or has no address.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let address = std::fs::read_to_string(path)
            .map_err(|error| Error::io("read the address of the database in", path, error))?;
        Self::new(address.trim())
    }

    /// With this password. SQLite has none, and does not look at it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.options = match self.options {
            #[cfg(feature = "sqlite")]
            Options::Sqlite(options) => Options::Sqlite(options),
            #[cfg(feature = "postgres")]
            Options::Postgres(options) => Options::Postgres(options.password(password)),
            #[cfg(feature = "mysql")]
            Options::MySql(options) => Options::MySql(options.password(password)),
        };
        #[cfg(not(any(feature = "postgres", feature = "mysql")))]
        let _ = password;
        self
    }

    /// Executes a statement by itself, and says how many rows it changed.
    ///
    /// # Errors
    /// When the database cannot be reached, or says something against the statement.
    pub async fn execute(&self, statement: &str, values: &[Value]) -> Result<u64> {
        let mut session = self.connect_to_write().await?;
        let changed = session.execute(statement, values).await?;
        session.close().await;
        Ok(changed)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.options {
            #[cfg(feature = "sqlite")]
            Options::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Options::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Options::MySql(_) => Dialect::MySql,
        }
    }

    /// A connection, to read.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Session>> {
        self.connect_to(false).await
    }

    /// A connection, to write: a SQLite database that is not there is made.
    pub(crate) async fn connect_to_write(&self) -> Result<Box<dyn Session>> {
        self.connect_to(true).await
    }

    async fn connect_to(&self, write: bool) -> Result<Box<dyn Session>> {
        let failed = |error| self.failed("connect to", error);
        let session: Box<dyn Session> = match &self.options {
            #[cfg(feature = "sqlite")]
            Options::Sqlite(options) => {
                let options = options.clone().create_if_missing(write);
                let connection = options.connect().await.map_err(failed)?;
                Box::new(crate::sql::sqlite::SqliteSession::new(connection, self.clone()))
            }
            #[cfg(feature = "postgres")]
            Options::Postgres(options) => {
                let connection = options.connect().await.map_err(failed)?;
                Box::new(crate::sql::postgres::PostgresSession::new(
                    connection,
                    self.clone(),
                ))
            }
            #[cfg(feature = "mysql")]
            Options::MySql(options) => {
                let connection = options.connect().await.map_err(failed)?;
                Box::new(
                    crate::sql::mysql::MySqlSession::new(connection, self.clone())
                        .strict()
                        .await?,
                )
            }
        };
        // Only SQLite makes a difference.
        let _ = write;
        Ok(session)
    }

    /// A connection that is told what is said on a channel.
    #[cfg(all(feature = "sensors", feature = "postgres"))]
    pub(crate) async fn listener(&self, channel: &str) -> Result<sqlx::postgres::PgListener> {
        let options = match &self.options {
            Options::Postgres(options) => options.clone(),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => {
                let message = format!(
                    "{self} tells nothing by itself: leave `listen` out, and it is asked again and again"
                );
                return Err(Error::new(ErrorKind::Options, message));
            }
        };
        let failed = |error| self.failed("listen to", error);
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(failed)?;
        let mut listener = sqlx::postgres::PgListener::connect_with(&pool)
            .await
            .map_err(failed)?;
        listener.listen(channel).await.map_err(failed)?;
        Ok(listener)
    }

    /// What a database said against doing something with it.
    pub(crate) fn failed(&self, doing: &str, error: sqlx::Error) -> Error {
        crate::sql::failure::of(self.dialect(), &format!("cannot {doing} {self}"), error)
    }
}

impl FromStr for Database {
    type Err = Error;

    fn from_str(address: &str) -> Result<Self> {
        Self::new(address)
    }
}

impl fmt::Display for Database {
    /// The address, without the password and without options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.options {
            #[cfg(feature = "sqlite")]
            Options::Sqlite(options) => write!(f, "sqlite:{}", options.get_filename().display()),
            #[cfg(feature = "postgres")]
            Options::Postgres(options) => {
                let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
                write!(
                    f,
                    "postgres://{user}@{host}:{port}/{}",
                    options.get_database().unwrap_or_default()
                )
            }
            #[cfg(feature = "mysql")]
            Options::MySql(options) => {
                let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
                write!(
                    f,
                    "mysql://{user}@{host}:{port}/{}",
                    options.get_database().unwrap_or_default()
                )
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

/// An address in which a password is where a password is looked for, so that it is nothing else, such as the name of a database that errors show.
fn of_a_server(address: &str) -> Result<&str> {
    let refused = |message| Err(Error::new(ErrorKind::Options, message));
    let Some((_, rest)) = address.split_once("://") else {
        return refused(
            "the address of a database on a server goes on with `//`, as in `postgres://user@host/database`",
        );
    };
    let behind = rest.split_once(['/', '?', '#']).map_or("", |(_, behind)| behind);
    if behind.contains('@') {
        return refused(
            "the address of the database has an `@` behind its host: percent-encode what is in its user, its password and its options, `%2F` for `/`, `%3F` for `?`, `%23` for `#`, `%40` for `@`, or give the password by `password`",
        );
    }
    Ok(address)
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn unreadable(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Options, "the address of the database cannot be read").because(error)
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn feature_is_off(feature: &str) -> Result<Options> {
    let message = format!(
        "this program was built without databases of that kind: switch on the feature `{feature}` of flowkit-etl"
    );
    Err(Error::new(ErrorKind::Options, message))
}

/// How long one waits for a SQLite database: a load holds it for as long as it takes, and others wait for it rather than fail.
#[cfg(feature = "sqlite")]
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(feature = "sqlite")]
fn sqlite_options(address: &str) -> Result<Options> {
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(address).map_err(unreadable)?;
    let nameless = options.get_filename().as_os_str().is_empty();
    if nameless || address.contains(":memory:") || address.contains("mode=memory") {
        let message = "each use of a database has a connection of its own, and one without a file would be another one each time: name a file";
        return Err(Error::new(ErrorKind::Options, message));
    }
    Ok(Options::Sqlite(
        options
            .busy_timeout(PATIENCE)
            .row_buffer_size(1024)
            .disable_statement_logging(),
    ))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite_options(_: &str) -> Result<Options> {
    feature_is_off("sqlite")
}

#[cfg(feature = "postgres")]
fn postgres_options(address: &str) -> Result<Options> {
    let options = sqlx::postgres::PgConnectOptions::from_str(address).map_err(unreadable)?;
    Ok(Options::Postgres(options.disable_statement_logging()))
}

#[cfg(not(feature = "postgres"))]
fn postgres_options(_: &str) -> Result<Options> {
    feature_is_off("postgres")
}

#[cfg(feature = "mysql")]
fn mysql_options(address: &str) -> Result<Options> {
    let options = sqlx::mysql::MySqlConnectOptions::from_str(address).map_err(unreadable)?;
    Ok(Options::MySql(options.disable_statement_logging()))
}

#[cfg(not(feature = "mysql"))]
fn mysql_options(_: &str) -> Result<Options> {
    feature_is_off("mysql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "postgres")]
    #[test]
    fn the_password_is_nowhere_to_be_seen() {
        let database =
            Database::new("postgres://etl:hunter2@db.example/plants?application_name=hunter2").unwrap();
        assert_eq!(database.to_string(), "postgres://etl@db.example:5432/plants");
        let database = database.password("correct horse");
        assert!(!format!("{database:?}").contains("horse"));
        let error = Database::new("postgres://etl:hunter2@db.example:port/plants").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_password_is_nothing_else_because_of_a_slip() {
        for address in [
            "postgres:/etl:hunter2@db.example/plants",
            "postgres:etl:hunter2@db.example/plants",
            "postgres://etl:p@ss/hunter2@db.example/plants",
            "mysql:/etl:hunter2@db.example/plants",
        ] {
            let error = Database::new(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Options);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let error = Database::new("postgres://db.example/plants?user=me@tenant").unwrap_err();
        assert!(error.to_string().contains("its user"), "{error}");
        let database =
            Database::new("postgres://etl:p%2Fss%40@db.example/plants?application_name=a%40b").unwrap();
        assert_eq!(database.to_string(), "postgres://etl@db.example:5432/plants");
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn an_address_that_is_none_is_told_what_one_is() {
        let error = Database::new("plants.db").unwrap_err();
        assert!(error.to_string().contains("`sqlite:`"), "{error}");
        let error = Database::new("sqlite::memory:").unwrap_err();
        assert!(error.to_string().contains("name a file"), "{error}");
        let error = Database::from_env("FLOWKIT_ETL_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
