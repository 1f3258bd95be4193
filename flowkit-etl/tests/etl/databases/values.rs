//! Values of all types, and those that are of none.

use std::sync::Arc;

use flowkit_etl::arrow_array::{self, ArrayRef, RecordBatch};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, TimeUnit};
use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::{BatchStream, ErrorKind};

use crate::databases::load;
use crate::databases::servers::{Kind, Place, on, on_each};

/// A column of each type that tables have, with a value and without.
fn of_all_types() -> RecordBatch {
    let micros = arrow_array::TimestampMicrosecondArray::from(vec![Some(1_359_973_800_123_456), None]);
    let decimals = arrow_array::Decimal128Array::from(vec![Some(-1_234_567_890_123), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "truth",
            Arc::new(arrow_array::BooleanArray::from(vec![Some(true), None])),
        ),
        (
            "small",
            Arc::new(arrow_array::Int16Array::from(vec![Some(i16::MIN), None])),
        ),
        (
            "whole",
            Arc::new(arrow_array::Int32Array::from(vec![Some(i32::MAX), None])),
        ),
        (
            "large",
            Arc::new(arrow_array::Int64Array::from(vec![Some(i64::MIN), None])),
        ),
        (
            "unsigned",
            Arc::new(arrow_array::UInt32Array::from(vec![Some(u32::MAX), None])),
        ),
        (
            "single",
            Arc::new(arrow_array::Float32Array::from(vec![Some(0.1_f32), None])),
        ),
        (
            "double",
            Arc::new(arrow_array::Float64Array::from(vec![Some(0.1 + 0.2), None])),
        ),
        (
            "text",
            Arc::new(arrow_array::StringArray::from(vec![
                Some("a\t\"ä\"\\N\r\n'; DROP TABLE x; --"),
                None,
            ])),
        ),
        (
            "empty",
            Arc::new(arrow_array::StringArray::from(vec![Some(""), None])),
        ),
        (
            "bytes",
            Arc::new(arrow_array::BinaryArray::from(vec![
                Some(&[0_u8, 92, 255][..]),
                None,
            ])),
        ),
        (
            "day",
            Arc::new(arrow_array::Date32Array::from(vec![Some(15_740), None])),
        ),
        (
            "time",
            Arc::new(arrow_array::Time64MicrosecondArray::from(vec![
                Some(86_399_999_999),
                None,
            ])),
        ),
        ("local", Arc::new(micros.clone())),
        ("moment", Arc::new(micros.with_timezone("UTC"))),
        (
            "exact",
            Arc::new(decimals.with_precision_and_scale(20, 4).unwrap()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

#[tokio::test]
async fn a_value_of_each_type_comes_out_as_it_went_in() {
    on_each(|Place { kind, database, .. }| async move {
        let batch = of_all_types();
        let batches = BatchStream::of(batch.schema(), vec![batch.clone()]);
        SqlSink::new(&database, "every")
            .load(&load("1"), batches)
            .await
            .unwrap();
        let source = SqlSource::table(&database, "every");
        let back = source
            .clone()
            .schema(batch.schema())
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap();
        assert_eq!(back, std::slice::from_ref(&batch), "{kind:?}");
        // By themselves the databases know these types.
        let types = source.open().await.unwrap().schema().clone();
        let of = |name: &str| types.field_with_name(name).unwrap().data_type().clone();
        assert_eq!(
            (of("truth"), of("large"), of("day")),
            (DataType::Boolean, DataType::Int64, DataType::Date32),
            "{kind:?}"
        );
        assert_eq!(of("local"), DataType::Timestamp(TimeUnit::Microsecond, None));
        if kind != Kind::Sqlite {
            assert_eq!(
                (of("whole"), of("single")),
                (DataType::Int32, DataType::Float32),
                "{kind:?}"
            );
            assert_eq!(of("exact"), DataType::Decimal128(20, 4), "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn sqlite_values_of_another_type_than_their_column_are_told() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        database
            .execute("CREATE TABLE loose (day INTEGER, height)", &[])
            .await
            .unwrap();
        database
            .execute("INSERT INTO loose VALUES (1, 2), (2, 2.5), ('third', NULL)", &[])
            .await
            .unwrap();
        let source = SqlSource::query(&database, "SELECT height FROM loose");
        assert_eq!(
            source.open().await.unwrap().schema().field(0).data_type(),
            &DataType::Float64
        );
        let error = SqlSource::table(&database, "loose")
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap_err();
        let expected = "row 2 of the result has a text in the column `day`, which does not go into Int64";
        assert!(error.to_string().starts_with(expected), "{error}");
        // As the texts that they are, they can be had.
        let schema = Arc::new(Schema::new(vec![Field::new("day", DataType::Utf8, true)]));
        let query = SqlSource::query(&database, "SELECT CAST(day AS TEXT) AS day FROM loose").schema(schema);
        assert_eq!(
            query.open().await.unwrap().collect_batches().await.unwrap()[0].num_rows(),
            3
        );
    })
    .await;
}

#[tokio::test]
async fn numbers_of_a_byte_that_are_no_truth_values_are_read_as_the_numbers_that_are_asked_for() {
    on(Kind::MySql, |Place { database, .. }| async move {
        for statement in [
            "CREATE TABLE bytes (truth TINYINT(1), small TINYINT(1), large TINYINT(1) UNSIGNED)",
            "INSERT INTO bytes VALUES (1, -2, 200), (NULL, NULL, NULL)",
        ] {
            database.execute(statement, &[]).await.unwrap();
        }
        let field = |name, data_type| Field::new(name, data_type, true);
        let schema = Arc::new(Schema::new(vec![
            field("truth", DataType::Boolean),
            field("small", DataType::Int64),
            field("large", DataType::Int64),
        ]));
        let source = SqlSource::table(&database, "bytes");
        let asked = source.clone().schema(schema.clone()).open().await.unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::BooleanArray::from(vec![Some(true), None])),
            Arc::new(arrow_array::Int64Array::from(vec![Some(-2), None])),
            Arc::new(arrow_array::Int64Array::from(vec![Some(200), None])),
        ];
        let expected = RecordBatch::try_new(schema, columns).unwrap();
        assert_eq!(asked.collect_batches().await.unwrap(), [expected]);
        let error = source.open().await.unwrap().collect_batches().await.unwrap_err();
        assert!(error.to_string().contains("by `schema`"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn exact_numbers_of_any_size_keep_all_their_digits() {
    let statement = |kind| match kind {
        Kind::Postgres => {
            "SELECT 12345678901234567890123456789.000001::numeric * 10 AS exact, 'NaN'::numeric AS other"
        }
        _ => "SELECT CAST(12345678901234567890123456789.000001 AS DECIMAL(40, 6)) * 10 AS exact",
    };
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |Place { database, .. }| async move {
            let source = SqlSource::query(
                &database,
                format!("SELECT exact FROM ({}) AS numbers", statement(kind)),
            );
            let batches = source.open().await.unwrap().collect_batches().await.unwrap();
            let column = arrow_array::cast::AsArray::as_string::<i32>(batches[0].column(0));
            assert_eq!(column.value(0), "123456789012345678901234567890.000010");
        })
        .await;
    }
}

#[tokio::test]
async fn what_has_no_column_type_says_to_be_cast() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        let error = SqlSource::query(&database, "SELECT ARRAY[1, 2] AS leaves")
            .open()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("`leaves::text`"), "{error}");
        let query =
            "SELECT '{\"a\": 1}'::jsonb AS record, gen_random_uuid() AS id, 'x'::\"char\"::text AS letter";
        let batches = SqlSource::query(&database, query)
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap();
        let text = |column: usize| {
            arrow_array::cast::AsArray::as_string::<i32>(batches[0].column(column))
                .value(0)
                .to_owned()
        };
        assert_eq!((text(0).as_str(), text(1).len()), ("{\"a\": 1}", 36));
        let error = SqlSource::query(&database, "SELECT 'infinity'::date AS day")
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("an infinite date"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_day_after_the_year_9999_is_kept_or_refused_but_never_lost() {
    on_each(|Place { kind, database, .. }| async move {
        let days: ArrayRef = Arc::new(arrow_array::Date32Array::from(vec![2_932_897]));
        let moments: ArrayRef = Arc::new(arrow_array::TimestampMicrosecondArray::from(vec![
            253_402_300_800_000_000,
        ]));
        for (table, column) in [("days", days), ("moments", moments)] {
            let batch = RecordBatch::try_from_iter([("at", column)]).unwrap();
            let loaded = SqlSink::new(&database, table)
                .load(&load("1"), BatchStream::of(batch.schema(), vec![batch.clone()]))
                .await;
            if kind == Kind::MySql {
                let error = loaded.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
                assert!(error.to_string().contains("after 9999"), "{error}");
            } else if loaded.is_ok() {
                let source = SqlSource::table(&database, table);
                let back = source.open().await.unwrap().collect_batches().await.unwrap();
                assert_eq!(back[0].column(0).as_ref(), batch.column(0).as_ref(), "{kind:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn parameters_that_are_missing_are_told_and_so_are_those_that_nobody_asks_for() {
    on_each(|Place { kind, database, .. }| async move {
        let place = if kind == Kind::Postgres { "$1" } else { "?" };
        database
            .execute("CREATE TABLE counted (one INTEGER)", &[])
            .await
            .unwrap();
        let query = format!("SELECT one FROM counted WHERE one = {place}");
        let missing = SqlSource::query(&database, &query);
        let too_many = SqlSource::query(&database, &query).bind(2).bind(3);
        for source in [missing, too_many] {
            let read = match source.open().await {
                Ok(batches) => batches.collect_batches().await.map(drop),
                Err(error) => Err(error),
            };
            // PostgreSQL lets one say more types than it asks for.
            if let Err(error) = read {
                assert_eq!(error.kind(), ErrorKind::Options, "{kind:?}: {error:?}");
            } else {
                assert_eq!(kind, Kind::Postgres);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_number_that_is_none_is_kept_or_refused_but_never_lost() {
    on_each(|Place { kind, database, .. }| async move {
        let numbers: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![f64::NAN]));
        let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
        let loaded = SqlSink::new(&database, "numbers")
            .load(&load("1"), BatchStream::of(batch.schema(), vec![batch]))
            .await;
        match kind {
            Kind::Postgres => {
                loaded.unwrap();
                let back = SqlSource::table(&database, "numbers")
                    .open()
                    .await
                    .unwrap()
                    .collect_batches()
                    .await
                    .unwrap();
                let column = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Float64Type>(
                    back[0].column(0),
                );
                assert!(column.value(0).is_nan());
            }
            _ => assert_eq!(loaded.unwrap_err().kind(), ErrorKind::Schema, "{kind:?}"),
        }
    })
    .await;
}
