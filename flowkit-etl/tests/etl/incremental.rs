//! What is new since the last time, and only that.

mod columns;

use std::sync::Arc;

use flowkit_etl::arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use flowkit_etl::sink::{DatasetSink, FileSink, LoadId, Mode, Sink, SqlSink};
use flowkit_etl::source::{DatasetSource, Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, Error, ErrorKind, Result, Since, Value};
use futures::StreamExt;

use crate::databases::servers::{Kind, Place, on, on_each};

fn load(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

/// Adds rows with these numbers to the table that is read.
async fn add(database: &Database, numbers: std::ops::RangeInclusive<i64>) {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        numbers.clone().map(|number| format!("row {number}")),
    ));
    let name = load(&format!("rows-{}", numbers.start()));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    let batch = RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap();
    SqlSink::new(database, "raw")
        .load(&name, BatchStream::of(batch.schema(), vec![batch]))
        .await
        .unwrap();
}

/// Extracts what is new, and loads it.
async fn extract(database: &Database, sink: &dyn Sink, name: &str) -> Result<u64> {
    let since = sink.since("raw").await?;
    let batches = SqlSource::table(database, "raw")
        .since("number", since)
        .open()
        .await?;
    Ok(sink.load(&load(name), batches).await?.rows)
}

async fn count(source: &dyn Source) -> usize {
    let batches = source.open().await.unwrap().collect_batches().await.unwrap();
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn each_extraction_brings_what_came_since_the_last_load_that_succeeded() {
    on_each(|Place { kind, database, .. }| async move {
        let sink = SqlSink::new(&database, "plants");
        add(&database, 1..=10_000).await;
        assert_eq!(extract(&database, &sink, "a").await.unwrap(), 10_000, "{kind:?}");
        assert_eq!(extract(&database, &sink, "b").await.unwrap(), 0, "{kind:?}");
        add(&database, 10_001..=10_005).await;
        // A load that fails moves nothing.
        let since = sink.since("raw").await.unwrap();
        assert_eq!(since.value(), Some(&Value::Integer(10_000)));
        let batches = SqlSource::table(&database, "raw")
            .since("number", since)
            .open()
            .await
            .unwrap();
        let schema = batches.schema().clone();
        let broken = batches.map_batches(schema, |_| Err(Error::new(ErrorKind::Quality, "not good enough")));
        assert_eq!(
            sink.load(&load("c"), broken).await.unwrap_err().kind(),
            ErrorKind::Quality
        );
        assert_eq!(extract(&database, &sink, "c").await.unwrap(), 5, "{kind:?}");
        assert_eq!(
            count(&SqlSource::table(&database, "plants")).await,
            10_005,
            "{kind:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn of_two_extractions_that_began_at_one_place_one_is_loaded() {
    on_each(|Place { kind, database, .. }| async move {
        let sink = SqlSink::new(&database, "plants");
        add(&database, 1..=10).await;
        for first in [11, 21] {
            let since = sink.since("raw").await.unwrap();
            let source = SqlSource::table(&database, "raw").since("number", since);
            let (one, other) = (source.open().await.unwrap(), source.open().await.unwrap());
            sink.load(&load(&format!("one-{first}")), one).await.unwrap();
            let error = sink
                .load(&load(&format!("other-{first}")), other)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{kind:?}: {error:?}");
            assert_eq!(
                count(&SqlSource::table(&database, "plants")).await as i64,
                first - 1,
                "{kind:?}"
            );
            add(&database, first..=first + 9).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_data_set_keeps_the_cursor_with_its_loads() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("lake");
        let sink = DatasetSink::parquet(&root);
        add(&database, 1..=10).await;
        assert_eq!(extract(&database, &sink, "z").await.unwrap(), 10);
        add(&database, 11..=13).await;
        assert_eq!(extract(&database, &sink, "a").await.unwrap(), 3);
        // Another load goes by, and one that replaces all: the cursor stays where it is.
        let since = sink.since("raw").await.unwrap();
        let source = SqlSource::query(&database, "SELECT * FROM raw WHERE number = $1").bind(1);
        sink.load(&load("m"), source.open().await.unwrap()).await.unwrap();
        sink.clone()
            .mode(Mode::Replace)
            .load(&load("n"), source.open().await.unwrap())
            .await
            .unwrap();
        assert_eq!(sink.since("raw").await.unwrap(), since);
        assert_eq!(since.value(), Some(&Value::Integer(13)));
        add(&database, 14..=14).await;
        assert_eq!(extract(&database, &sink, "o").await.unwrap(), 1);
        assert_eq!(count(&DatasetSource::new(&root)).await, 2);
        // One that began before is refused.
        let stale = SqlSource::table(&database, "raw")
            .since("number", since)
            .open()
            .await
            .unwrap();
        let error = sink.load(&load("p"), stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn times_and_texts_say_what_is_new_too() {
    on_each(|Place { kind, database, .. }| async move {
        let (time, key) = match kind {
            Kind::Sqlite => ("DATETIME", "TEXT"),
            Kind::Postgres => ("TIMESTAMPTZ", "TEXT"),
            Kind::MySql => ("DATETIME(6)", "VARCHAR(20)"),
        };
        database
            .execute(&format!("CREATE TABLE raw (changed {time}, name {key})"), &[])
            .await
            .unwrap();
        let insert = |values: &'static str| {
            let database = database.clone();
            async move {
                database
                    .execute(&format!("INSERT INTO raw VALUES {values}"), &[])
                    .await
                    .unwrap()
            }
        };
        insert("('2013-02-04 10:00:00.5', 'a'), ('2013-02-04 10:00:00', 'b')").await;
        for (column, again) in [("changed", 1), ("name", 1)] {
            let sink = SqlSink::new(&database, format!("by_{column}"));
            let extract = async |name: &str, at: bool| -> Result<u64> {
                let since = sink.since(column).await?;
                let source = SqlSource::table(&database, "raw");
                let source = if at {
                    source.since_or_at(column, since)
                } else {
                    source.since(column, since)
                };
                Ok(sink.load(&load(name), source.open().await?).await?.rows)
            };
            assert_eq!(extract("1", false).await.unwrap(), 2, "{kind:?} {column}");
            assert_eq!(extract("2", false).await.unwrap(), 0, "{kind:?} {column}");
            assert_eq!(extract("3", true).await.unwrap(), again, "{kind:?} {column}");
        }
        insert("('2013-02-05 00:00:00', 'c')").await;
        let sink = SqlSink::new(&database, "by_changed");
        let since = sink.since("changed").await.unwrap();
        let source = SqlSource::query(&database, "SELECT name, changed FROM raw;").since("changed", since);
        assert_eq!(
            sink.load(&load("4"), source.open().await.unwrap())
                .await
                .unwrap()
                .rows,
            1,
            "{kind:?}"
        );
        // What cannot be told to be new is not passed over.
        insert("(NULL, 'd')").await;
        let since = sink.since("changed").await.unwrap();
        let source = SqlSource::table(&database, "raw").since("changed", since);
        let error = source.open().await.unwrap().collect_batches().await.unwrap_err();
        assert!(
            error.to_string().contains("no value in `changed`"),
            "{kind:?}: {error}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_cannot_keep_a_cursor_says_so() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        add(&database, 1..=3).await;
        let directory = tempfile::tempdir().unwrap();
        let sink = FileSink::new(directory.path().join("raw.csv"));
        assert_eq!(sink.since("raw").await.unwrap_err().kind(), ErrorKind::Options);
        let since = flowkit_etl::Since::beginning("raw");
        let mut batches = SqlSource::table(&database, "raw")
            .since("number", since)
            .open()
            .await
            .unwrap();
        assert!(batches.next().await.unwrap().is_ok());
        assert_eq!(
            sink.load(&load("1"), batches).await.unwrap_err().kind(),
            ErrorKind::Options
        );
    })
    .await;
}

#[cfg(feature = "query")]
#[tokio::test]
async fn a_query_that_leaves_out_a_part_of_what_is_new_is_refused() {
    use flowkit_etl::query::Query;
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let sink = SqlSink::new(&database, "plants");
        add(&database, 1..=5).await;
        let source = |since| SqlSource::table(&database, "raw").since("number", since);
        let queried = async |text: &str| -> Result<u64> {
            let new = source(sink.since("raw").await?).open().await?;
            let few = SqlSource::query(&database, "SELECT 1 AS few UNION ALL SELECT 2").open().await?;
            let rows = Query::new(text).table("new", new).table("few", few).run().await?;
            Ok(sink.load(&load("queried"), rows).await?.rows)
        };
        for text in [
            "SELECT * FROM new LIMIT 2",
            "SELECT * FROM new OFFSET 2",
            "SELECT * FROM new ORDER BY number LIMIT 2",
            "SELECT * FROM (SELECT * FROM new WHERE number > 0 LIMIT 2) AS some ORDER BY number",
            "WITH some AS (SELECT * FROM new LIMIT 2) SELECT few AS number, 'x' AS text FROM few WHERE few IN (SELECT number FROM some)",
        ] {
            let error = queried(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Options, "{text}: {error:?}");
            assert!(error.to_string().contains("`new`"), "{text}: {error}");
            assert_eq!(sink.since("raw").await.unwrap().value(), None, "{text}");
        }
        let text = "SELECT * FROM new WHERE number > (SELECT max(few) FROM (SELECT few FROM few ORDER BY few LIMIT 1) AS first)";
        assert_eq!(queried(text).await.unwrap(), 4, "a limit of something else is none of what is new");
        assert_eq!(sink.since("raw").await.unwrap().value(), Some(&Value::Integer(5)));
    })
    .await;
}

#[tokio::test]
async fn identifiers_numbers_of_any_size_and_enumerations_say_what_is_new_too() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        for statement in [
            "CREATE SCHEMA other",
            "CREATE TYPE other.\"Growth\" AS ENUM ('seed', 'leaf', 'fruit')",
            "CREATE TABLE raw (id UUID, exact NUMERIC, stage other.\"Growth\", code CHAR(4))",
            "INSERT INTO raw VALUES ('00000000-0000-0000-0000-000000000001', 9.5, 'seed', 'aa'), ('00000000-0000-0000-0000-000000000002', 10.25, 'leaf', 'ab')",
        ] {
            database.execute(statement, &[]).await.unwrap();
        }
        let extract = async |column: &str, name: &str| {
            let sink = SqlSink::new(&database, format!("by_{column}"));
            let query = "SELECT id, exact, stage, code FROM raw WHERE exact < $1";
            let since = sink.since(column).await?;
            let source = SqlSource::query(&database, query).bind(1000).since(column, since);
            Ok::<_, Error>(sink.load(&load(name), source.open().await?).await?.rows)
        };
        for column in ["id", "exact", "stage", "code"] {
            assert_eq!(extract(column, "1").await.unwrap(), 2, "{column}");
            assert_eq!(extract(column, "2").await.unwrap(), 0, "{column}");
        }
        let more = "INSERT INTO raw VALUES ('00000000-0000-0000-0000-00000000000a', 100, 'fruit', 'b')";
        database.execute(more, &[]).await.unwrap();
        for column in ["id", "exact", "stage", "code"] {
            assert_eq!(extract(column, "3").await.unwrap(), 1, "{column}");
        }
    })
    .await;
}

/// Rows with these numbers, as a source of one's own has them.
fn numbered(numbers: &[f64]) -> BatchStream {
    let batch = |number: &f64| {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![*number]));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    };
    let batches: Vec<RecordBatch> = numbers.iter().map(batch).collect();
    BatchStream::of(batches[0].schema(), batches)
}

#[tokio::test]
async fn a_cursor_at_a_number_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    for (name, number) in [("a", f64::NAN), ("b", f64::INFINITY)] {
        let since = sink.since("raw").await.unwrap();
        let rows = numbered(&[1.0, number]).following("number", since).unwrap();
        let error = sink.load(&load(name), rows).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
        assert!(error.to_string().contains("`number`"), "{error}");
    }
    let since = sink.since("raw").await.unwrap();
    let rows = numbered(&[1.0, 31.245270191439438])
        .following("number", since)
        .unwrap();
    sink.load(&load("c"), rows).await.unwrap();
    let since = sink.since("raw").await.unwrap();
    assert_eq!(since.value(), Some(&Value::Number(31.245270191439438)));
    let rows = numbered(&[32.0]).following("number", since).unwrap();
    sink.load(&load("d"), rows).await.unwrap();
}

#[tokio::test]
async fn rows_that_do_not_come_in_the_order_of_their_cursor_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    let newest_first = numbered(&[3.0, 2.0, 1.0]);
    let rows = newest_first
        .following("number", sink.since("raw").await.unwrap())
        .unwrap();
    let error = sink.load(&load("a"), rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
    assert!(error.to_string().contains("order of `number`"), "{error}");
    let rows = numbered(&[1.0, 1.0, 3.0])
        .following("number", sink.since("raw").await.unwrap())
        .unwrap();
    sink.load(&load("b"), rows).await.unwrap();
    // Nor may they begin before the place where they are to go on.
    let rows = numbered(&[2.0, 4.0])
        .following("number", sink.since("raw").await.unwrap())
        .unwrap();
    let error = sink.load(&load("c"), rows).await.unwrap_err();
    assert!(error.to_string().contains("order of `number`"), "{error}");
}

#[tokio::test]
async fn texts_may_come_after_a_number_where_a_column_has_one_type() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a1", "a2"]));
    let batch = RecordBatch::try_from_iter([("id", texts)]).unwrap();
    let rows = BatchStream::of(batch.schema(), vec![batch])
        .following("id", Since::after("c", 0.into()))
        .unwrap();
    assert_eq!(rows.collect_batches().await.unwrap().len(), 1);
}
