use super::*;

use arrow_array::{Float32Array, Float64Array, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::IntervalUnit;

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
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

fn paris() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Paris".into()))
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// One value, as it is written, and one that is missing.
fn column(text: &str, of: &DataType) -> ArrayRef {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some(text)]));
    let by_number = |_| cast(&cast(&texts, &DataType::Int64)?, of);
    cast(&texts, of).or_else(by_number).unwrap()
}

/// As records are checked, and as what a database answers.
fn check(from: &DataType, to: &DataType, values: &[(&str, Fate)]) {
    for (text, fate) in values {
        let found = column(text, from);
        assert!(found.is_valid(1), "{text} as {from}");
        let coerced = Coerced::new(&found, to).unwrap();
        let of = format!("{text} of {from} as {to}");
        assert_eq!(coerced.column.data_type(), to, "{of}");
        let missing = missing_in(&coerced.column);
        assert!(missing(0), "{of}");
        match fate {
            Missing => assert!(missing(1), "{of}"),
            Lost => assert!(!missing(1) && coerced.is_lost(1), "{of}"),
            Kept(value) => {
                let shown = array_value_to_string(&coerced.column, 1).unwrap();
                assert_eq!((shown.as_str(), coerced.is_lost(1)), (*value, false), "{of}");
            }
        }
        let kept = matches!(fate, Kept(_));
        assert_eq!(coerced.first_lost(&found), (!kept).then_some(1), "{of}");
    }
}

#[test]
fn a_time_without_a_zone_is_utc_and_a_text_with_one_is_that_moment() {
    let evening = Kept("2013-02-04T19:30:00+01:00");
    let texts = [
        ("2013-02-04T18:30:00", evening),
        ("2013-02-04T18:30:00Z", evening),
        ("2013-02-04T20:30:00+02:00", evening),
        ("2013-02-04", Kept("2013-02-04T01:00:00+01:00")),
        // There was no such time on the clocks of Paris.
        ("2013-03-31T02:30:00", Kept("2013-03-31T04:30:00+02:00")),
        ("soon", Missing),
    ];
    check(&TEXT, &paris(), &texts);
    check(&TIME, &paris(), &[("2013-02-04T18:30:00", evening)]);
    check(&utc(), &paris(), &[("2013-02-04T18:30:00Z", evening)]);
    check(&DataType::Int64, &paris(), &[("1360002600000000", evening)]);
    for days in [DataType::Date32, DataType::Date64] {
        let midnight = Kept("2013-02-04T01:00:00+01:00");
        check(&days, &paris(), &[("2013-02-04", midnight)]);
    }
    let of_text = [("2013-02-04T18:30:00+02:00", Kept("2013-02-04T16:30:00"))];
    check(&TEXT, &TIME, &of_text);
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let of_utc = [
        ("2013-02-04T18:30:00Z", Kept("2013-02-04T18:30:00")),
        ("2013-02-04T18:30:00.25Z", Lost),
    ];
    check(&utc(), &seconds, &of_utc);
    for from in [TEXT, TIME] {
        let of_seconds = DataType::Timestamp(TimeUnit::Second, Some("+02:00".into()));
        check(&from, &of_seconds, &[("2013-02-04T18:30:00.5", Lost)]);
    }
}

#[test]
fn a_day_is_one_in_utc_and_a_moment_within_it_is_not_the_day() {
    let day = Kept("2013-02-04");
    let texts = [
        ("2013-02-04", day),
        ("2013-02-04T00:00:00", day),
        ("2013-02-04T18:30:00", Lost),
        ("2013-02-04T00:00:00+02:00", Lost),
        ("9999-12-31", Kept("9999-12-31")),
        ("9999-12-31T18:30:00", Lost),
    ];
    check(&TEXT, &DataType::Date32, &texts);
    let moments = [
        ("2013-02-04T00:00:00Z", day),
        ("1913-02-04T00:00:00Z", Kept("1913-02-04")),
        ("2013-02-04T18:30:00Z", Lost),
        ("2013-02-04T00:00:00+01:00", Lost),
    ];
    for from in [utc(), paris()] {
        check(&from, &DataType::Date32, &moments);
    }
    let evening = Kept("2013-02-04T18:30:00");
    check(&paris(), &DataType::Date64, &[("2013-02-04T18:30:00Z", evening)]);
    check(&TIME, &DataType::Date64, &[("2013-02-04T18:30:00.0005", Lost)]);
    let of_text = [("2013-02-04T18:30:00.25", Kept("2013-02-04T18:30:00.250"))];
    check(&TEXT, &DataType::Date64, &of_text);
    let of_day = [("2013-02-04T18:30:00", Lost), ("2013-02-04", day)];
    check(&DataType::Date64, &DataType::Date32, &of_day);
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    check(&DataType::Date32, &nanos, &[("9999-12-31", Missing)]);
}

#[test]
fn times_of_the_day_and_durations_keep_all_of_it_and_a_moment_is_neither() {
    let seconds = DataType::Time32(TimeUnit::Second);
    let nanos = DataType::Time64(TimeUnit::Nanosecond);
    for from in [&TEXT, &nanos] {
        let times = [("18:30:00", Kept("18:30:00")), ("18:30:00.5", Lost)];
        check(from, &seconds, &times);
    }
    for from in [TIME, utc(), paris()] {
        check(&from, &nanos, &[("2013-02-04T18:30:00", Lost)]);
    }
    let lasts = DataType::Duration;
    let (seconds, millis) = (lasts(TimeUnit::Second), lasts(TimeUnit::Millisecond));
    check(&millis, &seconds, &[("2000", Kept("PT2S")), ("2001", Lost)]);
    let forever = [("9223372036854775807", Missing)];
    check(&seconds, &lasts(TimeUnit::Nanosecond), &forever);
}

#[test]
fn an_exact_number_keeps_all_its_digits_however_many_there_are() {
    let hundredths = DataType::Decimal128(10, 2);
    let texts = [
        ("1.239", Lost),
        ("1.230", Kept("1.23")),
        ("-12", Kept("-12.00")),
        ("-0.000", Kept("0.00")),
        ("many", Missing),
    ];
    check(&TEXT, &hundredths, &texts);
    let long = "0.1000000000000000000000000000000000000001";
    check(&TEXT, &DataType::Decimal256(50, 40), &[(long, Kept(long))]);
    check(&TEXT, &DataType::Decimal256(50, 39), &[(long, Lost)]);
    for from in [DataType::Decimal128(10, 3), DataType::Float64] {
        let numbers = [("1.239", Lost), ("1.230", Kept("1.23"))];
        check(&from, &hundredths, &numbers);
    }
    check(&hundredths, &DataType::Float64, &[("1.25", Kept("1.25"))]);
    check(&hundredths, &DataType::Int64, &[("1.25", Lost)]);
}

#[test]
fn what_cannot_come_back_counts_as_another_value_and_a_text_keeps_everything() {
    let floats = [("3.7", Lost), ("3", Kept("3"))];
    check(&DataType::Float64, &DataType::Int64, &floats);
    check(&DataType::Float64, &DataType::Float32, &[("0.1", Lost)]);
    let odd = [("9007199254740993", Lost)];
    check(&DataType::Int64, &DataType::Float64, &odd);
    check(&DataType::Int64, &DataType::UInt8, &[("-1", Missing)]);
    let truths = [("5", Lost), ("1", Kept("true"))];
    check(&DataType::Int64, &DataType::Boolean, &truths);
    check(&TEXT, &DataType::Boolean, &[("true", Kept("true"))]);
    check(&TEXT, &DataType::Int64, &[("1.5", Missing)]);
    let months = DataType::Interval(IntervalUnit::YearMonth);
    let days = DataType::Interval(IntervalUnit::MonthDayNano);
    check(&months, &days, &[("1 month", Lost)]);
    let entries = |of| DataType::Dictionary(Box::new(DataType::Int32), Box::new(of));
    let hundredths = DataType::Decimal128(10, 2);
    check(&entries(TEXT), &hundredths, &[("1.239", Lost)]);
    check(&TEXT, &entries(hundredths), &[("1.239", Lost)]);
    check(&TEXT, &entries(TEXT), &[("a", Kept("a"))]);
    let moment = Kept("2013-02-04T18:30:00Z");
    check(&utc(), &TEXT, &[("2013-02-04T18:30:00Z", moment)]);
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
}

#[test]
fn a_text_with_a_fraction_is_kept_by_the_float_of_64_bits_that_is_nearest_to_it() {
    let endless = format!("0.{}", "3".repeat(70_000));
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

#[test]
fn a_time_in_a_text_with_more_digits_than_any_type_has_place_for_is_not_kept() {
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    check(&TEXT, &nanos, &[("2013-02-04T18:30:00.1234567891", Lost)]);
    check(&TEXT, &TIME, &[("9999-12-31T23:59:59.9999999", Lost)]);
    let nanos = DataType::Time64(TimeUnit::Nanosecond);
    check(&TEXT, &nanos, &[("18:30:00.1234567891", Lost)]);
}
