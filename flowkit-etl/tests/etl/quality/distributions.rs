//! Distributions in which some numbers are there often, or are none.

use std::sync::Arc;

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_array::{ArrayRef, Float64Array, RecordBatch};
use flowkit_etl::quality::{Baseline, Check, CheckOutcome, Quality, Verdict};

fn stream(numbers: &[Option<f64>]) -> BatchStream {
    let column: ArrayRef = Arc::new(Float64Array::from(numbers.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("value", column, true)]).unwrap();
    BatchStream::of(batch.schema(), vec![batch])
}

/// So many times each.
fn often(numbers: &[(usize, f64)]) -> Vec<Option<f64>> {
    let numbers = numbers
        .iter()
        .flat_map(|(times, number)| std::iter::repeat_n(Some(*number), *times));
    numbers.collect()
}

/// The second against a baseline of the first, which was kept meanwhile.
async fn drift(before: &[Option<f64>], now: &[Option<f64>]) -> CheckOutcome {
    let baseline = Baseline::record(stream(before), "value").await.unwrap();
    let kept = serde_json::to_string(&baseline).unwrap();
    let baseline: Baseline = serde_json::from_str(&kept).unwrap();
    let check = Check::distribution(Arc::new(baseline));
    let report = Quality::new("values")
        .check(check)
        .measure(stream(now))
        .await
        .unwrap();
    report.checks.into_iter().next().unwrap()
}

#[tokio::test]
async fn what_lies_beside_a_number_that_is_there_often_is_not_taken_for_it() {
    let single = f64::from(0.1_f32);
    for (before, now) in [
        (often(&[(950, 0.0), (50, 1.0)]), often(&[(1000, 500.0)])),
        (often(&[(1000, 5.0)]), often(&[(1000, 9.0)])),
        (often(&[(1000, 5.0)]), often(&[(1000, 4.0)])),
        (often(&[(1000, single)]), often(&[(1000, 0.1)])),
        (often(&[(60, 0.0), (940, 1.0)]), often(&[(60, -5.0), (940, 1.0)])),
        (
            often(&[(900, 1.0), (100, 2.0)]),
            often(&[(900, 1.0), (100, 500.0)]),
        ),
        (often(&[(1000, 1.0)]), often(&[(1000, f64::INFINITY)])),
        (
            often(&[(500, f64::NEG_INFINITY), (500, f64::INFINITY)]),
            often(&[(1000, 1.0)]),
        ),
    ] {
        let same = drift(&before, &before).await;
        assert_eq!(same.measured, Some(0.0), "{same}");
        let drifted = drift(&before, &now).await;
        assert_eq!(
            drifted.verdict,
            Verdict::Fail,
            "{drifted} of {:?}",
            before.first()
        );
    }
}

#[tokio::test]
async fn a_nan_is_missing_and_no_small_number() {
    let numbers = |missing: Option<f64>| -> Vec<Option<f64>> {
        let number = |number: u32| {
            if number < 300 {
                missing
            } else {
                Some(f64::from(number))
            }
        };
        (0..1000).map(number).collect()
    };
    let same = drift(&numbers(Some(f64::NAN)), &numbers(None)).await;
    assert_eq!((same.measured, same.counted), (Some(0.0), 1000));
    let drifted = drift(&numbers(Some(0.0)), &numbers(Some(f64::NAN))).await;
    assert_eq!(drifted.verdict, Verdict::Fail, "{drifted}");
}
