//! Databases that go away, and readers and loads that do.

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_array;
use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use futures::StreamExt;

use crate::databases::servers::{Kind, Place, on, on_each};
use crate::databases::{count, load, rows};
use crate::plants::{plants, stream};

#[tokio::test]
async fn a_reading_takes_no_more_than_is_asked_for_and_ends_when_it_is_dropped() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        let query = "SELECT number, repeat('x', 100) AS text FROM generate_series(1, 100000000) AS number";
        let mut batches = SqlSource::query(&database, query).open().await.unwrap();
        for _ in 0..3 {
            assert_eq!(batches.next().await.unwrap().unwrap().num_rows(), 8192);
        }
        drop(batches);
        let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        while count(&database, others).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Ends every other connection to the database.
async fn break_connections(kind: Kind, database: &Database) {
    match kind {
        Kind::Postgres => {
            let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            database.execute(statement, &[]).await.unwrap();
        }
        _ => {
            let query = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
            let batches = SqlSource::query(database, query)
                .open()
                .await
                .unwrap()
                .collect_batches()
                .await
                .unwrap();
            for batch in batches {
                let column = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(
                    batch.column(0),
                )
                .clone();
                for id in column.iter().flatten() {
                    database.execute(&format!("KILL {id}"), &[]).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_load_leaves_nothing_and_the_load_can_be_tried_again() {
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |Place { kind, database, .. }| async move {
            let plants = plants(50_000);
            let sink = SqlSink::new(&database, "plants");
            sink.load(&load("1"), stream(&plants[..10])).await.unwrap();
            let breaking = database.clone();
            let breaks = stream(&plants).enumerate().then(move |(number, batch)| {
                let database = breaking.clone();
                async move {
                    if number == 3 {
                        break_connections(kind, &database).await;
                    }
                    batch
                }
            });
            let broken = BatchStream::new(stream(&plants).schema().clone(), breaks);
            let error = sink.load(&load("2"), broken).await.unwrap_err();
            assert!(error.is_transient(), "{kind:?}: {error:?}");
            assert_eq!(rows(&database, "plants").await.len(), 10, "{kind:?}");
            assert!(!sink.load(&load("2"), stream(&plants)).await.unwrap().repeated);
            assert_eq!(rows(&database, "plants").await.len(), 50_010, "{kind:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_reading_is_an_error_and_not_an_end() {
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |Place { kind, database, .. }| async move {
            // More than the sockets between hold.
            let query = match kind {
                Kind::Postgres => "SELECT repeat('x', 1000) AS text FROM generate_series(1, 1000000)",
                _ => "SELECT REPEAT('x', 1000) AS text FROM seq_1_to_1000000",
            };
            let mut batches = SqlSource::query(&database, query).open().await.unwrap();
            batches.next().await.unwrap().unwrap();
            break_connections(kind, &database).await;
            let error = batches.collect_batches().await.unwrap_err();
            assert!(error.is_transient(), "{kind:?}: {error:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_load_that_is_dropped_leaves_nothing() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(20_000);
        let sink = SqlSink::new(&database, "plants");
        sink.load(&load("1"), stream(&plants[..10])).await.unwrap();
        let (reached, reaches) = tokio::sync::oneshot::channel();
        let mut reached = Some(reached);
        let endless = stream(&plants).enumerate().then(move |(number, batch)| {
            let reached = (number == 2).then(|| reached.take()).flatten();
            async move {
                if let Some(reached) = reached {
                    reached.send(()).unwrap();
                    futures::future::pending::<()>().await;
                }
                batch
            }
        });
        let endless = BatchStream::new(stream(&plants).schema().clone(), endless);
        let name = load("2");
        tokio::select! {
            loaded = sink.load(&name, endless) => panic!("{loaded:?}"),
            _ = reaches => {}
        }
        assert!(
            !sink.load(&name, stream(&plants)).await.unwrap().repeated,
            "{kind:?}"
        );
        assert_eq!(rows(&database, "plants").await.len(), 20_010, "{kind:?}");
    })
    .await;
}
