//! What a data set takes, it gives back: each value of each type in each format, or it is refused before it is there.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use flowkit_etl::arrow_array::{self, Array, ArrayRef, RecordBatch, types};
use flowkit_etl::arrow_schema::{DataType, Field, Schema};
use flowkit_etl::sink::{DatasetSink, FileFormat, LoadId, Sink};
use flowkit_etl::source::{CsvSource, DatasetSource, JsonLinesSource, Source};
use flowkit_etl::{BatchStream, ErrorKind, Rejects, Result, Tolerance};

use crate::plants::columns;

const FORMATS: [FileFormat; 3] = [FileFormat::Csv, FileFormat::JsonLines, FileFormat::Parquet];

fn id(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

/// Loads one column into a data set of its own, and reads it.
async fn through(root: &Path, format: FileFormat, column: &ArrayRef, nullable: bool) -> Result<ArrayRef> {
    let number: ArrayRef = Arc::new(arrow_array::Int64Array::from_iter_values(0..column.len() as i64));
    let schema = Arc::new(Schema::new(vec![
        Field::new("number", DataType::Int64, false),
        Field::new("value", column.data_type().clone(), nullable),
    ]));
    let batch = RecordBatch::try_new(schema.clone(), vec![number, column.clone()]).unwrap();
    let sink = DatasetSink::new(root, format);
    sink.load(&id("1"), BatchStream::of(schema, vec![batch])).await?;
    let batches = DatasetSource::new(root)
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await;
    let batches = batches.unwrap_or_else(|error| panic!("{format:?} {}: {error:?}", column.data_type()));
    Ok(batches[0].column(1).clone())
}

/// Columns with values at their ends.
#[rustfmt::skip]
fn of_all_types() -> Vec<ArrayRef> {
    let micros = arrow_array::TimestampMicrosecondArray::from(vec![Some(1_359_973_800_123_456), None]);
    let nanos = arrow_array::TimestampNanosecondArray::from(vec![Some(1_359_973_800_123_456_789), None]);
    let decimals = arrow_array::Decimal128Array::from(vec![Some(-1_234_567_890_123), Some(0), None]);
    let texts = vec![Some("a,\t\"ä\"\r\n'"), Some(" "), Some("null"), Some("1"), None];
    let items = vec![Some(vec![Some(1.5), None]), Some(vec![]), None];
    let list = arrow_array::ListArray::from_iter_primitive::<types::Float64Type, _, _>(items);
    let lacking = arrow_array::ListArray::from_iter_primitive::<types::Float64Type, _, _>(vec![Some(vec![Some(f64::NAN)]), None]);
    let large = arrow_array::LargeListArray::from_iter_primitive::<types::Float64Type, _, _>(vec![Some(vec![Some(f64::NAN)]), None]);
    let runs: arrow_array::RunArray<types::Int32Type> = vec![Some("a"), Some("a"), None].into_iter().collect();
    let runs: ArrayRef = Arc::new(runs);
    let of_runs = Field::new("runs", runs.data_type().clone(), true);
    let words: arrow_array::DictionaryArray<types::UInt32Type> = vec![Some("a"), Some("b"), None].into_iter().collect();
    let half = types::Float16Type::default_value();
    vec![
        Arc::new(arrow_array::BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(arrow_array::Int8Array::from(vec![Some(i8::MIN), None])),
        Arc::new(arrow_array::Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None])),
        Arc::new(arrow_array::UInt64Array::from(vec![Some(u64::MAX), None])),
        Arc::new(arrow_array::Float16Array::from(vec![Some(half), None])),
        Arc::new(arrow_array::Float32Array::from(vec![Some(0.1), Some(f32::MIN_POSITIVE), Some(-0.0), None])),
        Arc::new(arrow_array::Float64Array::from(vec![Some(31.245270191439438), Some(0.1 + 0.2), Some(f64::MAX), Some(5e-324), None])),
        Arc::new(arrow_array::Float64Array::from(vec![Some(f64::NAN), None])),
        Arc::new(arrow_array::Float64Array::from(vec![Some(f64::INFINITY), Some(f64::NEG_INFINITY), None])),
        Arc::new(arrow_array::StringArray::from(texts.clone())),
        Arc::new(arrow_array::StringArray::from(vec![Some(""), None])),
        Arc::new(arrow_array::LargeStringArray::from(texts.clone())),
        Arc::new(arrow_array::StringViewArray::from(texts)),
        Arc::new(arrow_array::BinaryArray::from(vec![Some(&[0_u8, 92, 255][..]), Some(&[]), None])),
        Arc::new(arrow_array::LargeBinaryArray::from(vec![Some(&[0_u8, 92, 255][..]), None])),
        Arc::new(arrow_array::FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1_u8, 2]), None].into_iter(), 2).unwrap()),
        Arc::new(arrow_array::Date32Array::from(vec![Some(15_740), Some(-719_162), None])),
        Arc::new(arrow_array::Date32Array::from(vec![Some(4_000_000), None])),
        Arc::new(arrow_array::Date32Array::from(vec![Some(-1_000_000), None])),
        Arc::new(arrow_array::Date64Array::from(vec![Some(86_400_000), None])),
        Arc::new(arrow_array::Date64Array::from(vec![Some(86_400_001), None])),
        Arc::new(arrow_array::Time32SecondArray::from(vec![Some(86_399), None])),
        Arc::new(arrow_array::Time32MillisecondArray::from(vec![Some(86_399_999), None])),
        Arc::new(arrow_array::Time64MicrosecondArray::from(vec![Some(86_399_999_999), None])),
        Arc::new(arrow_array::Time64NanosecondArray::from(vec![Some(86_399_999_999_999), None])),
        Arc::new(arrow_array::TimestampSecondArray::from(vec![Some(1_359_973_800), None])),
        Arc::new(arrow_array::TimestampMillisecondArray::from(vec![Some(1_359_973_800_123), Some(-1), None])),
        Arc::new(arrow_array::TimestampMillisecondArray::from(vec![Some(253_402_300_800_000), None])),
        Arc::new(micros.clone()),
        Arc::new(micros.clone().with_timezone("UTC")),
        Arc::new(micros.clone().with_timezone("+02:00")),
        Arc::new(micros.with_timezone("Europe/Berlin")),
        Arc::new(nanos.clone()),
        Arc::new(nanos.with_timezone("UTC")),
        Arc::new(arrow_array::DurationSecondArray::from(vec![Some(90_061), None])),
        Arc::new(arrow_array::DurationNanosecondArray::from(vec![Some(1), None])),
        Arc::new(arrow_array::IntervalYearMonthArray::from(vec![Some(13), None])),
        Arc::new(decimals.clone().with_precision_and_scale(20, 4).unwrap()),
        Arc::new(decimals.with_precision_and_scale(38, 0).unwrap()),
        Arc::new(arrow_array::Decimal128Array::from(vec![Some(12), None]).with_precision_and_scale(5, -2).unwrap()),
        Arc::new(arrow_array::ListViewArray::from(list.clone())),
        Arc::new(arrow_array::ListViewArray::from(lacking.clone())),
        Arc::new(arrow_array::LargeListViewArray::from(large)),
        Arc::new(list),
        Arc::new(lacking),
        Arc::new(words),
        Arc::new(arrow_array::StructArray::from(vec![(Arc::new(of_runs), runs.clone())])),
        runs,
        Arc::new(arrow_array::NullArray::new(2)),
    ]
}

trait DefaultValue {
    type Value;
    fn default_value() -> Self::Value;
}

impl DefaultValue for types::Float16Type {
    type Value = <Self as arrow_array::ArrowPrimitiveType>::Native;
    fn default_value() -> Self::Value {
        Self::Value::default()
    }
}

#[tokio::test]
async fn a_value_comes_back_as_it_went_in_or_its_load_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (number, column) in of_all_types().iter().enumerate() {
        for format in FORMATS {
            let root = directory.path().join(format!("{number}.{}", format.extension()));
            match through(&root, format, column, true).await {
                Ok(back) => assert_eq!(&back, column, "{format:?} {}", column.data_type()),
                Err(error) => {
                    println!("{format:?} {}: {error}", column.data_type());
                    assert_eq!(
                        error.kind(),
                        ErrorKind::Schema,
                        "{format:?} {}: {error:?}",
                        column.data_type()
                    );
                    assert!(!root.join("load=1").exists());
                }
            }
        }
    }
}

#[tokio::test]
async fn an_empty_text_is_no_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let texts: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["a", ""]));
    for nullable in [false, true] {
        for format in FORMATS {
            let root = directory
                .path()
                .join(format!("{nullable}.{}", format.extension()));
            let back = through(&root, format, &texts, nullable).await;
            match format {
                FileFormat::Csv => {
                    let error = back.unwrap_err();
                    assert!(error.to_string().contains("`value`"), "{error}");
                }
                _ => assert_eq!(&back.unwrap(), &texts, "{format:?}"),
            }
        }
    }
}

#[tokio::test]
async fn columns_with_notes_of_their_own_are_loaded_and_read_and_more_come_beside_them() {
    let directory = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let root = directory.path().join(format.extension());
        let noted = HashMap::from([("PARQUET:field_id".to_owned(), "1".to_owned())]);
        let field = Field::new("height", DataType::Float64, true).with_metadata(noted);
        let schema = Arc::new(Schema::new(vec![field]));
        let heights: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.5]));
        let batch = RecordBatch::try_new(schema.clone(), vec![heights]).unwrap();
        for name in ["1", "2"] {
            let batches = BatchStream::of(schema.clone(), vec![batch.clone()]);
            DatasetSink::new(&root, format)
                .load(&id(name), batches)
                .await
                .unwrap();
        }
        let batches = DatasetSource::new(&root)
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap();
        assert_eq!(
            batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
            2,
            "{format:?}"
        );
    }
}

#[tokio::test]
async fn columns_whose_parts_have_notes_of_their_own_are_loaded_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let noted = |name: &str, data_type: DataType, id: &str| {
        let noted = HashMap::from([("PARQUET:field_id".to_owned(), id.to_owned())]);
        Arc::new(Field::new(name, data_type, true).with_metadata(noted))
    };
    let leaf = noted("length", DataType::Float64, "3");
    let lengths: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.5, 2.5]));
    let leaves: ArrayRef = Arc::new(arrow_array::StructArray::from(vec![(leaf, lengths)]));
    let item = noted("element", leaves.data_type().clone(), "2");
    let offsets = flowkit_etl::arrow_array::ListArray::from_iter_primitive::<types::Int64Type, _, _>(vec![
        Some(vec![Some(0), Some(0)]),
        None,
    ]);
    let (_, offsets, _, nulls) = offsets.into_parts();
    let list: ArrayRef = Arc::new(arrow_array::ListArray::new(item, offsets, leaves, nulls));
    let schema = Arc::new(Schema::new(vec![noted("leaves", list.data_type().clone(), "1")]));
    let batch = RecordBatch::try_new(schema.clone(), vec![list]).unwrap();
    for format in [FileFormat::JsonLines, FileFormat::Parquet] {
        let root = directory.path().join(format.extension());
        for name in ["1", "2"] {
            let batches = BatchStream::of(schema.clone(), vec![batch.clone()]);
            let sink = DatasetSink::new(&root, format);
            sink.load(&id(name), batches).await.unwrap();
        }
        let source = DatasetSource::new(&root).load(id("1"));
        let batches = source.open().await.unwrap().collect_batches().await.unwrap();
        let back = arrow_array::cast::AsArray::as_list::<i32>(batches[0].column(0));
        assert_eq!((back.value_length(0), back.is_null(1)), (2, true), "{format:?}");
    }
}

#[tokio::test]
async fn a_record_that_is_too_long_to_be_read_as_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let texts = |mebibytes: &[usize]| {
        let texts = mebibytes.iter().map(|size| "x".repeat(size << 20));
        let texts: ArrayRef = Arc::new(arrow_array::StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    };
    for format in FORMATS {
        let root = directory.path().join(format.extension());
        let sink = DatasetSink::new(&root, format);
        let load = async |name: &str, batch: RecordBatch| {
            sink.load(&id(name), BatchStream::of(batch.schema(), vec![batch]))
                .await
        };
        // Together they are longer than what is read at once.
        load("1", texts(&[17, 1, 17])).await.unwrap();
        let long = load("2", texts(&[1, 33, 1])).await;
        match format {
            FileFormat::Parquet => drop(long.unwrap()),
            _ => {
                let error = long.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Schema, "{format:?}: {error:?}");
                let expected = "a record has 34 MiB as text, and text files are read up to 32 MiB a record: choose Parquet";
                assert_eq!(error.to_string(), expected, "{format:?}");
                assert!(!root.join("load=2").exists());
            }
        }
        let source = DatasetSource::new(&root).load(id("1"));
        let batches = source.open().await.unwrap().collect_batches().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
}

#[tokio::test]
async fn a_load_that_is_refused_says_so_before_its_source_goes_on() {
    use futures::StreamExt;
    let directory = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![f64::NAN]));
    let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
    let schema = batch.schema();
    let and_then_nothing = futures::stream::iter([Ok(batch)]).chain(futures::stream::pending());
    let sink = DatasetSink::new(directory.path(), FileFormat::JsonLines);
    let rows = BatchStream::new(schema, and_then_nothing);
    let error = sink.load(&id("1"), rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
}

#[tokio::test]
async fn values_that_name_directories_come_back_or_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let days: Vec<(&str, ArrayRef)> = vec![
        ("near", Arc::new(arrow_array::Date32Array::from(vec![15_740]))),
        ("far", Arc::new(arrow_array::Date32Array::from(vec![4_000_000]))),
        ("text", Arc::new(arrow_array::StringArray::from(vec![""]))),
        (
            "number",
            Arc::new(arrow_array::Float64Array::from(vec![f64::NAN])),
        ),
    ];
    for (name, column) in days {
        let root = directory.path().join(name);
        let number: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("number", number), ("value", column.clone())]).unwrap();
        let sink = DatasetSink::new(&root, FileFormat::Csv).partition_by(["value"]);
        let loaded = sink
            .load(&id("1"), BatchStream::of(batch.schema(), vec![batch]))
            .await;
        match loaded {
            Ok(_) => {
                let batches = DatasetSource::new(&root)
                    .open()
                    .await
                    .unwrap()
                    .collect_batches()
                    .await
                    .unwrap();
                assert_eq!(batches[0].column(1), &column, "{name}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Schema, "{name}: {error:?}"),
        }
    }
    // What somebody else named is told, and not taken for a missing value.
    let root = directory.path().join("near");
    let (there, other) = (
        root.join("load=1/value=2013-02-04"),
        root.join("load=1/value=soon"),
    );
    fs::rename(there, &other).unwrap();
    let record = root.join("load=1/_load.json");
    let text = fs::read_to_string(&record)
        .unwrap()
        .replace("value=2013-02-04", "value=soon");
    fs::write(&record, text).unwrap();
    let error = DatasetSource::new(&root)
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
}

#[tokio::test]
async fn an_exact_number_with_more_digits_than_its_column_is_a_bad_record() {
    let directory = tempfile::tempdir().unwrap();
    let schema = columns(&[("price", DataType::Decimal128(10, 2)), ("plant", DataType::Utf8)]);
    let csv = directory.path().join("prices.csv");
    fs::write(
        &csv,
        "price,plant\n1.23,a\n1.239,b\n1.2300,c\n12345678.90,d\n123456789.00,e\n-1.5e1,f\n,g\n",
    )
    .unwrap();
    let json = directory.path().join("prices.jsonl");
    let lines = [
        "{\"price\": 1.23, \"plant\": \"a\"}",
        "{\"price\": 1.239, \"plant\": \"b\"}",
        "{\"price\": \"1.2300\", \"plant\": \"c\"}",
        "{\"price\": 12345678.90, \"plant\": \"d\"}",
        "{\"price\": 123456789.00, \"plant\": \"e\"}",
        "{\"price\": -1.5e1, \"plant\": \"f\"}",
        "{\"price\": null, \"plant\": \"g\"}",
    ];
    fs::write(&json, lines.join("\n")).unwrap();
    for which in ["csv", "json"] {
        let rejects = Rejects::new();
        let tolerance = Tolerance::share(0.5);
        let source: Box<dyn Source> = match which {
            "csv" => Box::new(
                CsvSource::new(&csv)
                    .schema(schema.clone())
                    .set_aside(tolerance, &rejects),
            ),
            _ => Box::new(
                JsonLinesSource::new(&json)
                    .schema(schema.clone())
                    .set_aside(tolerance, &rejects),
            ),
        };
        let batches = source.open().await.unwrap().collect_batches().await.unwrap();
        let prices: Vec<Option<i128>> = batches
            .iter()
            .flat_map(|batch| {
                let prices =
                    arrow_array::cast::AsArray::as_primitive::<types::Decimal128Type>(batch.column(0));
                prices.iter().collect::<Vec<_>>()
            })
            .collect();
        let expected = [Some(123), Some(123), Some(1_234_567_890), Some(-1500), None];
        assert_eq!(prices, expected, "{which}");
        assert_eq!(batches[0].schema().fields(), schema.fields(), "{which}");
        let kept: Vec<String> = rejects.kept().iter().map(ToString::to_string).collect();
        assert_eq!(kept.len(), 2, "{which}: {kept:?}");
        assert!(
            kept[0].contains("price is") && kept[0].contains("1.239"),
            "{which}: {kept:?}"
        );
    }
}
