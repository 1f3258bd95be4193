use super::*;

use arrow_array::{Float32Array, Float64Array, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::IntervalUnit;

/// What becomes of a value.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It is this one.
    Kept(&'static str),
    /// It would be another one.
    Lost,
    /// It cannot be one of the type.
    Missing,
}

use Fate::{Kept, Lost, Missing};

const TEXT: DataType = DataType::Utf8;
const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn zoned(unit: TimeUnit, zone: &str) -> DataType {
    DataType::Timestamp(unit, Some(zone.into()))
}

fn paris() -> DataType {
    zoned(TimeUnit::Microsecond, "Europe/Paris")
}

fn utc() -> DataType {
    zoned(TimeUnit::Microsecond, "UTC")
}

/// One value, as it is written, and one that is missing.
fn column(text: &str, of: &DataType) -> ArrayRef {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some(text)]));
    let by_number = |_| cast(&cast(&texts, &DataType::Int64)?, of);
    cast(&texts, of).or_else(by_number).unwrap()
}

fn check(cases: impl IntoIterator<Item = (DataType, &'static str, DataType, Fate)>) {
    for (from, text, to, fate) in cases {
        let found = column(text, &from);
        assert!(found.is_valid(1), "{text} as {from}");
        let coerced = Coerced::new(&found, &to).unwrap();
        let of = format!("{text} of {from} as {to}");
        assert_eq!(coerced.column.data_type(), &to, "{of}");
        let missing = missing_in(&coerced.column);
        assert!(missing(0), "{of}");
        // As records are checked, and as what a database answers.
        let first_lost = coerced.first_lost(&found);
        match fate {
            Missing => assert!(missing(1), "{of}"),
            Lost => assert!(!missing(1) && coerced.is_lost(1), "{of}"),
            Kept(value) => {
                let shown = array_value_to_string(&coerced.column, 1).unwrap();
                assert_eq!((shown.as_str(), coerced.is_lost(1)), (value, false), "{of}");
            }
        }
        let kept = matches!(fate, Kept(_));
        assert_eq!(first_lost, (!kept).then_some(1), "{of}");
    }
}

#[test]
fn a_time_without_a_zone_is_utc_and_a_text_with_one_is_that_moment() {
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    check([
        (
            TEXT,
            "2013-02-04T18:30:00",
            paris(),
            Kept("2013-02-04T19:30:00+01:00"),
        ),
        (
            TEXT,
            "2013-02-04T18:30:00+02:00",
            paris(),
            Kept("2013-02-04T17:30:00+01:00"),
        ),
        (
            TEXT,
            "2013-02-04T18:30:00Z",
            paris(),
            Kept("2013-02-04T19:30:00+01:00"),
        ),
        (TEXT, "2013-02-04", paris(), Kept("2013-02-04T01:00:00+01:00")),
        // There was no such time on the clocks of Paris.
        (
            TEXT,
            "2013-03-31T02:30:00",
            paris(),
            Kept("2013-03-31T04:30:00+02:00"),
        ),
        (
            TEXT,
            "2013-02-04T18:30:00.5",
            zoned(TimeUnit::Second, "+02:00"),
            Lost,
        ),
        (
            TEXT,
            "2013-02-04T18:30:00+02:00",
            TIME,
            Kept("2013-02-04T16:30:00"),
        ),
        (TEXT, "soon", paris(), Missing),
        (
            DataType::Date32,
            "2013-02-04",
            paris(),
            Kept("2013-02-04T01:00:00+01:00"),
        ),
        (
            DataType::Date64,
            "2013-02-04",
            paris(),
            Kept("2013-02-04T01:00:00+01:00"),
        ),
        (
            TIME,
            "2013-02-04T18:30:00",
            paris(),
            Kept("2013-02-04T19:30:00+01:00"),
        ),
        (
            TIME,
            "2013-02-04T18:30:00.5",
            zoned(TimeUnit::Second, "UTC"),
            Lost,
        ),
        (
            utc(),
            "2013-02-04T18:30:00Z",
            paris(),
            Kept("2013-02-04T19:30:00+01:00"),
        ),
        (
            utc(),
            "2013-02-04T18:30:00Z",
            seconds.clone(),
            Kept("2013-02-04T18:30:00"),
        ),
        (utc(), "2013-02-04T18:30:00.25Z", seconds, Lost),
    ]);
}

#[test]
fn a_day_is_one_in_utc_and_a_moment_within_it_is_not_the_day() {
    check([
        (TEXT, "2013-02-04", DataType::Date32, Kept("2013-02-04")),
        (TEXT, "2013-02-04T00:00:00", DataType::Date32, Kept("2013-02-04")),
        (TEXT, "2013-02-04T18:30:00", DataType::Date32, Lost),
        (TEXT, "2013-02-04T00:00:00+02:00", DataType::Date32, Lost),
        (TEXT, "9999-12-31", DataType::Date32, Kept("9999-12-31")),
        (TEXT, "9999-12-31T18:30:00", DataType::Date32, Lost),
        (
            TEXT,
            "2013-02-04T18:30:00.25",
            DataType::Date64,
            Kept("2013-02-04T18:30:00.250"),
        ),
        (
            utc(),
            "2013-02-04T00:00:00Z",
            DataType::Date32,
            Kept("2013-02-04"),
        ),
        (
            utc(),
            "1913-02-04T00:00:00Z",
            DataType::Date32,
            Kept("1913-02-04"),
        ),
        (utc(), "2013-02-04T18:30:00Z", DataType::Date32, Lost),
        (
            paris(),
            "2013-02-04T01:00:00+01:00",
            DataType::Date32,
            Kept("2013-02-04"),
        ),
        (paris(), "2013-02-04T00:00:00+01:00", DataType::Date32, Lost),
        (
            paris(),
            "2013-02-04T18:30:00Z",
            DataType::Date64,
            Kept("2013-02-04T18:30:00"),
        ),
        (TIME, "2013-02-04T18:30:00.0005", DataType::Date64, Lost),
        (DataType::Date64, "2013-02-04T18:30:00", DataType::Date32, Lost),
        (
            DataType::Date32,
            "9999-12-31",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            Missing,
        ),
    ]);
}

#[test]
fn times_of_the_day_and_durations_keep_all_of_it_and_a_moment_is_neither() {
    let (seconds, nanos) = (
        DataType::Time32(TimeUnit::Second),
        DataType::Time64(TimeUnit::Nanosecond),
    );
    let lasts = DataType::Duration;
    check([
        (TEXT, "18:30:00", seconds.clone(), Kept("18:30:00")),
        (TEXT, "18:30:00.5", seconds.clone(), Lost),
        (nanos.clone(), "18:30:00", seconds.clone(), Kept("18:30:00")),
        (nanos.clone(), "18:30:00.5", seconds, Lost),
        (TIME, "2013-02-04T18:30:00", nanos.clone(), Lost),
        (utc(), "2013-02-04T18:30:00Z", nanos, Lost),
        (
            lasts(TimeUnit::Millisecond),
            "2000",
            lasts(TimeUnit::Second),
            Kept("PT2S"),
        ),
        (
            lasts(TimeUnit::Millisecond),
            "2001",
            lasts(TimeUnit::Second),
            Lost,
        ),
        (
            lasts(TimeUnit::Second),
            "9223372036854775807",
            lasts(TimeUnit::Nanosecond),
            Missing,
        ),
        (
            lasts(TimeUnit::Second),
            "2",
            DataType::Interval(IntervalUnit::MonthDayNano),
            Kept("2.000000000 secs"),
        ),
    ]);
}

#[test]
fn an_exact_number_keeps_all_its_digits_however_many_there_are() {
    let hundredths = DataType::Decimal128(10, 2);
    let long = "0.1000000000000000000000000000000000000001";
    check([
        (TEXT, "1.239", hundredths.clone(), Lost),
        (TEXT, "1.230", hundredths.clone(), Kept("1.23")),
        (TEXT, "-12", hundredths.clone(), Kept("-12.00")),
        (TEXT, "-0.000", hundredths.clone(), Kept("0.00")),
        (TEXT, long, DataType::Decimal256(50, 40), Kept(long)),
        (TEXT, long, DataType::Decimal256(50, 39), Lost),
        (TEXT, "many", hundredths.clone(), Missing),
        (DataType::Decimal128(10, 3), "1.239", hundredths.clone(), Lost),
        (
            DataType::Decimal128(10, 3),
            "1.230",
            hundredths.clone(),
            Kept("1.23"),
        ),
        (DataType::Float64, "1.25", hundredths.clone(), Kept("1.25")),
        (DataType::Float64, "1.255", hundredths.clone(), Lost),
        (hundredths.clone(), "1.25", DataType::Float64, Kept("1.25")),
        (hundredths, "1.25", DataType::Int64, Lost),
    ]);
}

#[test]
fn what_cannot_come_back_counts_as_another_value_and_a_text_keeps_everything() {
    let entries = |of: DataType| DataType::Dictionary(Box::new(DataType::Int32), Box::new(of));
    check([
        (DataType::Float64, "3.7", DataType::Int64, Lost),
        (DataType::Float64, "3", DataType::Int64, Kept("3")),
        (DataType::Float64, "0.1", DataType::Float32, Lost),
        (DataType::Int64, "9007199254740993", DataType::Float64, Lost),
        (DataType::Int64, "-1", DataType::UInt8, Missing),
        (DataType::Int64, "5", DataType::Boolean, Lost),
        (DataType::Int64, "1", DataType::Boolean, Kept("true")),
        (
            DataType::Int64,
            "1360002600000000",
            paris(),
            Kept("2013-02-04T19:30:00+01:00"),
        ),
        (TEXT, "true", DataType::Boolean, Kept("true")),
        (TEXT, "1.5", DataType::Int64, Missing),
        (entries(TEXT), "1.239", DataType::Decimal128(10, 2), Lost),
        (TEXT, "1.239", entries(DataType::Decimal128(10, 2)), Lost),
        (TEXT, "a", entries(TEXT), Kept("a")),
        (utc(), "2013-02-04T18:30:00Z", TEXT, Kept("2013-02-04T18:30:00Z")),
    ]);
}

#[test]
fn a_text_is_kept_by_a_float_that_is_it_in_as_many_digits() {
    let kept_by_32 = |text: &str| {
        let column: ArrayRef = Arc::new(Float32Array::from(vec![text.parse::<f32>().unwrap()]));
        is_kept(text, &column, 0)
    };
    for text in [
        "0",
        "-0.0",
        "1.50",
        "0.1",
        "+140.333",
        "0.100000001",
        "1e30",
        "0.100000001490116119384765625",
        "16777216",
        "1.17549435E-38",
        "nan",
        "inf",
    ] {
        assert!(kept_by_32(text), "{text}");
    }
    let endless = format!("0.{}", "3".repeat(70_000));
    for text in [
        "3.14159265358979",
        "16777217",
        "1e39",
        "1e-50",
        "0.123456789",
        &endless,
    ] {
        assert!(!kept_by_32(text), "{text}");
    }
    let kept_by_64 = |text: &str| {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![text.parse::<f64>().unwrap()]));
        is_kept(text, &column, 0)
    };
    for text in [
        "3.14159265358979323846",
        "0.10000000000000001",
        "9007199254740992",
        "1e300",
        &endless,
    ] {
        assert!(kept_by_64(text), "{text}");
    }
    let long = "3".repeat(70_000);
    for text in ["9007199254740993", "1e400", "1e99999999999999999999", &long] {
        assert!(!kept_by_64(text), "{text}");
    }
}
