//! Databases that go away, and readers and loads that do.

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_array;
use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

#[tokio::test]
async fn a_reading_that_is_dropped_before_it_began_leaves_no_connection() {
    on(Kind::Postgres, |Place { address, .. }| async move {
        let (way, mut asked, gone) = silent(&address, b"of nobody").await;
        let database = Database::new(&way).unwrap();
        let source = SqlSource::query(&database, "SELECT 1 AS \"of nobody\"");
        tokio::select! {
            _ = source.open() => panic!("nobody answered"),
            () = &mut asked => {}
        }
        // The way to the server ends with whoever asked.
        gone.await;
    })
    .await;
}

/// The way to a server that answers no more once it was asked this. Then the first future is ready, and the second once whoever asked has gone.
async fn silent(
    address: &str,
    asked: &'static [u8],
) -> (String, impl Future<Output = ()> + Unpin, impl Future<Output = ()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (root, name) = address.rsplit_once('/').unwrap();
    let (user, server) = root.rsplit_once('@').unwrap();
    let server = server.to_owned();
    let (asks, was_asked) = tokio::sync::oneshot::channel::<()>();
    let relaying = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let chunk = &from_client[..read.unwrap()];
                    if chunk.windows(asked.len()).any(|window| window == asked) {
                        break;
                    }
                    server.write_all(chunk).await.unwrap();
                }
                read = server.read(&mut from_server) => {
                    client.write_all(&from_server[..read.unwrap()]).await.unwrap();
                }
            }
        }
        asks.send(()).unwrap();
        while let Ok(1..) = client.read(&mut from_client).await {}
    });
    let address = format!("{user}@127.0.0.1:{port}/{name}");
    let was_asked = Box::pin(async move { was_asked.await.unwrap() });
    (address, was_asked, async move { relaying.await.unwrap() })
}

#[tokio::test]
async fn a_table_is_copied_into_another_one_of_the_same_file() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let make = "CREATE TABLE raw AS WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 200000) \
                    SELECT number, printf('%0100d', number) AS text FROM numbers";
        database.execute(make, &[]).await.unwrap();
        let rows = SqlSource::table(&database, "raw").open().await.unwrap();
        let loaded = SqlSink::new(&database, "plants").load(&load("1"), rows).await.unwrap();
        assert_eq!(loaded.rows, 200_000);
        assert_eq!(count(&database, "SELECT COUNT(DISTINCT text) FROM plants").await, 200_000);
    })
    .await;
}
