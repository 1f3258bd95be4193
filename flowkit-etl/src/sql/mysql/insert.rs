//! Rows into a table, many in each statement.

use arrow_array::Array as _;
use arrow_schema::DataType;
use futures::StreamExt;
use sqlx::mysql::{MySqlArguments, MySqlColumn};
use sqlx::{Arguments as _, AssertSqlSafe, Column as _, TypeInfo as _};

use super::MySqlSession;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Dialect;
use crate::sql::plain::{self, Plain};
use crate::sql::session::Destination;
use crate::stream::BatchStream;
use crate::value;

/// How many rows a statement has at most.
const ROWS: usize = 1000;
/// How many parameters the server takes.
const PARAMETERS: usize = 65_535;
/// A statement ends once its texts and bytes are as large as this, well below the smallest packet that servers are set to take by default.
const BYTES: usize = 1 << 20;

impl MySqlSession {
    pub(super) async fn insert(&mut self, into: &Destination, batches: &mut BatchStream) -> Result<u64> {
        let most = (PARAMETERS / into.columns.len().max(1)).clamp(1, ROWS);
        let full = into.insert(Dialect::MySql, most);
        let whole = self.whole(into).await?;
        let mut total = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let rows = batch.num_rows();
            let columns = crate::blocking::run(move || plain::of(&batch)).await?;
            let mut row = 0;
            while row < rows {
                let (start, mut bytes) = (row, 0);
                let mut arguments = MySqlArguments::default();
                while row < rows && row - start < most && bytes < BYTES {
                    for ((name, column), whole) in into.columns.iter().zip(&columns).zip(&whole) {
                        if *whole && let Some(number) = fraction(column, row) {
                            return Err(rounded(name, &number));
                        }
                        bytes += bind(&mut arguments, name, column, row)?;
                    }
                    row += 1;
                }
                let is_full = row - start == most;
                let statement = if is_full {
                    full.clone()
                } else {
                    into.insert(Dialect::MySql, row - start)
                };
                let query = sqlx::query_with(AssertSqlSafe(statement), arguments).persistent(is_full);
                query
                    .execute(&mut self.connection)
                    .await
                    .map_err(|error| self.database.failed("load into", error))?;
            }
            total += rows as u64;
        }
        Ok(total)
    }

    /// Which columns take whole numbers alone: MySQL rounds others, and says nothing.
    async fn whole(&mut self, into: &Destination) -> Result<Vec<bool>> {
        let (columns, table) = (
            Dialect::MySql.list(&into.columns),
            into.table.quoted(Dialect::MySql),
        );
        let described = self.described(&format!("SELECT {columns} FROM {table}")).await;
        let (described, _) = described.map_err(|error| self.database.failed("load into", error))?;
        let digits = self.digits(&described).await;
        let digits = digits.map_err(|error| self.database.failed("load into", error))?;
        let is_whole = |(index, column): (usize, &MySqlColumn)| {
            let name = column.type_info().name();
            let has_no_fraction = matches!(digits.get(&index), Some(DataType::Decimal128(_, 0)));
            name.contains("INT") || matches!(name, "BOOLEAN" | "YEAR") || has_no_fraction
        };
        Ok(described.iter().enumerate().map(is_whole).collect())
    }
}

/// A number that is not whole.
fn fraction(column: &Plain, row: usize) -> Option<String> {
    let is_fraction = |number: f64| number.is_finite() && number.fract() != 0.0;
    let number = |number: f64| is_fraction(number).then(|| number.to_string());
    match column {
        Plain::Float(array) if array.is_valid(row) => number(array.value(row).into()),
        Plain::Double(array) if array.is_valid(row) => number(array.value(row)),
        // Exact numbers too: of those, a float may not have the fraction.
        Plain::Text(array) if array.is_valid(row) => {
            let text = array.value(row).trim();
            let digits = text.split_once('.').map_or("", |(_, digits)| digits);
            let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit());
            let has_fraction = is_plain && digits.bytes().any(|digit| digit != b'0');
            let is_one = text
                .parse()
                .is_ok_and(|number: f64| is_fraction(number) || has_fraction);
            is_one.then(|| text.to_owned())
        }
        _ => None,
    }
}

fn rounded(name: &str, number: &str) -> Error {
    let message = format!(
        "the column `{name}` of the table takes whole numbers, and a row has {number}, which MySQL would round: cast it, or change the column"
    );
    Error::new(ErrorKind::Rejected, message)
}

/// Whether MySQL knows the year. Of others it makes 0000-00-00, which is read as missing, and says nothing.
fn has_year(day: &impl chrono::Datelike) -> bool {
    (0..=9999).contains(&day.year())
}

fn no_year(name: &str) -> Error {
    let message =
        format!("the column `{name}` has a day before the year 0 or after 9999, which MySQL cannot hold");
    Error::new(ErrorKind::Rejected, message)
}

/// A value of a row, as a parameter; and how many bytes it has, if that may be many.
fn bind(arguments: &mut MySqlArguments, name: &str, column: &Plain, row: usize) -> Result<usize> {
    macro_rules! value {
        ($array:expr) => {
            arguments.add((!$array.is_null(row)).then(|| $array.value(row)))
        };
    }
    let not_a_number = || {
        let message = format!("the column `{name}` has what is not a number (NaN), which MySQL cannot hold");
        Error::new(ErrorKind::Schema, message)
    };
    let mut bytes = 0;
    let added = match column {
        Plain::Boolean(array) => value!(array),
        Plain::Integer(array) => value!(array),
        Plain::Unsigned(array) => value!(array),
        Plain::Float(array) if !array.is_null(row) && array.value(row).is_nan() => return Err(not_a_number()),
        Plain::Double(array) if !array.is_null(row) && array.value(row).is_nan() => {
            return Err(not_a_number());
        }
        Plain::Float(array) => value!(array),
        Plain::Double(array) => value!(array),
        Plain::Text(array) => {
            bytes = array.value(row).len();
            value!(array)
        }
        Plain::Bytes(array) => {
            bytes = array.value(row).len();
            value!(array)
        }
        Plain::Date(array) => {
            let day = array.value_as_date(row).filter(|_| !array.is_null(row));
            if day.is_some_and(|day| !has_year(&day)) {
                return Err(no_year(name));
            }
            arguments.add(day)
        }
        Plain::Time(array) => arguments.add(array.value_as_time(row).filter(|_| !array.is_null(row))),
        Plain::Timestamp(array) => {
            let moment = array.value_as_datetime(row).filter(|_| !array.is_null(row));
            if moment.is_some_and(|moment| !has_year(&moment)) {
                return Err(no_year(name));
            }
            arguments.add(moment)
        }
    };
    added.map_err(value::no_parameter)?;
    Ok(bytes)
}
