//! What must be true of a model.

use std::fmt;

use crate::error::Result;
use crate::sql::dialect::{Dialect, TableName};

/// Something that must be true of a [`Model`](crate::sql::Model), asked within the database.
#[derive(Debug, Clone)]
pub struct ModelTest {
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Unique(Vec<String>),
    NotNull(String),
    References {
        column: String,
        table: String,
        key: String,
    },
    AtLeast(u64),
    Never {
        name: String,
        condition: String,
    },
}

impl ModelTest {
    /// No two rows have the same values in all of these columns.
    pub fn unique<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self::of(What::Unique(columns.into_iter().map(Into::into).collect()))
    }

    /// No row lacks a value in this column.
    pub fn not_null(column: impl Into<String>) -> Self {
        Self::of(What::NotNull(column.into()))
    }

    /// Every value of this column, where there is one, is in a column of another table.
    pub fn references(column: impl Into<String>, table: impl Into<String>, key: impl Into<String>) -> Self {
        Self::of(What::References {
            column: column.into(),
            table: table.into(),
            key: key.into(),
        })
    }

    /// There are so many rows.
    pub fn at_least(rows: u64) -> Self {
        Self::of(What::AtLeast(rows))
    }

    /// No row fulfils this condition, in the database's own language: `ModelTest::never("growth is backwards", "growth < 0")`.
    pub fn never(name: impl Into<String>, condition: impl Into<String>) -> Self {
        Self::of(What::Never {
            name: name.into(),
            condition: condition.into(),
        })
    }

    fn of(what: What) -> Self {
        Self { what }
    }

    /// How many rows there must be, if it is about that.
    pub(super) fn at_least_rows(&self) -> Option<u64> {
        match self.what {
            What::AtLeast(rows) => Some(rows),
            _ => None,
        }
    }

    /// The query that counts what fails of `asked`, a table or a query in brackets.
    pub(super) fn query(&self, dialect: Dialect, asked: &str) -> Result<String> {
        Ok(match &self.what {
            What::Unique(columns) => {
                let columns = dialect.list(columns);
                format!(
                    "SELECT COUNT(*) FROM (SELECT COUNT(*) AS times FROM {asked} GROUP BY {columns} HAVING COUNT(*) > 1) AS repeated"
                )
            }
            What::NotNull(column) => {
                format!(
                    "SELECT COUNT(*) FROM {asked} WHERE {} IS NULL",
                    dialect.quoted(column)
                )
            }
            What::References { column, table, key } => {
                let (column, key) = (dialect.quoted(column), dialect.quoted(key));
                let table = TableName::new(table)?.quoted(dialect);
                format!(
                    "SELECT COUNT(*) FROM {asked} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {key} FROM {table} WHERE {key} IS NOT NULL)"
                )
            }
            What::AtLeast(_) => format!("SELECT COUNT(*) FROM {asked}"),
            What::Never { condition, .. } => format!("SELECT COUNT(*) FROM {asked} WHERE {condition}"),
        })
    }
}

impl fmt::Display for ModelTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Unique(columns) => write!(f, "{} is unique", columns.join(", ")),
            What::NotNull(column) => write!(f, "{column} is never missing"),
            What::References { column, table, key } => write!(f, "{column} is a {key} of {table}"),
            What::AtLeast(rows) => write!(f, "at least {rows} rows"),
            What::Never { name, .. } => write!(f, "never: {name}"),
        }
    }
}
