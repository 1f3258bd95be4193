//! What differs stays different, and a value that would become another one is refused.

use std::sync::Arc;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::{self, Array, ArrayRef, RecordBatch, types};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, TimeUnit};
use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, ErrorKind, Result, Since, Value};

use crate::databases::servers::{Kind, Place, on, on_each};
use crate::databases::{count, load};
use crate::plants::{columns, plants, stream};

/// A stream of one batch of one column.
fn of_one(name: &str, column: ArrayRef) -> BatchStream {
    let batch = RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap();
    BatchStream::of(batch.schema(), vec![batch])
}

/// What a query answers in the column `value`, as this type.
async fn asked(database: &Database, query: &str, data_type: DataType) -> Result<ArrayRef> {
    let source = SqlSource::query(database, query).schema(columns(&[("value", data_type)]));
    let batches = source.open().await?.collect_batches().await?;
    Ok(batches[0].column(0).clone())
}

#[tokio::test]
async fn names_of_loads_tables_and_cursors_that_differ_in_case_are_different() {
    on_each(|Place { kind, database, .. }| async move {
        let rows = plants(20);
        let sink = SqlSink::new(&database, "plants");
        for name in ["A", "a"] {
            let loaded = sink.load(&load(name), stream(&rows[..10])).await.unwrap();
            assert!(!loaded.repeated, "{kind:?} {name}");
        }
        assert_eq!(
            count(&database, "SELECT COUNT(*) FROM plants").await,
            20,
            "{kind:?}"
        );
        for cursor in ["Raw", "raw"] {
            let since = sink.since(cursor).await.unwrap();
            assert_eq!(since.value(), None, "{kind:?} {cursor}");
            let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![1]));
            let rows = of_one("day", numbers).following("day", since).unwrap();
            let sink = SqlSink::new(&database, "days");
            sink.load(&load(&format!("of-{cursor}")), rows).await.unwrap();
            assert_eq!(
                sink.since(cursor).await.unwrap().value(),
                Some(&Value::Integer(1))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_whose_text_moved_on_in_case_alone_has_moved_on() {
    on_each(|Place { kind, database, .. }| async move {
        let sink = SqlSink::new(&database, "texts");
        let texts = |text: &str| -> ArrayRef { Arc::new(arrow_array::StringArray::from(vec![text])) };
        let load_from = async |name: &str, text: &str, since: Since| {
            let rows = of_one("text", texts(text)).following("text", since).unwrap();
            sink.load(&load(name), rows).await
        };
        load_from("1", "a", Since::beginning("raw")).await.unwrap();
        let since = sink.since("raw").await.unwrap();
        load_from("2", "A", since.clone()).await.unwrap();
        let error = load_from("3", "b", since).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{kind:?}: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_cursor_has_a_name_that_its_table_can_hold() {
    on(Kind::MySql, |Place { database, .. }| async move {
        let sink = SqlSink::new(&database, "days");
        let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![1]));
        let rows = of_one("day", numbers)
            .following("day", Since::beginning("x".repeat(256)))
            .unwrap();
        let error = sink.load(&load("1"), rows).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn keys_of_a_table_that_is_made_differ_as_texts_do() {
    on_each(|Place { kind, database, .. }| async move {
        let names = ["a", "A", "a ", "ä"];
        let texts: ArrayRef = Arc::new(arrow_array::StringArray::from(names.to_vec()));
        SqlSink::new(&database, "named")
            .upsert_on(["plant"])
            .load(&load("1"), of_one("plant", texts))
            .await
            .unwrap();
        assert_eq!(
            count(&database, "SELECT COUNT(*) FROM named").await,
            4,
            "{kind:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_missing_is_refused_also_where_the_table_takes_it() {
    on_each(|Place { kind, database, .. }| async move {
        database
            .execute(
                "CREATE TABLE loose (day INTEGER NULL UNIQUE, height INTEGER)",
                &[],
            )
            .await
            .unwrap();
        let day = |day| -> ArrayRef { Arc::new(arrow_array::Int64Array::from(vec![Some(1), day])) };
        let sink = SqlSink::new(&database, "loose").upsert_on(["day"]);
        let error = sink.load(&load("1"), of_one("day", day(None))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{kind:?}: {error:?}");
        assert!(error.to_string().contains("`day`"), "{kind:?}: {error}");
        assert_eq!(
            count(&database, "SELECT COUNT(*) FROM loose").await,
            0,
            "{kind:?}"
        );
        sink.load(&load("1"), of_one("day", day(Some(2)))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_moment_comes_back_as_it_went_in_whatever_its_zone_is_called() {
    on_each(|Place { kind, database, .. }| async move {
        for (table, zone) in [("utc", "UTC"), ("zero", "+00:00"), ("east", "+02:00")] {
            let moments = arrow_array::TimestampMicrosecondArray::from(vec![1_359_973_800_123_456]);
            let moments: ArrayRef = Arc::new(moments.with_timezone(zone));
            let went_in = of_one("moment", moments.clone());
            let schema = went_in.schema().clone();
            SqlSink::new(&database, table)
                .load(&load("1"), went_in)
                .await
                .unwrap();
            let source = SqlSource::table(&database, table).schema(schema);
            let back = source.open().await.unwrap().collect_batches().await.unwrap();
            assert_eq!(back[0].column(0), &moments, "{kind:?} {zone}");
        }
    })
    .await;
}

#[tokio::test]
async fn sqlite_times_are_texts_and_those_with_a_zone_are_moments() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        database
            .execute("CREATE TABLE times (value DATETIME)", &[])
            .await
            .unwrap();
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (text, expected) in [
            ("'2013-02-04T10:00:00+02:00'", Some("2013-02-04T08:00:00")),
            ("'2013-02-04 10:00:00.5'", Some("2013-02-04T10:00:00.500")),
            ("'2013-02-04 10:00:00.1234567'", None),
            ("1359972000", None),
            ("2456327.9", None),
        ] {
            database.execute("DELETE FROM times", &[]).await.unwrap();
            let insert = format!("INSERT INTO times VALUES ({text})");
            database.execute(&insert, &[]).await.unwrap();
            let read = asked(&database, "SELECT value FROM times", time.clone()).await;
            match expected {
                Some(expected) => {
                    let read = read.unwrap();
                    let read = read.as_primitive::<types::TimestampMicrosecondType>();
                    let shown = read
                        .value_as_datetime(0)
                        .unwrap()
                        .format("%Y-%m-%dT%H:%M:%S%.f")
                        .to_string();
                    assert_eq!(shown, expected);
                }
                None => assert_eq!(read.unwrap_err().kind(), ErrorKind::Schema, "{text}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_value_that_would_be_another_one_in_the_type_that_is_asked_for_is_an_error() {
    on_each(|Place { kind, database, .. }| async move {
        database
            .execute("CREATE TABLE any_table (day INTEGER)", &[])
            .await
            .unwrap();
        let (double, whole, exact) = match kind {
            Kind::Sqlite => ("CAST(3.7 AS REAL)", "9007199254740993", "'1.239'"),
            Kind::Postgres => ("3.7::float8", "9007199254740993::int8", "1.239::numeric"),
            Kind::MySql => (
                "CAST(3.7 AS DOUBLE)",
                "CAST(9007199254740993 AS SIGNED)",
                "CAST(1.239 AS DECIMAL(20, 4))",
            ),
        };
        for (value, data_type) in [
            (double, DataType::Int64),
            (double, DataType::Float32),
            (whole, DataType::Float64),
            (exact, DataType::Decimal128(10, 2)),
        ] {
            let query = format!("SELECT {value} AS value");
            let error = asked(&database, &query, data_type.clone()).await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Schema,
                "{kind:?} {value} {data_type}: {error:?}"
            );
        }
        let decimal = asked(
            &database,
            &format!("SELECT {exact} AS value"),
            DataType::Decimal128(10, 3),
        )
        .await
        .unwrap();
        assert_eq!(
            decimal.as_primitive::<types::Decimal128Type>().value(0),
            1239,
            "{kind:?}"
        );
        let number = asked(&database, &format!("SELECT {exact} AS value"), DataType::Float64).await;
        if kind != Kind::Sqlite {
            assert_eq!(
                number.unwrap().as_primitive::<types::Float64Type>().value(0),
                1.239,
                "{kind:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_is_the_value_that_it_says_or_an_error_that_names_it() {
    for (kind, of) in [(Kind::Postgres, "text"), (Kind::MySql, "char")] {
        on(kind, |Place { kind, database, .. }| async move {
            let said = |text: &str| format!("SELECT CAST('{text}' AS {of}) AS value");
            let paris = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Paris".into()));
            for (text, moment) in [
                ("2013-02-04T18:30:00", 1_360_002_600_000_000),
                ("2013-02-04T18:30:00+01:00", 1_359_999_000_000_000),
                ("2013-02-04", 1_359_936_000_000_000),
            ] {
                let read = asked(&database, &said(text), paris.clone()).await.unwrap();
                let read = read.as_primitive::<types::TimestampMicrosecondType>().value(0);
                assert_eq!(read, moment, "{kind:?} {text}");
            }
            for (text, data_type) in [
                ("2013-02-04T18:30:00", DataType::Date32),
                ("9007199254740993", DataType::Float64),
                ("0.123456789", DataType::Float32),
                ("18:30:00.5", DataType::Time32(TimeUnit::Second)),
                ("soon", DataType::Date32),
            ] {
                let error = asked(&database, &said(text), data_type.clone())
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Schema, "{kind:?} {text}: {error:?}");
                let expected = format!("{text} does not go into {data_type}");
                assert!(error.to_string().contains(&expected), "{kind:?}: {error}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_moment_is_a_day_where_it_begins_one_in_utc_and_no_time_of_the_day() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        let moment = |text: &str| format!("SELECT TIMESTAMPTZ '{text}' AS value");
        let day = asked(&database, &moment("2013-02-04T02:00:00+02:00"), DataType::Date32).await;
        assert_eq!(day.unwrap().as_primitive::<types::Date32Type>().value(0), 15_740);
        for (text, data_type) in [
            ("2013-02-04T00:00:00+02:00", DataType::Date32),
            ("2013-02-04T18:30:00Z", DataType::Time64(TimeUnit::Microsecond)),
        ] {
            let error = asked(&database, &moment(text), data_type).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{text}: {error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_truth_value_is_one_of_two() {
    for kind in [Kind::Sqlite, Kind::MySql] {
        on(kind, |Place { kind, database, .. }| async move {
            database
                .execute("CREATE TABLE truths (value BOOLEAN)", &[])
                .await
                .unwrap();
            database
                .execute("INSERT INTO truths VALUES (1), (0), (NULL)", &[])
                .await
                .unwrap();
            let read = asked(&database, "SELECT value FROM truths", DataType::Boolean)
                .await
                .unwrap();
            assert_eq!(
                (read.as_boolean().true_count(), read.null_count()),
                (1, 1),
                "{kind:?}"
            );
            database
                .execute("INSERT INTO truths VALUES (5)", &[])
                .await
                .unwrap();
            let error = asked(&database, "SELECT value FROM truths", DataType::Boolean)
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("has 5 in the column `value`"),
                "{kind:?}: {error}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn times_that_are_finer_than_a_table_holds_are_refused() {
    on_each(|Place { kind, database, .. }| async move {
        let day = 86_400_000;
        let columns: [(&str, ArrayRef, ArrayRef); 2] = [
            (
                "time",
                Arc::new(arrow_array::Time64NanosecondArray::from(vec![1_000])),
                Arc::new(arrow_array::Time64NanosecondArray::from(vec![1_001])),
            ),
            (
                "day",
                Arc::new(arrow_array::Date64Array::from(vec![day])),
                Arc::new(arrow_array::Date64Array::from(vec![day + 1])),
            ),
        ];
        for (table, fits, too_fine) in columns {
            let sink = SqlSink::new(&database, table);
            sink.load(&load("1"), of_one(table, fits)).await.unwrap();
            let error = sink.load(&load("2"), of_one(table, too_fine)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{kind:?} {table}: {error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_query_may_end_in_a_comment() {
    on_each(|Place { kind, database, .. }| async move {
        SqlSink::new(&database, "plants")
            .load(&load("1"), stream(&plants(3)))
            .await
            .unwrap();
        let source = SqlSource::query(&database, "SELECT day FROM plants -- all of them")
            .since("day", Since::beginning("plants"));
        let batches = source.open().await.unwrap().collect_batches().await.unwrap();
        assert_eq!(batches[0].num_rows(), 3, "{kind:?}");
        let schema = Schema::new(vec![Field::new("day", DataType::Int64, true)]);
        assert_eq!(batches[0].schema().fields(), schema.fields(), "{kind:?}");
    })
    .await;
}

#[test]
fn a_database_of_sqlite_has_a_file() {
    for address in ["sqlite:", "sqlite://", "sqlite://?mode=rwc"] {
        let error = Database::new(address).unwrap_err();
        assert!(error.to_string().contains("name a file"), "{address}: {error}");
    }
}
