//! Values that are held against bounds and against each other, whatever their types.

use std::sync::Arc;

use arrow_cast::cast;
use flowkit_etl::arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray, NullArray,
    RecordBatch, StringArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array, types::Int64Type,
};
use flowkit_etl::arrow_schema::{DataType, TimeUnit};
use flowkit_etl::quality::{Check, CheckOutcome, Comparison, Quality};
use flowkit_etl::{BatchStream, ErrorKind, Result};

async fn measured(columns: &[(&str, ArrayRef)], check: Check) -> Result<CheckOutcome> {
    let columns = columns.iter().map(|(name, column)| (*name, column.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let stream = BatchStream::of(batch.schema(), vec![batch]);
    let report = Quality::new("values").check(check).measure(stream).await?;
    Ok(report.checks.into_iter().next().unwrap())
}

/// How many rows counted, and which are bad.
fn found(outcome: &CheckOutcome) -> (u64, Vec<u64>) {
    let rows = outcome.examples.iter().map(|example| example.row).collect();
    (outcome.counted, rows)
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

#[tokio::test]
async fn a_text_that_is_no_number_is_not_within_bounds() {
    let within = || Check::within("value", 0.0, 10.0);
    let plain = texts(&[
        Some("5"),
        Some("a plant"),
        None,
        Some("11.5"),
        Some("NaN"),
        Some("1e1"),
    ]);
    let of_entries = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for column in [
        cast(&plain, &of_entries).unwrap(),
        cast(&plain, &DataType::LargeUtf8).unwrap(),
        plain,
    ] {
        let outcome = measured(&[("value", column)], within()).await.unwrap();
        assert_eq!(found(&outcome), (5, vec![1, 3, 4]));
    }
    let nothing = measured(&[("value", Arc::new(NullArray::new(3)))], within()).await;
    assert_eq!(found(&nothing.unwrap()), (0, vec![]));
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.0),
        Some(f64::NAN),
        None,
        Some(f64::INFINITY),
    ]));
    let outcome = measured(&[("value", numbers)], within()).await.unwrap();
    assert_eq!(found(&outcome), (3, vec![1, 3]));
    for column in [
        Arc::new(Date32Array::from(vec![5])) as ArrayRef,
        Arc::new(BooleanArray::from(vec![true])),
    ] {
        let error = measured(&[("value", column)], within()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
    }
}

#[tokio::test]
async fn numbers_of_any_types_are_compared_with_all_that_they_have() {
    let decimals = |digits: u8, scale: i8, numbers: &[&str]| {
        let numbers: ArrayRef = Arc::new(StringArray::from(numbers.to_vec()));
        cast(&numbers, &DataType::Decimal128(digits, scale)).unwrap()
    };
    let cases: [(ArrayRef, ArrayRef, Vec<u64>); 9] = [
        (
            Arc::new(Int32Array::from(vec![1, 1, -1])),
            Arc::new(Int64Array::from(vec![3_000_000_000, 1, -3_000_000_000])),
            vec![0],
        ),
        (
            Arc::new(Int64Array::from(vec![2, 3])),
            Arc::new(Float64Array::from(vec![2.5, 2.5])),
            vec![0],
        ),
        (
            Arc::new(Float64Array::from(vec![1.0, f64::NAN, f64::NAN, 0.0, -0.0])),
            Arc::new(Float64Array::from(vec![f64::NAN, 1.0, f64::NAN, -0.0, 0.0])),
            vec![0, 1, 2],
        ),
        (
            Arc::new(UInt64Array::from(vec![u64::MAX, 0])),
            Arc::new(Int64Array::from(vec![-1, 1])),
            vec![1],
        ),
        (
            decimals(10, 2, &["1.23", "1.24"]),
            decimals(10, 3, &["1.234", "1.234"]),
            vec![0],
        ),
        (
            Arc::new(Int64Array::from(vec![1, 2])),
            decimals(4, 2, &["1.50", "1.50"]),
            vec![0],
        ),
        (
            texts(&[Some("9"), Some("10"), Some("many"), None]),
            Arc::new(Int32Array::from(vec![10, 9, 1, 1])),
            vec![0, 2],
        ),
        (
            Arc::new(Int32Array::from(vec![Some(1), Some(1), None])),
            texts(&[Some("1.5"), Some("?"), Some("?")]),
            vec![0, 1],
        ),
        (
            Arc::new(BooleanArray::from(vec![true, false])),
            Arc::new(Int32Array::from(vec![1, 1])),
            vec![1],
        ),
    ];
    for (left, right, bad) in cases {
        let of = format!("{} beside {}", left.data_type(), right.data_type());
        let missing = left.null_count() as u64;
        let rows = left.len() as u64;
        let check = Check::compare("left", Comparison::GreaterOrEqual, "right");
        let outcome = measured(&[("left", left), ("right", right)], check)
            .await
            .unwrap();
        assert_eq!(found(&outcome), (rows - missing, bad), "{of}");
    }
}

#[tokio::test]
async fn a_text_is_compared_with_an_exact_number_in_all_its_digits() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![9_007_199_254_740_992; 7]));
    let said = texts(&[
        Some("9007199254740993"),
        Some("9007199254740992.0"),
        Some("9007199254740992e0"),
        Some("an id"),
        Some("9007199254740992.000000000000001"),
        Some("9007199254740993e0"),
        Some("9007199254740992.000000000000000000000000000000000000004"),
    ]);
    let entries = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for number in [
        DataType::Int64,
        DataType::UInt64,
        DataType::Decimal128(20, 2),
        DataType::Decimal256(76, 60),
    ] {
        let ids = cast(&ids, &number).unwrap();
        for said in [said.clone(), cast(&said, &entries).unwrap()] {
            for (left, right) in [(&said, &ids), (&ids, &said)] {
                let columns = [("left", left.clone()), ("right", right.clone())];
                let outcome = measured(&columns, Check::compare("left", Comparison::Equal, "right"));
                let of = format!("{} beside {}", left.data_type(), right.data_type());
                assert_eq!(found(&outcome.await.unwrap()), (7, vec![0, 3, 4, 5, 6]), "{of}");
            }
        }
    }
}

#[tokio::test]
async fn a_nan_stands_to_nothing_and_zeros_are_equal() {
    let left: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.0, 1.0]));
    let right: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -0.0, 2.0]));
    for (left, right) in [
        (left.clone(), right.clone()),
        (
            cast(&left, &DataType::Float32).unwrap(),
            cast(&right, &DataType::Float32).unwrap(),
        ),
        (left, cast(&right, &DataType::Float32).unwrap()),
    ] {
        for (comparison, bad) in [
            (Comparison::Equal, vec![0, 2]),
            (Comparison::NotEqual, vec![1]),
            (Comparison::Less, vec![0, 1]),
            (Comparison::LessOrEqual, vec![0]),
            (Comparison::Greater, vec![0, 1, 2]),
            (Comparison::GreaterOrEqual, vec![0, 2]),
        ] {
            let columns = [("left", left.clone()), ("right", right.clone())];
            let outcome = measured(&columns, Check::compare("left", comparison, "right"));
            assert_eq!(found(&outcome.await.unwrap()), (3, bad), "{comparison}");
        }
    }
}

#[tokio::test]
async fn days_and_times_of_any_units_are_compared_as_what_they_are() {
    let day: ArrayRef = Arc::new(Date32Array::from(vec![15_740; 3]));
    let seconds = 15_740 * 86_400;
    let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![
        seconds,
        seconds + 1,
        seconds - 1,
    ]));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
        seconds * 1_000_000_000,
        seconds * 1_000_000_000 + 1,
        seconds * 1_000_000_000 - 1,
    ]));
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let said = texts(&[
        Some("2013-02-04"),
        Some("2013-02-04T00:00:01"),
        Some("2013-02-03 23:59:59.5"),
    ]);
    for right in [times.clone(), nanos, cast(&times, &zoned).unwrap(), said] {
        let of = right.data_type().clone();
        let check = Check::compare("day", Comparison::GreaterOrEqual, "other");
        let outcome = measured(&[("day", day.clone()), ("other", right.clone())], check).await;
        assert_eq!(found(&outcome.unwrap()), (3, vec![1]), "{of}");
        let check = Check::compare("other", Comparison::Less, "day");
        let outcome = measured(&[("day", day.clone()), ("other", right)], check).await;
        assert_eq!(found(&outcome.unwrap()), (3, vec![0, 1]), "{of}");
    }
    // No time of nanoseconds is so far away.
    let forever: ArrayRef = Arc::new(Date32Array::from(vec![2_932_896]));
    let now: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0]));
    let check = Check::compare("now", Comparison::Less, "end");
    let outcome = measured(&[("now", now), ("end", forever)], check).await.unwrap();
    assert_eq!(found(&outcome), (1, vec![]));
}

#[tokio::test]
async fn what_no_type_has_in_common_is_an_error_before_anything_is_read() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(
        1,
    )])]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    for (left, right) in [(list.clone(), list), (day, flag)] {
        let check = Check::compare("left", Comparison::Equal, "right");
        let error = measured(&[("left", left), ("right", right)], check)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
    }
}

#[tokio::test]
async fn keys_without_columns_are_an_error_that_says_so() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let unique = Check::unique(Vec::<String>::new());
    let error = measured(&[("value", column)], unique).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert_eq!(
        error.to_string(),
        "keys are the values of columns: name one at least"
    );
}
