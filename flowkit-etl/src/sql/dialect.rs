//! What databases say differently: names, places of parameters, types of columns.

use arrow_schema::{DataType, TimeUnit};

use crate::error::{Error, ErrorKind, Result};

/// The language of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each feature has its own")]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    MySql,
}

/// The type of a text in MySQL and MariaDB that has an index, and of which two are equal only if all their characters are, spaces at their ends among them: each of both knows another name for that.
pub(crate) const EXACT_TEXT: &str = "VARCHAR(255) CHARACTER SET utf8mb4 /*!80017 COLLATE utf8mb4_0900_bin */ /*M!100202 COLLATE utf8mb4_nopad_bin */";

/// A table, perhaps in a schema: `plants` or `raw.plants`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    parts: Vec<String>,
}

impl TableName {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        let fit = |part: &String| !part.trim().is_empty() && !part.contains('\0');
        if parts.len() <= 2 && parts.iter().all(fit) {
            return Ok(Self { parts });
        }
        let message = format!("{name:?} is no name of a table: it is `table` or `schema.table`");
        Err(Error::new(ErrorKind::Options, message))
    }

    /// As it stands in a statement.
    pub(crate) fn quoted(&self, dialect: Dialect) -> String {
        let parts: Vec<String> = self.parts.iter().map(|part| dialect.quoted(part)).collect();
        parts.join(".")
    }

    /// A table in the same schema, whose name goes on so.
    pub(crate) fn beside(&self, ending: &str) -> Self {
        let mut parts = self.parts.clone();
        if let Some(name) = parts.last_mut() {
            name.push_str(ending);
        }
        Self { parts }
    }

    /// The schema, if one was given, and the name.
    pub(crate) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// As it was given.
    pub(crate) fn plain(&self) -> String {
        self.parts.join(".")
    }
}

impl Dialect {
    /// A name as it stands in a statement, whatever characters it has.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            // SQLite takes a name in double quotes that nothing has for a text.
            Self::Sqlite | Self::MySql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Names one after the other.
    pub(crate) fn list<'a>(self, names: impl IntoIterator<Item = &'a String>) -> String {
        let names: Vec<String> = names.into_iter().map(|name| self.quoted(name)).collect();
        names.join(", ")
    }

    /// Where the how-manieth parameter stands, from 1 on.
    pub(crate) fn place(self, number: usize) -> String {
        match self {
            Self::MySql => "?".to_owned(),
            Self::Sqlite | Self::Postgres => format!("${number}"),
        }
    }

    /// What begins the transaction of a load.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            // Two loads that both read before they write would make each other fail.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
            Self::MySql => "START TRANSACTION",
        }
    }

    /// Whether a table that is made, too, waits for all who read the database, so that whoever writes what he reads must make it in the transaction that ends when all is read.
    pub(crate) fn waits_for_readers(self) -> bool {
        self == Self::Sqlite
    }

    /// Whether a table that a transaction makes goes with it when it fails.
    pub(crate) fn makes_tables_in_transactions(self) -> bool {
        self != Self::MySql
    }

    /// The type of a column that holds values of an Arrow type. A key has a type that can be indexed.
    pub(crate) fn column_type(self, name: &str, data_type: &DataType, key: bool) -> Result<String> {
        use DataType as Arrow;
        let which = |sqlite: &str, postgres: &str, mysql: &str| {
            match self {
                Self::Sqlite => sqlite,
                Self::Postgres => postgres,
                Self::MySql => mysql,
            }
            .to_owned()
        };
        Ok(match data_type {
            Arrow::Boolean => which("BOOLEAN", "BOOLEAN", "BOOLEAN"),
            Arrow::Int8 | Arrow::Int16 | Arrow::UInt8 => which("INTEGER", "SMALLINT", "SMALLINT"),
            Arrow::Int32 | Arrow::UInt16 => which("INTEGER", "INTEGER", "INT"),
            Arrow::Int64 | Arrow::UInt32 => which("INTEGER", "BIGINT", "BIGINT"),
            Arrow::UInt64 => which("INTEGER", "NUMERIC(20)", "BIGINT UNSIGNED"),
            Arrow::Float16 | Arrow::Float32 => which("REAL", "REAL", "FLOAT"),
            Arrow::Float64 => which("REAL", "DOUBLE PRECISION", "DOUBLE"),
            Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View | Arrow::Null if key => {
                which("TEXT", "TEXT", EXACT_TEXT)
            }
            Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View | Arrow::Null => {
                which("TEXT", "TEXT", "LONGTEXT")
            }
            Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => {
                which("BLOB", "BYTEA", if key { "VARBINARY(255)" } else { "LONGBLOB" })
            }
            Arrow::Date32 | Arrow::Date64 => which("DATE", "DATE", "DATE"),
            Arrow::Time32(_) | Arrow::Time64(_) => which("TIME", "TIME", "TIME(6)"),
            Arrow::Timestamp(_, None) => which("DATETIME", "TIMESTAMP", "DATETIME(6)"),
            // In UTC, where the database has no type that says so.
            Arrow::Timestamp(_, Some(_)) => which("DATETIME", "TIMESTAMPTZ", "DATETIME(6)"),
            // SQLite would make numbers with a fraction of them, which are not exact.
            Arrow::Decimal32(digits, scale)
            | Arrow::Decimal64(digits, scale)
            | Arrow::Decimal128(digits, scale)
            | Arrow::Decimal256(digits, scale)
                if *scale >= 0 =>
            {
                match self {
                    Self::Sqlite => "TEXT".to_owned(),
                    Self::Postgres => format!("NUMERIC({digits}, {scale})"),
                    Self::MySql => format!("DECIMAL({digits}, {scale})"),
                }
            }
            Arrow::Dictionary(_, values) => return self.column_type(name, values, key),
            other => return Err(no_type(name, other)),
        })
    }
}

/// Columns of this type are in no database.
pub(crate) fn no_type(name: &str, data_type: &DataType) -> Error {
    let message = format!(
        "the column `{name}` is of a type that no table has, {data_type}: make a text of it, or columns of its parts"
    );
    Error::new(ErrorKind::Schema, message)
}

/// The type in which values of a column go into statements: few, so that each database needs to know few.
pub(crate) fn plain_type(name: &str, data_type: &DataType) -> Result<DataType> {
    use DataType as Arrow;
    Ok(match data_type {
        Arrow::Boolean | Arrow::Float32 | Arrow::Float64 | Arrow::UInt64 | Arrow::Int64 => data_type.clone(),
        Arrow::Int8 | Arrow::Int16 | Arrow::Int32 | Arrow::UInt8 | Arrow::UInt16 | Arrow::UInt32 => {
            Arrow::Int64
        }
        Arrow::Float16 => Arrow::Float32,
        Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View | Arrow::Null => Arrow::Utf8,
        Arrow::Decimal32(..) | Arrow::Decimal64(..) | Arrow::Decimal128(..) | Arrow::Decimal256(..) => {
            Arrow::Utf8
        }
        Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => Arrow::Binary,
        Arrow::Date32 | Arrow::Date64 => Arrow::Date32,
        Arrow::Time32(_) | Arrow::Time64(_) => Arrow::Time64(TimeUnit::Microsecond),
        Arrow::Timestamp(_, zone) => {
            Arrow::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
        }
        Arrow::Dictionary(_, values) => plain_type(name, values)?,
        other => return Err(no_type(name, other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_a_name_whatever_characters_it_has() {
        assert_eq!(
            Dialect::Postgres.quoted("a\"; DROP TABLE b"),
            "\"a\"\"; DROP TABLE b\""
        );
        assert_eq!(Dialect::MySql.quoted("a`b"), "`a``b`");
        assert_eq!(Dialect::Sqlite.quoted("a`b\""), "`a``b\"`");
        assert_eq!(
            TableName::new("raw.plants").unwrap().quoted(Dialect::MySql),
            "`raw`.`plants`"
        );
        for name in ["", ".", "a.", "a.b.c", "a\0"] {
            assert_eq!(
                TableName::new(name).unwrap_err().kind(),
                ErrorKind::Options,
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_list_is_in_no_table() {
        let item = arrow_schema::Field::new("item", DataType::Int64, true);
        let error = Dialect::Sqlite
            .column_type("leaves", &DataType::List(item.into()), false)
            .unwrap_err();
        assert!(error.to_string().starts_with("the column `leaves`"), "{error}");
    }
}
