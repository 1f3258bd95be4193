//! Databases: where they are and what is said to them. What is read from one is a [`SqlSource`](crate::source::SqlSource), what is written into one a
//! [`SqlSink`](crate::sink::SqlSink).

mod columns;
mod database;
mod dialect;
mod failure;
mod model;
mod model_test;
#[cfg(feature = "mysql")]
mod mysql;
pub(crate) mod plain;
#[cfg(feature = "postgres")]
mod postgres;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use self::database::Database;
pub use self::model::{Model, ModelReport, ModelTestReport, build_models};
pub use self::model_test::ModelTest;

pub(crate) use self::dialect::{Dialect, EXACT_TEXT, TableName};
pub(crate) use self::session::{Destination, Read, Session};
