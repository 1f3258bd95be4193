//! The quality of data, measured while they stream past.

mod comparisons;
mod distributions;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arrow_cast::cast;
use flowkit_etl::arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, RecordBatch, StringArray,
    cast::AsArray,
};
use flowkit_etl::arrow_schema::{DataType, TimeUnit};
use flowkit_etl::quality::{
    Baseline, Check, CheckOutcome, Comparison, KeySet, Quality, QualityReport, Verdict,
};
use flowkit_etl::{BatchStream, ErrorKind, batch_of};
use serde_json::{Value, json};

use crate::plants::columns;

const COLUMNS: [(&str, DataType); 5] = [
    ("plant", DataType::Utf8),
    ("scenario", DataType::Utf8),
    ("day", DataType::Date32),
    ("first", DataType::Float64),
    ("last", DataType::Int64),
];

/// Records in batches of three.
fn stream(records: &[Value]) -> BatchStream {
    let schema = columns(&COLUMNS);
    let batches = records
        .chunks(3)
        .map(|chunk| batch_of(&schema, chunk).unwrap())
        .collect();
    BatchStream::of(schema, batches)
}

fn record(plant: &str, scenario: &str, day: &str, first: impl Into<Option<f64>>, last: i64) -> Value {
    json!({"plant": plant, "scenario": scenario, "day": day, "first": first.into(), "last": last})
}

fn season() -> Vec<Value> {
    vec![
        record("a1", "WW", "2013-02-04", 1.5, 2),
        record("b2", "WD", "2013-02-05", None, 3),
        record("c3", "WW", "2013-02-06", 9.0, 4),
        record("a1", "WW", "2013-02-04", 2.5, 1),
        record("D4", "moist", "2013-02-03", -1.0, 7),
    ]
}

async fn measure(check: Check, records: &[Value]) -> CheckOutcome {
    let report = Quality::new("season")
        .check(check)
        .measure(stream(records))
        .await
        .unwrap();
    report.checks.into_iter().next().unwrap()
}

/// The figure, how many rows counted, and which are bad.
fn found(outcome: &CheckOutcome) -> (Option<f64>, u64, Vec<u64>) {
    let rows = outcome.examples.iter().map(|example| example.row).collect();
    (outcome.measured, outcome.counted, rows)
}

#[tokio::test]
async fn each_share_is_that_of_the_good_rows_among_those_that_count() {
    let season = season();
    let keys = KeySet::collect(stream(&season[..3]), ["plant"]).await.unwrap();
    assert_eq!(keys.len(), 3);
    let long_names = Check::rule("names of one letter and one digit", |batch| {
        let names = batch.column(0).as_string::<i32>();
        Ok((0..names.len())
            .map(|row| Some(names.value(row).len() == 2))
            .collect::<BooleanArray>())
    });
    for (check, figure, counted, bad) in [
        (Check::complete("first"), 0.8, 5, vec![1]),
        (Check::unique(["plant", "day"]), 0.8, 5, vec![3]),
        (Check::unique(["plant"]), 0.8, 5, vec![3]),
        (Check::within("first", 0.0, 5.0), 0.5, 4, vec![2, 4]),
        (Check::within("last", 1.0, 7.0), 1.0, 5, vec![]),
        (Check::one_of("scenario", ["WW", "WD"]), 0.8, 5, vec![4]),
        (Check::one_of("last", ["1", "2", "3"]), 0.6, 5, vec![2, 4]),
        (Check::matching("plant", "^[a-z][0-9]$").unwrap(), 0.8, 5, vec![4]),
        (
            Check::compare("first", Comparison::LessOrEqual, "last"),
            0.5,
            4,
            vec![2, 3],
        ),
        (
            Check::compare("first", Comparison::NotEqual, "last"),
            1.0,
            4,
            vec![],
        ),
        (Check::references(["plant"], Arc::new(keys)), 0.8, 5, vec![4]),
        (long_names, 1.0, 5, vec![]),
    ] {
        let outcome = measure(check, &season).await;
        assert_eq!(
            found(&outcome),
            (Some(figure), counted, bad.clone()),
            "{}",
            outcome.check
        );
        assert_eq!(outcome.verdict == Verdict::Pass, bad.is_empty());
    }
    let outcome = measure(Check::complete("first"), &season).await;
    assert_eq!(
        outcome.examples[0].record,
        "{\"plant\":\"b2\",\"scenario\":\"WD\",\"day\":\"2013-02-05\",\"last\":3}"
    );
}

/// The numbers of the bad rows of a column, by a check of it.
async fn bad(column: ArrayRef, check: Check) -> Vec<u64> {
    let batch = RecordBatch::try_from_iter_with_nullable([("value", column, true)]).unwrap();
    // As two batches, of which the second does not begin at the first row of its buffers.
    let rows = batch.num_rows();
    let batches = vec![batch.slice(0, rows / 3), batch.slice(rows / 3, rows - rows / 3)];
    let stream = BatchStream::of(batch.schema(), batches);
    let report = Quality::new("values")
        .check(check)
        .examples(1000)
        .measure(stream)
        .await
        .unwrap();
    report.checks[0]
        .examples
        .iter()
        .map(|example| example.row)
        .collect()
}

/// Columns of each type that keys can be of, in which each number has the same value, and nothing is missing.
fn columns_of(numbers: &[Option<i64>]) -> Vec<ArrayRef> {
    let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let texts = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    let types = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Date32,
        DataType::Date64,
        DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        DataType::Duration(TimeUnit::Second),
        DataType::Decimal128(10, 2),
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        texts,
    ];
    types.iter().map(|to| cast(&numbers, to).unwrap()).collect()
}

#[tokio::test]
async fn keys_of_every_type_are_told_apart_whether_they_are_near_each_other_or_far_apart() {
    let numbers = [0, 1, -1, 63, 64, 127, -128, 63, 0, -1, 65, -128].map(Some);
    let missing = [Some(3), None, Some(2), None, Some(3), None];
    let keys = [Some(64), Some(-1), Some(7)];
    for (values, of_keys) in columns_of(&numbers).into_iter().zip(columns_of(&keys)) {
        let of = values.data_type().clone();
        assert_eq!(
            bad(values.clone(), Check::unique(["value"])).await,
            [7, 8, 9, 11],
            "{of}"
        );
        let batch = RecordBatch::try_from_iter_with_nullable([("value", of_keys, true)]).unwrap();
        let keys = KeySet::collect(BatchStream::of(batch.schema(), vec![batch]), ["value"]).await;
        let keys = Arc::new(keys.unwrap());
        assert_eq!(keys.len(), 3, "{of}");
        let referred = bad(values, Check::references(["value"], keys)).await;
        assert_eq!(referred, [0, 1, 3, 5, 6, 7, 8, 10, 11], "{of}");
    }
    for values in columns_of(&missing) {
        let of = values.data_type().clone();
        assert_eq!(
            bad(values.clone(), Check::unique(["value"])).await,
            [3, 4, 5],
            "{of}"
        );
        assert_eq!(bad(values, Check::complete("value")).await, [1, 3, 5], "{of}");
    }
    // What the bits of numbers tell apart: zeros of both signs, and what is far from everything.
    let extremes: ArrayRef = Arc::new(Float64Array::from(vec![
        0.0,
        -0.0,
        f64::MAX,
        f64::NAN,
        f64::NAN,
        0.0,
    ]));
    assert_eq!(bad(extremes, Check::unique(["value"])).await, [4, 5]);
    let extremes: ArrayRef = Arc::new(Int64Array::from(vec![
        i64::MIN,
        i64::MAX,
        -1,
        0,
        i64::MIN,
        i64::MAX,
    ]));
    assert_eq!(bad(extremes, Check::unique(["value"])).await, [4, 5]);
}

#[tokio::test]
async fn a_column_in_which_everything_is_missing_is_not_complete() {
    let nothing: ArrayRef = Arc::new(NullArray::new(4));
    assert_eq!(bad(nothing, Check::complete("value")).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn texts_are_judged_alike_whether_they_come_again_at_once_later_or_never() {
    // More different ones than are remembered, some of them in a row, some missing.
    let text = |number: u64| match number % 7 {
        3 => None,
        0 => Some(format!("plant {}", number / 50)),
        _ => Some(format!("plant {}", number % 1000)),
    };
    let texts: Vec<Option<String>> = (0..4000).map(text).collect();
    let is_bad = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.ends_with(['1', '2', '3']));
    let expected: Vec<u64> = (0..)
        .zip(&texts)
        .filter(|(_, text)| is_bad(text))
        .map(|(row, _)| row)
        .collect();
    let good: Vec<String> = texts
        .iter()
        .flatten()
        .filter(|text| !is_bad(&Some((*text).clone())))
        .cloned()
        .collect();
    let plain: ArrayRef = Arc::new(StringArray::from(texts));
    let entries = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for column in [plain.clone(), cast(&plain, &entries).unwrap()] {
        let matching = Check::matching("value", "[1-3]$").unwrap();
        assert_eq!(bad(column.clone(), matching).await, expected[..1000]);
        assert_eq!(
            bad(column, Check::one_of("value", good.clone())).await,
            expected[..1000]
        );
    }
}

#[tokio::test]
async fn a_threshold_is_kept_by_what_is_equal_to_it_and_severity_tells_warnings_from_failures() {
    let season = season();
    assert_eq!(
        measure(Check::complete("first").at_least(0.8), &season)
            .await
            .verdict,
        Verdict::Pass
    );
    assert_eq!(
        measure(Check::complete("first").at_least(0.81), &season)
            .await
            .verdict,
        Verdict::Fail
    );
    assert_eq!(
        measure(Check::complete("first").warn(), &season).await.verdict,
        Verdict::Warn
    );
    assert_eq!(
        measure(Check::rows(5, Some(5)), &season).await.verdict,
        Verdict::Pass
    );
    assert_eq!(
        measure(Check::rows(6, None), &season).await.verdict,
        Verdict::Fail
    );
    assert_eq!(
        measure(Check::rows(0, Some(4)), &season).await.measured,
        Some(5.0)
    );
}

#[tokio::test]
async fn freshness_is_the_age_of_the_latest_day_and_nothing_is_not_fresh() {
    let now = UNIX_EPOCH + Duration::from_secs(15_743 * 86_400);
    let check = |days: u64| Check::fresh("day", now, Duration::from_secs(days * 86_400));
    let outcome = measure(check(1), &season()).await;
    assert_eq!(
        (outcome.measured, outcome.verdict),
        (Some(86_400.0), Verdict::Pass)
    );
    assert_eq!(measure(check(0), &season()).await.verdict, Verdict::Fail);
    let outcome = measure(check(100), &[]).await;
    assert_eq!((outcome.measured, outcome.verdict), (None, Verdict::Fail));
    // Were it fresh, the others could be of any age.
    let mut season = season();
    season.push(record("e5", "WW", "2099-02-04", None, 1));
    let outcome = measure(check(100), &season).await;
    assert!(outcome.measured.unwrap() < 0.0, "{outcome}");
    assert_eq!(outcome.verdict, Verdict::Fail);
    let outcome = measure(check(100).at_least(-1e10), &season).await;
    assert_eq!(outcome.verdict, Verdict::Pass);
}

#[tokio::test]
async fn a_distribution_is_that_of_its_baseline_or_drifts_from_it() {
    let plant = |number: u32, shift: f64| {
        let scenario = if number.is_multiple_of(4) { "WW" } else { "WD" };
        record("a", scenario, "2013-02-04", f64::from(number % 1000) + shift, 1)
    };
    let plants = |shift: f64| -> Vec<Value> { (0..6_000).map(|number| plant(number, shift)).collect() };
    let before = plants(0.0);
    for (column, other) in [
        ("first", plants(300.0)),
        (
            "scenario",
            before
                .iter()
                .filter(|row| row["scenario"] == "WW")
                .cloned()
                .collect(),
        ),
    ] {
        let baseline = Baseline::record(stream(&before), column).await.unwrap();
        let kept = serde_json::to_string(&baseline).unwrap();
        let baseline: Baseline = serde_json::from_str(&kept).unwrap();
        let check = Check::distribution(Arc::new(baseline));
        let same = measure(check.clone(), &before).await;
        assert!(same.measured.unwrap() < 0.01, "{same}");
        assert_eq!(same.verdict, Verdict::Pass);
        let drifted = measure(check, &other).await;
        assert!(drifted.measured.unwrap() > 0.25, "{drifted}");
        assert_eq!(drifted.verdict, Verdict::Fail);
    }
    assert_eq!(
        Baseline::record(stream(&[]), "first").await.unwrap_err().kind(),
        ErrorKind::Quality
    );
}

#[tokio::test]
async fn a_guarded_stream_passes_unchanged_and_ends_with_an_error_if_its_quality_does_not_do() {
    let season = season();
    let quality = Quality::new("season").check(Check::complete("first").warn());
    let (guarded, measured) = quality.guard(stream(&season)).unwrap();
    assert_eq!(guarded.collect_rows::<Value>().await.unwrap().len(), 5);
    assert_eq!(measured.report().of_verdict(Verdict::Warn).count(), 1);

    let (guarded, _) = quality
        .check(Check::unique(["plant"]))
        .guard(stream(&season))
        .unwrap();
    let error = guarded.collect_batches().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Quality);
    assert_eq!(
        error.to_string(),
        "the quality of season does not do: FAIL  uniqueness of plant: 0.8, at least 1; 1 of 5 rows are bad"
    );
}

#[tokio::test]
async fn a_check_of_a_column_that_is_not_there_is_an_error_before_anything_is_read() {
    let unread = BatchStream::new(columns(&COLUMNS), futures::stream::pending());
    let error = Quality::new("season")
        .check(Check::complete("weight"))
        .guard(unread)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(
        error.to_string().contains("there is no column `weight`"),
        "{error}"
    );
    let keys = Arc::new(KeySet::collect(stream(&season()), ["last"]).await.unwrap());
    let check = Check::references(["first"], keys);
    let error = Quality::new("season")
        .check(check)
        .measure(stream(&season()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("of other types"), "{error}");
    assert_eq!(
        Check::matching("plant", "(").unwrap_err().kind(),
        ErrorKind::Options
    );
}

#[tokio::test]
async fn a_check_that_passes_nothing_is_an_error_before_anything_is_read() {
    let age = || Check::fresh("day", UNIX_EPOCH, Duration::from_secs(60));
    for (check, told) in [
        (
            Check::complete("first").at_least(95.0),
            "a share, from 0 to 1, and it must be at least 95",
        ),
        (Check::complete("first").at_most(0.1), "must be from 1 to 0.1"),
        (
            Check::complete("first").at_least(f64::NAN),
            "must be at least NaN",
        ),
        (
            Check::rows(6, Some(5)),
            "a number of rows, and it must be from 6 to 5",
        ),
        (
            age().at_least(61.0),
            "an age in seconds, and it must be from 61 to 60",
        ),
    ] {
        let unread = BatchStream::new(columns(&COLUMNS), futures::stream::pending());
        let error = Quality::new("season").check(check).guard(unread).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(error.to_string().contains(told), "{error}");
    }
    for check in [
        Check::complete("first").at_least(0.0).at_most(0.0),
        Check::rows(0, Some(0)),
        age().at_least(-60.0),
    ] {
        let read = Quality::new("season")
            .check(check)
            .measure(stream(&season()))
            .await;
        assert_eq!(read.unwrap().checks.len(), 1);
    }
}

#[tokio::test]
async fn a_report_is_data_text_and_a_page_in_which_no_record_is_markup() {
    let mut season = season();
    season.push(record("<script>", "&", "2013-02-04", 1.0, 1));
    let report = Quality::new("a <season>")
        .check(
            Check::matching("plant", "^[a-z][0-9]$")
                .unwrap()
                .named("names & numbers"),
        )
        .check(Check::rows(1, None))
        .measure(stream(&season))
        .await
        .unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<QualityReport>(&json).unwrap(), report);
    let text = report.to_string();
    assert!(text.starts_with("quality of a <season>, 6 rows\n  FAIL  names & numbers: 0.6666666666666666, at least 1; 2 of 6 rows are bad\n        row 4: "), "{text}");
    let page = report.to_html();
    assert!(page.contains("<h1>Quality of a &lt;season&gt;</h1>") && page.contains("names &amp; numbers"));
    assert!(!page.contains("<script") && !page.contains("http"), "{page}");
    assert_eq!(page.matches("<tr>").count(), 3);
}
