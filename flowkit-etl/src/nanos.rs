//! Days, times and durations of every unit as nanoseconds, which can be compared.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};

/// What nanoseconds are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// The beginning of 1970, UTC. Times without a zone are UTC.
    Epoch,
    /// Midnight.
    Midnight,
    /// The beginning of what lasts so long.
    Beginning,
}

/// What the nanoseconds of a type are counted from, if it is a day, a time or a duration, and how many of them its unit has.
pub(crate) fn unit_of(data_type: &DataType) -> Option<(Since, i128)> {
    let of = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    match data_type {
        DataType::Date32 => Some((Since::Epoch, 86_400_000_000_000)),
        DataType::Date64 => Some((Since::Epoch, 1_000_000)),
        DataType::Timestamp(unit, _) => Some((Since::Epoch, of(unit))),
        DataType::Time32(unit) | DataType::Time64(unit) => Some((Since::Midnight, of(unit))),
        DataType::Duration(unit) => Some((Since::Beginning, of(unit))),
        _ => None,
    }
}

/// The values of a column of such a type.
#[derive(Debug, Clone)]
pub(crate) struct Nanos {
    /// In the column's unit.
    pub(crate) counts: Int64Array,
    pub(crate) unit: i128,
}

impl Nanos {
    /// Nothing, if the column is of another type.
    pub(crate) fn of(column: &ArrayRef) -> Result<Option<Self>, ArrowError> {
        let Some((_, unit)) = unit_of(column.data_type()) else {
            return Ok(None);
        };
        let counts = cast(column, &DataType::Int64)?;
        Ok(Some(Self {
            counts: counts.as_primitive::<Int64Type>().clone(),
            unit,
        }))
    }

    #[cfg(any(feature = "validation", feature = "sql"))]
    pub(crate) fn at(&self, row: usize) -> Option<i128> {
        let is_there = self.counts.is_valid(row);
        is_there.then(|| i128::from(self.counts.value(row)) * self.unit)
    }
}
