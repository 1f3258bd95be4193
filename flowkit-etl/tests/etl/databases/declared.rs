//! Tables that were there, first of all those of SQLite, which take any value in any column: what goes in is read from them, or refused.

use std::sync::Arc;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::{self, Array, ArrayRef, RecordBatch, types};
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, ErrorKind};

use crate::databases::load;
use crate::databases::servers::{Kind, Place, on};

/// Loads one value into a column that was declared so, and reads it; nothing, if it was refused.
async fn through(database: &Database, declared: &str, value: &ArrayRef) -> Option<ArrayRef> {
    for statement in [
        "DROP TABLE IF EXISTS declared".to_owned(),
        "DROP TABLE IF EXISTS flowkit_loads".to_owned(),
        format!("CREATE TABLE declared (value {declared})"),
    ] {
        database.execute(&statement, &[]).await.unwrap();
    }
    let batch = RecordBatch::try_from_iter([("value", value.clone())]).unwrap();
    let sink = SqlSink::new(database, "declared");
    let loaded = sink
        .load(&load("1"), BatchStream::of(batch.schema(), vec![batch]))
        .await;
    if let Err(error) = loaded {
        assert_eq!(
            error.kind(),
            ErrorKind::Rejected,
            "{declared} {value:?}: {error:?}"
        );
        assert!(error.to_string().contains("`value`"), "{error}");
        return None;
    }
    let source = SqlSource::table(database, "declared").open().await.unwrap();
    let batches = source.collect_batches().await;
    let batches = batches.unwrap_or_else(|error| panic!("{declared} {value:?}: {error:?}"));
    Some(batches[0].column(0).clone())
}

/// Values of all types that go into statements.
#[rustfmt::skip]
fn values() -> Vec<ArrayRef> {
    let mut values: Vec<ArrayRef> = vec![
        Arc::new(arrow_array::BooleanArray::from(vec![true])),
        Arc::new(arrow_array::Int64Array::from(vec![1])),
        Arc::new(arrow_array::Int64Array::from(vec![9_007_199_254_740_993])),
        Arc::new(arrow_array::UInt64Array::from(vec![7])),
        Arc::new(arrow_array::Float32Array::from(vec![0.1_f32])),
        Arc::new(arrow_array::Float64Array::from(vec![0.1 + 0.2])),
        Arc::new(arrow_array::Float64Array::from(vec![2.0])),
        Arc::new(arrow_array::Float64Array::from(vec![f64::INFINITY])),
        Arc::new(arrow_array::Float64Array::from(vec![1e300])),
        Arc::new(arrow_array::BinaryArray::from(vec![&[0_u8, 92, 255][..]])),
        Arc::new(arrow_array::Date32Array::from(vec![15_740])),
        Arc::new(arrow_array::Time64MicrosecondArray::from(vec![86_399_999_999])),
        Arc::new(arrow_array::TimestampMicrosecondArray::from(vec![1_359_973_800_123_456])),
        Arc::new(arrow_array::Decimal128Array::from(vec![123_450]).with_precision_and_scale(20, 4).unwrap()),
    ];
    values.push(Arc::new(arrow_array::Decimal128Array::from(vec![1_234_567_890_123_456_789]).with_precision_and_scale(20, 2).unwrap()));
    for text in [
        "n/a", "", "1", "7", "1.5", "1e400", "inf", "NaN", "true", "2013", "2013-02-04", "soon", "10:30", "10:30:00+02:00",
        "2013-02-04 10:30:00", "2013-02-04T10:30:00.1234567Z", "9007199254740993", "99999999999999999999", "9007199254740993.00",
        "12345678901234567891", "12.50", "100000000000000000000",
    ] {
        values.push(Arc::new(arrow_array::StringArray::from(vec![text])));
    }
    values
}

#[tokio::test]
async fn a_value_is_read_from_the_column_that_it_went_into_or_was_refused() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        for declared in [
            "BOOLEAN",
            "INTEGER",
            "BIGINT",
            "REAL",
            "DOUBLE PRECISION",
            "TEXT",
            "VARCHAR(20)",
            "BLOB",
            "DATE",
            "TIME",
            "DATETIME",
            "TIMESTAMP",
            "NUMERIC",
            "DECIMAL(20,2)",
            "STRING",
            "",
        ] {
            for value in values() {
                let Some(back) = through(&database, declared, &value).await else {
                    continue;
                };
                assert!(back.len() == 1 && !back.is_null(0), "{declared} {value:?}");
                let (Some(went_in), Some(came_out)) = (written(&value), written(&back)) else {
                    continue;
                };
                // Of a fraction it is enough that it is the nearest one.
                if matches!(declared, "REAL" | "DOUBLE PRECISION") && went_in.contains('.') {
                    let (went_in, came_out) = (went_in.parse::<f64>(), came_out.parse::<f64>());
                    assert_eq!(went_in, came_out, "{declared} {value:?}");
                } else {
                    assert_eq!(went_in, came_out, "{declared} {value:?}");
                }
            }
        }
    })
    .await;
}

/// All digits of the number that a value is, of whatever type, or its text.
fn written(value: &ArrayRef) -> Option<String> {
    let written = match value.data_type() {
        DataType::Boolean => u8::from(value.as_boolean().value(0)).to_string(),
        DataType::Int64 => value.as_primitive::<types::Int64Type>().value(0).to_string(),
        DataType::UInt64 => value.as_primitive::<types::UInt64Type>().value(0).to_string(),
        DataType::Float64 => value.as_primitive::<types::Float64Type>().value(0).to_string(),
        DataType::Decimal128(..) => value.as_primitive::<types::Decimal128Type>().value_as_string(0),
        DataType::Utf8 => match value.as_string::<i32>().value(0) {
            // As a number with a fraction is written where it becomes a text.
            "1e300" => 1e300_f64.to_string(),
            text => text.to_owned(),
        },
        _ => return None,
    };
    // A number is the same without zeros at the end of its fraction.
    let number = written.trim_end_matches('0').trim_end_matches('.');
    let is_number = written.contains('.') && written.parse::<f64>().is_ok();
    Some(if is_number { number.to_owned() } else { written })
}

#[tokio::test]
async fn what_a_column_cannot_have_is_refused_and_what_it_can_is_not() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let text = |text: &str| -> ArrayRef { Arc::new(arrow_array::StringArray::from(vec![text])) };
        let number = |number: f64| -> ArrayRef { Arc::new(arrow_array::Float64Array::from(vec![number])) };
        let whole = |number: i64| -> ArrayRef { Arc::new(arrow_array::Int64Array::from(vec![number])) };
        let decimal = |hundredths: i128| -> ArrayRef {
            let number = arrow_array::Decimal128Array::from(vec![hundredths]);
            Arc::new(number.with_precision_and_scale(20, 2).unwrap())
        };
        for (declared, value, fits) in [
            ("REAL", text("n/a"), false),
            ("REAL", text("1.5"), true),
            ("REAL", whole(1), true),
            ("REAL", whole(9_007_199_254_740_993), false),
            ("INTEGER", text("1.5"), false),
            ("INTEGER", text("15"), true),
            ("INTEGER", number(1.5), false),
            ("INTEGER", number(2.0), true),
            ("BOOLEAN", text("true"), false),
            ("BOOLEAN", whole(2), false),
            ("BOOLEAN", whole(1), true),
            ("DATE", text("soon"), false),
            ("DATE", text("2013-02-04"), true),
            ("DATE", whole(20_130_204), false),
            ("TIME", text("10:30:00+02:00"), false),
            ("TIME", text("10:30"), true),
            ("DATETIME", text("2013-02-04 10:30"), true),
            ("DATETIME", number(2_456_327.9), false),
            (
                "TEXT",
                Arc::new(arrow_array::BinaryArray::from(vec![&[1_u8][..]])),
                false,
            ),
            ("TEXT", whole(1), true),
            ("BLOB", whole(1), false),
            ("REAL", text("9007199254740993.00"), false),
            ("REAL", text("12345678901234567891"), false),
            ("NUMERIC", text("12345678901234567.89"), false),
            ("DECIMAL(20,2)", decimal(1_234_567_890_123_456_789), false),
            ("DECIMAL(20,2)", decimal(1250), true),
            ("STRING", text("01234"), false),
            ("STRING", text("1e3"), false),
            ("STRING", text("soon"), true),
            ("", text("01234"), true),
        ] {
            let back = through(&database, declared, &value).await;
            assert_eq!(back.is_some(), fits, "{declared} {value:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_fraction_is_not_rounded_into_a_column_of_whole_numbers() {
    // PostgreSQL takes no number with a point for a whole one.
    for kind in [Kind::Sqlite, Kind::MySql] {
        on(kind, |Place { database, .. }| async move {
            let number =
                |number: f64| -> ArrayRef { Arc::new(arrow_array::Float64Array::from(vec![number])) };
            let text = |text: &str| -> ArrayRef { Arc::new(arrow_array::StringArray::from(vec![text])) };
            let tenths = arrow_array::Decimal128Array::from(vec![15_000_000_000_000_001]);
            let decimal: ArrayRef = Arc::new(tenths.with_precision_and_scale(20, 1).unwrap());
            for (declared, value, fits) in [
                ("INTEGER", number(1.5), false),
                ("SMALLINT", number(-0.25), false),
                ("BIGINT", decimal, false),
                ("BIGINT", text("1.5"), false),
                ("DECIMAL(8,0)", number(1.5), kind == Kind::Sqlite),
                ("INTEGER", number(2.0), true),
                ("DOUBLE PRECISION", number(1.5), true),
            ] {
                let back = through(&database, declared, &value).await;
                assert_eq!(back.is_some(), fits, "{kind:?} {declared} {value:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_time_of_the_day_with_a_zone_is_told() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        for statement in [
            "CREATE TABLE times (value TIME)",
            "INSERT INTO times VALUES ('10:30:00'), ('10:30:00+02:00')",
        ] {
            database.execute(statement, &[]).await.unwrap();
        }
        let source = SqlSource::table(&database, "times").open().await.unwrap();
        let error = source.collect_batches().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
        let expected = "row 1 of the result has a time of the day with a zone (\"10:30:00+02:00\")";
        assert!(error.to_string().starts_with(expected), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_column_of_any_type_in_a_strict_table_takes_texts_as_they_are() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let text: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["01234"]));
        let batch = RecordBatch::try_from_iter([("value", text)]).unwrap();
        for (table, strict, fits) in [("strict", "STRICT", true), ("loose", "", false)] {
            let statement = format!("CREATE TABLE {table} (value ANY) {strict}");
            database.execute(&statement, &[]).await.unwrap();
            let batches = BatchStream::of(batch.schema(), vec![batch.clone()]);
            // Also where the table is named with its schema.
            let sink = SqlSink::new(&database, format!("main.{table}"));
            let loaded = sink.load(&load("1"), batches).await;
            assert_eq!(loaded.is_ok(), fits, "{table}: {loaded:?}");
        }
    })
    .await;
}
