//! Loads whose commit is made and not heard of, and loads that replace each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowkit_etl::ErrorKind;
use flowkit_etl::sink::{Mode, Sink, SqlSink};
use flowkit_etl::sql::Database;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::databases::restarts::{aside, on_own};
use crate::databases::servers::{Kind, Place, Started, on_each};
use crate::databases::{count, load, rows, sorted};
use crate::plants::{Plant, plants, stream};

/// The way to a server, on which answers to commits are lost, and the connections with them.
struct Deaf {
    address: String,
    lost: Arc<AtomicUsize>,
}

impl Deaf {
    async fn before(kind: Kind, address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (root, table) = address.rsplit_once('/').unwrap();
        let (user, server) = root.rsplit_once('@').unwrap();
        let (lost, server) = (Arc::new(AtomicUsize::new(0)), server.to_owned());
        let losing = lost.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(relay(kind, client, server, losing.clone()));
            }
        });
        Self {
            address: format!("{user}@127.0.0.1:{port}/{table}"),
            lost,
        }
    }
}

/// Hands on what both say, until the server has said that it committed.
async fn relay(kind: Kind, client: TcpStream, server: TcpStream, lost: Arc<AtomicUsize>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let there = async move {
        let mut chunk = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_client.read(&mut chunk).await {
            asking.fetch_or(has(&chunk[..length], b"\x03COMMIT"), Ordering::SeqCst);
            if to_server.write_all(&chunk[..length]).await.is_err() {
                break;
            }
        }
    };
    let back = async move {
        let mut chunk = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_server.read(&mut chunk).await {
            // PostgreSQL says what it did; what MySQL says next is about the statement that it was sent.
            let is_done = match kind {
                Kind::Postgres => has(&chunk[..length], b"COMMIT\0"),
                _ => asked.load(Ordering::SeqCst),
            };
            if is_done {
                lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if to_client.write_all(&chunk[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

fn has(chunk: &[u8], what: &[u8]) -> bool {
    chunk.windows(what.len()).any(|window| window == what)
}

/// A sink of each kind.
pub(crate) fn sinks(database: &Database) -> [SqlSink; 3] {
    let sink = SqlSink::new(database, "plants");
    [
        sink.clone(),
        sink.clone().mode(Mode::Replace),
        sink.upsert_on(["plant", "day"]),
    ]
}

/// Plants of a load, with heights of its own.
fn of_load(number: u32, plants: &[Plant]) -> Vec<Plant> {
    let grown = |plant: &Plant| Plant {
        height: Some(f64::from(number)),
        ..plant.clone()
    };
    plants.iter().map(grown).collect()
}

#[tokio::test]
async fn a_load_that_was_committed_without_an_answer_is_known_also_after_the_server_crashed() {
    on_own(|kind, mut server, database| async move {
        let plants = plants(20_000);
        for which in 0..3 {
            let way = Deaf::before(kind, &server.address.replace("/mysql", "/plants")).await;
            let deaf = Database::new(&way.address).unwrap();
            let [sink, unheard] = [&database, &deaf].map(|database| sinks(database)[which].clone());
            let (first, second) = (of_load(1, &plants), of_load(2, &plants[..9_000]));
            // The tables are there, so that nothing but the load commits on that way.
            sink.load(&load("0"), stream(&[])).await.unwrap();
            let error = unheard.load(&load("1"), stream(&first)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind:?}: {error:?}");
            assert_eq!(way.lost.load(Ordering::SeqCst), 1, "{kind:?}: {error:?}");

            server = aside(server, Started::stop).await;
            server = aside(server, Started::start).await;
            sink.load(&load("2"), stream(&second)).await.unwrap();
            let again = sink.load(&load("1"), stream(&first)).await.unwrap();
            assert_eq!((again.rows, again.repeated), (20_000, true), "{kind:?}");
            let expected = match which {
                0 => [first, second].concat(),
                1 => second,
                _ => [second, first[9_000..].to_vec()].concat(),
            };
            assert!(
                rows(&database, "plants").await == sorted(expected),
                "{kind:?}, {sink:?}"
            );
            let ledger = "SELECT COUNT(*) FROM flowkit_loads";
            assert_eq!(count(&database, ledger).await, 3, "{kind:?}");
            for table in ["plants", "flowkit_loads"] {
                database
                    .execute(&format!("DROP TABLE {table}"), &[])
                    .await
                    .unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_loads_that_replace_a_table_at_a_time_one_remains() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(300);
        // Once without a key, then with one, by which the rows of one load lie between those of others.
        for keyed in [false, true] {
            if keyed {
                database.execute("DROP TABLE plants", &[]).await.unwrap();
                database.execute("DROP TABLE flowkit_loads", &[]).await.unwrap();
                let sink = SqlSink::new(&database, "plants").upsert_on(["plant", "day"]);
                sink.load(&load("keyed"), stream(&[])).await.unwrap();
            }
            for turn in 0..10 {
                let loads = (0..4_u32).map(|number| {
                    let sink = SqlSink::new(&database, "plants").mode(Mode::Replace);
                    let name = load(&format!("{keyed}-{turn}-{number}"));
                    let part = 4 - number as usize;
                    let plants = of_load(number, &plants[part * 20..part * 20 + 200]);
                    tokio::spawn(async move {
                        loop {
                            match sink.load(&name, stream(&plants)).await {
                                Err(error) if kind == Kind::MySql && error.is_transient() => {}
                                other => return other.unwrap(),
                            }
                        }
                    })
                });
                for loaded in join_all(loads.collect::<Vec<_>>()).await {
                    assert!(!loaded.unwrap().repeated);
                }
                let heights = "SELECT COUNT(DISTINCT height) FROM plants";
                assert_eq!(count(&database, heights).await, 1, "{kind:?}, {keyed}, {turn}");
                assert_eq!(rows(&database, "plants").await.len(), 200, "{kind:?}, {keyed}");
            }
        }
    })
    .await;
}
