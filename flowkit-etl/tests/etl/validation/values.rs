//! Values that types of columns and of JSON tell apart, and those that they do not.

use std::sync::Arc;

use arrow_cast::cast;
use flowkit_etl::arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, NullArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
    builder::{Float64Builder, MapBuilder, StringBuilder},
    cast::AsArray,
    types::{Date32Type, TimestampMicrosecondType},
};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, TimeUnit};
use flowkit_etl::validation::Validation;
use flowkit_etl::{BatchStream, Rejects, Tolerance};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::told;

#[derive(Debug, Clone, Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
struct Sample {
    #[garde(skip)]
    name: String,
    #[garde(skip)]
    weight: f64,
    #[garde(range(min = 0.0))]
    height: Option<f64>,
    #[garde(skip)]
    count: f64,
}

fn stream(columns: Vec<(&str, ArrayRef)>) -> BatchStream {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    BatchStream::of(batch.schema(), vec![batch])
}

fn numbers(numbers: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(numbers.to_vec()))
}

fn names(names: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(names.to_vec()))
}

/// The good records, and what is wrong with the others.
async fn sifted(validation: Validation, stream: BatchStream) -> (Vec<RecordBatch>, Vec<String>) {
    let rejects = Rejects::new();
    let good = validation
        .set_aside(Tolerance::ALL, &rejects)
        .apply(stream)
        .unwrap();
    (good.collect_batches().await.unwrap(), told(&rejects))
}

#[tokio::test]
async fn what_a_typed_record_is_does_not_depend_on_those_beside_it() {
    let nan = Some(f64::NAN);
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let decimals = cast(&counts, &DataType::Decimal128(10, 2)).unwrap();
    for counts in [cast(&counts, &DataType::Float64).unwrap(), counts, decimals] {
        let of = counts.data_type().clone();
        let samples = stream(vec![
            ("name", names(&[Some("a"), None, Some("c"), Some("d")])),
            ("weight", numbers(&[nan, Some(1.0), Some(2.0), None])),
            ("height", numbers(&[None, None, Some(-1.0), nan])),
            ("count", counts),
        ]);
        let (good, told) = sifted(Validation::typed::<Sample>().unwrap(), samples).await;
        let good: Vec<Sample> = flowkit_etl::rows_of(&good[0]).unwrap();
        assert_eq!(good.len(), 1, "{of}: {told:?}");
        assert!(good[0].name == "a" && good[0].weight.is_nan() && good[0].count == 1.0);
        assert_eq!(
            told,
            [
                "records record 1: name is \"\": missing",
                "records record 2: height is \"-1.0\": lower than 0",
                "records record 3: weight is \"\": missing; height is \"NaN\": not in a range",
            ],
            "{of}"
        );
    }
}

#[tokio::test]
async fn a_nan_is_in_no_range_and_a_number_where_there_is_none() {
    let (nan, infinite) = (Some(f64::NAN), Some(f64::NEG_INFINITY));
    let samples = stream(vec![
        ("name", names(&[Some("a"), Some("b"), Some("c")])),
        ("weight", numbers(&[nan, infinite, Some(1.0)])),
        ("height", numbers(&[Some(1.0), nan, infinite])),
        ("count", numbers(&[nan, nan, nan])),
    ]);
    let (good, told) = sifted(Validation::typed::<Sample>().unwrap(), samples).await;
    assert_eq!(good[0].num_rows(), 1);
    assert_eq!(
        told,
        [
            "records record 1: height is \"NaN\": not in a range",
            "records record 2: height is \"-inf\": lower than 0",
        ]
    );
}

#[tokio::test]
async fn a_nan_is_not_missing_by_a_json_schema_and_no_number() {
    let schema =
        json!({"properties": {"weight": {"type": ["number", "null"]}, "height": {"type": "number"}}});
    let samples = stream(vec![
        (
            "weight",
            numbers(&[None, Some(f64::NAN), Some(1.0), Some(f64::INFINITY)]),
        ),
        ("height", numbers(&[Some(1.0), None, Some(f64::NAN), None])),
        ("other", numbers(&[Some(f64::NAN); 4])),
    ]);
    let (good, told) = sifted(Validation::json_schema(&schema).unwrap(), samples).await;
    assert_eq!(good[0].num_rows(), 1);
    assert_eq!(
        told,
        [
            "records record 1: weight is \"NaN\": not of types \"null\", \"number\"",
            "records record 2: height is \"NaN\": not of type \"number\"",
            "records record 3: weight is \"inf\": not of types \"null\", \"number\"",
        ]
    );
}

#[derive(Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
struct Pot {
    #[garde(range(min = 0.0))]
    weight: f64,
}

#[derive(Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
struct Potted {
    #[garde(dive)]
    pot: Option<Pot>,
}

#[tokio::test]
async fn a_nan_is_in_no_range_of_what_may_be_missing() {
    let potted = |weight: Option<f64>| Potted {
        pot: weight.map(|weight| Pot { weight }),
    };
    let pots = [Some(f64::NAN), Some(1.0), None].map(potted);
    let pots = BatchStream::from_rows(pots.into()).unwrap();
    let (good, told) = sifted(Validation::typed::<Potted>().unwrap(), pots).await;
    assert_eq!(good[0].num_rows(), 2);
    assert_eq!(told, ["records record 0: pot.weight is \"NaN\": not in a range"]);
}

#[tokio::test]
async fn a_nan_under_a_name_of_a_map_is_no_number() {
    let mut weights = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    for weight in [f64::NAN, 1.0] {
        weights.keys().append_value("a/b");
        weights.values().append_value(weight);
        weights.append(true).unwrap();
    }
    weights.append(false).unwrap();
    let samples = stream(vec![("weights", Arc::new(weights.finish()))]);
    let schema = json!({"properties": {"weights": {"additionalProperties": {"type": "number"}}}});
    let (good, told) = sifted(Validation::json_schema(&schema).unwrap(), samples).await;
    assert_eq!(good[0].num_rows(), 2);
    assert_eq!(
        told,
        ["records record 0: weights.a/b is \"NaN\": not of type \"number\""]
    );
}

fn expected(name: &str, data_type: DataType) -> Validation {
    Validation::columns(Arc::new(Schema::new(vec![Field::new(name, data_type, true)])))
}

#[tokio::test]
async fn a_text_is_not_cut_to_the_type_of_a_column() {
    for (text, whole, to) in [
        ("2013-02-04T18:30:00", "2013-02-04T00:00:00", DataType::Date32),
        ("1.239", "1.2300", DataType::Decimal128(10, 2)),
        ("3.14159265358979", "3.1415927", DataType::Float32),
        ("9007199254740993", "3.14159265358979323846", DataType::Float64),
        (
            "2013-02-04T18:30:00.5",
            "2013-02-04 18:30:00",
            DataType::Timestamp(TimeUnit::Second, None),
        ),
    ] {
        let texts = names(&[Some(text), Some(whole), None]);
        let entries = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for column in [cast(&texts, &entries).unwrap(), texts] {
            let (good, told) = sifted(expected("value", to.clone()), stream(vec![("value", column)])).await;
            assert_eq!(good[0].num_rows(), 2, "{told:?}");
            assert_eq!(
                told,
                [format!(
                    "records record 0: value is {text:?}: not of type {to} without loss"
                )]
            );
        }
    }
}

#[tokio::test]
async fn a_time_without_a_zone_is_that_time_in_utc_where_a_zone_is_expected() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        Some(1_360_002_600_000_000),
        None,
    ]));
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Paris".into()));
    let elsewhere = cast(
        &times
            .as_primitive::<TimestampMicrosecondType>()
            .clone()
            .with_timezone("+09:00"),
        &zoned,
    );
    for (found, to) in [
        (times.clone(), zoned.clone()),
        (names(&[Some("2013-02-04T18:30:00"), None]), zoned.clone()),
        (names(&[Some("2013-02-04T20:30:00+02:00"), None]), zoned),
        (elsewhere.unwrap(), times.data_type().clone()),
    ] {
        let (good, told) = sifted(expected("time", to.clone()), stream(vec![("time", found)])).await;
        assert_eq!(told, Vec::<String>::new());
        let good = good[0].column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!((good.value(0), good.len()), (1_360_002_600_000_000, 2), "{to}");
    }
}

#[tokio::test]
async fn a_number_is_not_taken_for_one_that_has_fewer_digits_however_long_it_is() {
    let long = "3".repeat(70_000);
    let third = format!("0.{long}");
    for (text, to) in [
        (long.as_str(), DataType::Float64),
        ("1e99999999999999999999", DataType::Float64),
        (third.as_str(), DataType::Float32),
        (
            "0.1000000000000000000000000000000000000001",
            DataType::Decimal128(20, 18),
        ),
    ] {
        let texts = stream(vec![("value", names(&[Some(text), Some("1.5")]))]);
        let (good, told) = sifted(expected("value", to.clone()), texts).await;
        assert_eq!((good[0].num_rows(), told.len()), (1, 1), "{to}");
        assert!(
            told[0].ends_with(&format!("not of type {to} without loss")),
            "{to}"
        );
    }
}

#[tokio::test]
async fn a_moment_is_neither_a_time_of_the_day_nor_a_day_that_it_does_not_begin() {
    let evening = 1_360_002_600_000_000;
    let midnight = evening - 66_600_000_000;
    let times = TimestampMicrosecondArray::from(vec![evening, midnight]);
    for times in [times.clone().with_timezone("UTC"), times] {
        let times: ArrayRef = Arc::new(times);
        let of = times.data_type().clone();
        let time = expected("time", DataType::Time64(TimeUnit::Microsecond));
        let (_, told) = sifted(time, stream(vec![("time", times.clone())])).await;
        assert_eq!(told.len(), 2, "{of}: {told:?}");
        assert!(told[0].contains("2013-02-04T18:30:00"), "{of}: {told:?}");
        let day = expected("time", DataType::Date32);
        let (good, told) = sifted(day, stream(vec![("time", times)])).await;
        assert_eq!(told.len(), 1, "{of}: {told:?}");
        let day = good[0].column(0).as_primitive::<Date32Type>();
        assert_eq!((day.value(0), day.len()), (15_740, 1), "{of}");
    }
}

#[tokio::test]
async fn what_is_missing_is_missing_whichever_way_a_column_says_so() {
    let entries = names(&[None, Some("1.5")]);
    let entries = DictionaryArray::new(Int32Array::from(vec![0, 1]), entries);
    let columns: [(ArrayRef, usize); 2] = [(Arc::new(NullArray::new(2)), 2), (Arc::new(entries), 1)];
    for (column, missing) in columns {
        let of = column.data_type().clone();
        let samples = stream(vec![("value", column)]);
        let (good, told) = sifted(expected("value", DataType::Float64), samples).await;
        assert_eq!(told, Vec::<String>::new(), "{of}");
        let good = good[0].column(0);
        assert_eq!((good.len(), good.null_count()), (2, missing), "{of}");
    }
}
