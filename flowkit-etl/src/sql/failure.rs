//! What databases say against something, in terms of what can be done about it.

use std::{fmt, io};

use sqlx::error::DatabaseError;

use crate::error::{Error, ErrorKind};
use crate::sql::dialect::Dialect;

/// An error that says what was to be done. None of the causes has more than the database said.
pub(crate) fn of(dialect: Dialect, doing: &str, error: sqlx::Error) -> Error {
    let kind = match &error {
        sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) | sqlx::Error::Encode(_) => {
            ErrorKind::Options
        }
        sqlx::Error::Io(error) => of_connection(error),
        sqlx::Error::Tls(_) => ErrorKind::Access,
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => ErrorKind::Format,
        sqlx::Error::ColumnNotFound(_) | sqlx::Error::TypeNotFound { .. } => ErrorKind::Schema,
        sqlx::Error::Database(error) => of_database(dialect, error.as_ref()),
        _ => ErrorKind::Io,
    };
    match error {
        sqlx::Error::Database(error) => Error::new(kind, doing).because(Said::by(error.as_ref())),
        error => Error::new(kind, doing).because(error),
    }
}

/// What a database said, once and in its own words: sqlx says it twice, and for PostgreSQL with a line of the server's own source.
#[derive(Debug)]
struct Said(String);

impl Said {
    fn by(error: &dyn DatabaseError) -> Self {
        #[cfg(feature = "postgres")]
        if let Some(hint) = error
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .and_then(sqlx::postgres::PgDatabaseError::hint)
        {
            return Self(format!("{}; {hint}", error.message()));
        }
        Self(error.message().to_owned())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// A server that goes away may come back.
fn of_connection(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Access,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => ErrorKind::Io,
        _ => ErrorKind::Unavailable,
    }
}

fn of_database(dialect: Dialect, error: &dyn DatabaseError) -> ErrorKind {
    let code = error.code().unwrap_or_default();
    match dialect {
        Dialect::Postgres => of_postgres(&code),
        Dialect::Sqlite => of_sqlite(&code, error.message()),
        Dialect::MySql => of_mysql(error),
    }
}

/// By SQLSTATE.
fn of_postgres(code: &str) -> ErrorKind {
    match code {
        "42P01" | "3D000" | "3F000" => ErrorKind::NotFound,
        "42501" => ErrorKind::Access,
        "53100" => ErrorKind::Full,
        "40001" | "40P01" | "55P03" => ErrorKind::Unavailable,
        // That parameters are missing is no trouble with the connection.
        "42601" | "42P10" | "08P01" => ErrorKind::Options,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "53" | "57" => ErrorKind::Unavailable,
            "28" => ErrorKind::Access,
            "22" | "23" => ErrorKind::Rejected,
            "42" => ErrorKind::Schema,
            _ => ErrorKind::Io,
        },
    }
}

/// By the extended result code, whose last byte is the code.
fn of_sqlite(code: &str, message: &str) -> ErrorKind {
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        1 if message.starts_with("no such table") => ErrorKind::NotFound,
        1 if message.contains("syntax error") || message.starts_with("ON CONFLICT clause") => {
            ErrorKind::Options
        }
        1 => ErrorKind::Schema,
        5 | 6 | 9 | 15 => ErrorKind::Unavailable,
        3 | 8 | 23 => ErrorKind::Access,
        14 => ErrorKind::NotFound,
        11 | 24 | 26 => ErrorKind::Format,
        13 => ErrorKind::Full,
        18..=20 => ErrorKind::Rejected,
        _ => ErrorKind::Io,
    }
}

#[cfg(feature = "mysql")]
fn of_mysql(error: &dyn DatabaseError) -> ErrorKind {
    let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() else {
        return ErrorKind::Io;
    };
    match error.number() {
        1049 | 1146 => ErrorKind::NotFound,
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 => ErrorKind::Access,
        1021 | 1114 => ErrorKind::Full,
        // Too many connections, shutting down, waited too long for a lock, a deadlock.
        1040 | 1041 | 1053 | 1077 | 1203 | 1205 | 1213 | 1226 | 1927 => ErrorKind::Unavailable,
        1064 | 1149 => ErrorKind::Options,
        1048 | 1062 | 1216 | 1217 | 1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 1451 | 1452 | 3819 | 4025 => {
            ErrorKind::Rejected
        }
        1054 | 1136 | 1166 => ErrorKind::Schema,
        _ => ErrorKind::Io,
    }
}

#[cfg(not(feature = "mysql"))]
fn of_mysql(_: &dyn DatabaseError) -> ErrorKind {
    ErrorKind::Io
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_says_is_told_by_what_can_be_done_about_it() {
        assert_eq!(of_postgres("57P01"), ErrorKind::Unavailable);
        assert_eq!(of_postgres("28P01"), ErrorKind::Access);
        assert_eq!(of_postgres("42P01"), ErrorKind::NotFound);
        assert_eq!(of_postgres("23505"), ErrorKind::Rejected);
        assert_eq!(
            of_sqlite("2067", "UNIQUE constraint failed: plants.plant"),
            ErrorKind::Rejected
        );
        assert_eq!(of_sqlite("5", "database is locked"), ErrorKind::Unavailable);
        assert_eq!(of_sqlite("1", "no such table: plants"), ErrorKind::NotFound);
    }

    #[test]
    fn a_connection_that_breaks_may_be_made_again() {
        let error = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        assert!(of(Dialect::Postgres, "cannot read", error).is_transient());
    }
}
