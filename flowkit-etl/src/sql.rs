//! Databases: where they are and what is said to them. What is read from one is a [`SqlSource`](crate::source::SqlSource), what is written into one a
//! [`SqlSink`](crate::sink::SqlSink).

mod columns;
mod database;
mod dialect;
mod failure;
#[cfg(feature = "mysql")]
mod mysql;
pub(crate) mod plain;
#[cfg(feature = "postgres")]
mod postgres;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use self::database::Database;

pub(crate) use self::dialect::{Dialect, TableName};
pub(crate) use self::session::{Destination, Read, Session};
