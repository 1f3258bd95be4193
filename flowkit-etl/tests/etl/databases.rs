//! Databases: rows go in and come out as they were, once, whatever happens meanwhile.

mod commits;
mod declared;
mod exact;
mod faults;
mod models;
mod restarts;
pub(crate) mod servers;
mod values;

use std::sync::Arc;

use flowkit_etl::arrow_array::{self, Array, ArrayRef, RecordBatch};
use flowkit_etl::sink::{LoadId, Mode, Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, Error, ErrorKind, Value};
use futures::StreamExt;

use crate::databases::servers::{Kind, Place, on, on_each};
use crate::plants::{Plant, plants, stream};

pub(crate) fn load(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

pub(crate) async fn rows(database: &Database, table: &str) -> Vec<Plant> {
    let mut rows: Vec<Plant> = SqlSource::table(database, table)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    rows.sort_by(|a, b| (&a.plant, a.day).cmp(&(&b.plant, b.day)));
    rows
}

pub(crate) async fn count(database: &Database, query: &str) -> i64 {
    let batches = SqlSource::query(database, query)
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap();
    let column = batches[0].column(0);
    arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(column).value(0)
}

pub(crate) fn sorted(mut plants: Vec<Plant>) -> Vec<Plant> {
    plants.sort_by(|a, b| (&a.plant, a.day).cmp(&(&b.plant, b.day)));
    plants
}

#[tokio::test]
async fn a_load_that_is_repeated_ten_times_has_the_outcome_of_one() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(20_000);
        let sink = SqlSink::new(&database, "plants");
        for turn in 0..10 {
            let loaded = sink.load(&load("2013-02-04"), stream(&plants)).await.unwrap();
            assert_eq!((loaded.rows, loaded.repeated), (20_000, turn > 0), "{kind:?}");
        }
        assert_eq!(
            rows(&database, "plants").await,
            sorted(plants.clone()),
            "{kind:?}"
        );
        let more = sink
            .load(&load("2013-02-05"), stream(&plants[..10]))
            .await
            .unwrap();
        assert!(!more.repeated);
        assert_eq!(rows(&database, "plants").await.len(), 20_010, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn two_loads_under_one_name_at_a_time_are_one() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(5_000);
        // The tables are there, so that both begin at once.
        SqlSink::new(&database, "plants")
            .load(&load("0"), stream(&[]))
            .await
            .unwrap();
        let sink = SqlSink::new(&database, "plants");
        let name = load("1");
        let (one, other) = tokio::join!(
            sink.load(&name, stream(&plants)),
            sink.load(&name, stream(&plants))
        );
        let mut repeated = [one.unwrap(), other.unwrap()].map(|loaded| (loaded.rows, loaded.repeated));
        repeated.sort();
        assert_eq!(repeated, [(5_000, false), (5_000, true)], "{kind:?}");
        assert_eq!(rows(&database, "plants").await.len(), 5_000, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn loads_at_a_time_into_a_table_that_is_not_there_all_come_in() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(5_000);
        let sink = SqlSink::new(&database, "plants");
        let loads = ["1", "2", "3", "4", "5", "6"].map(load);
        let loads = loads.iter().map(|load| sink.load(load, stream(&plants)));
        for loaded in futures::future::try_join_all(loads).await.unwrap() {
            assert_eq!((loaded.rows, loaded.repeated), (5_000, false), "{kind:?}");
        }
        assert_eq!(rows(&database, "plants").await.len(), 30_000, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn a_load_that_fails_leaves_what_was_there() {
    on_each(|Place { kind, database, .. }| async move {
        let (former, new) = (plants(100), plants(9_000));
        let sink = SqlSink::new(&database, "plants").mode(Mode::Replace);
        sink.load(&load("1"), stream(&former)).await.unwrap();
        let schema = stream(&new).schema().clone();
        let broken = stream(&new).chain(futures::stream::once(async {
            Err(Error::new(ErrorKind::Unavailable, "the source went away"))
        }));
        let error = sink
            .load(&load("2"), BatchStream::new(schema, broken))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "the source went away", "{kind:?}");
        assert_eq!(rows(&database, "plants").await, sorted(former), "{kind:?}");
        // And its name is free.
        assert!(!sink.load(&load("2"), stream(&new)).await.unwrap().repeated);
        assert_eq!(rows(&database, "plants").await, sorted(new), "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn rows_with_equal_keys_are_brought_up_to_date_and_the_last_counts() {
    on_each(|Place { kind, database, .. }| async move {
        let mut plants = plants(3_000);
        let sink = SqlSink::new(&database, "plants").upsert_on(["plant", "day"]);
        for (number, plant) in plants.iter_mut().enumerate() {
            plant.plant = format!("{number}");
        }
        sink.load(&load("1"), stream(&plants)).await.unwrap();
        let mut twice = plants[..2_000].to_vec();
        twice.extend_from_slice(&plants[..2_000]);
        for (number, plant) in twice.iter_mut().enumerate() {
            plant.height = Some(number as f64);
        }
        sink.load(&load("2"), stream(&twice)).await.unwrap();
        let mut expected = twice[2_000..].to_vec();
        expected.extend_from_slice(&plants[2_000..]);
        assert_eq!(rows(&database, "plants").await, sorted(expected), "{kind:?}");
        // Without an index there is no telling which rows are the same.
        let error = SqlSink::new(&database, "plants")
            .upsert_on(["scenario"])
            .load(&load("3"), stream(&twice))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{kind:?}: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_parameter_is_a_value_whatever_it_says() {
    on_each(|Place { kind, database, .. }| async move {
        let plants = plants(100);
        SqlSink::new(&database, "plants")
            .load(&load("1"), stream(&plants))
            .await
            .unwrap();
        let query = match kind {
            Kind::MySql => "SELECT * FROM plants WHERE scenario = ? AND day > ?",
            _ => "SELECT * FROM plants WHERE scenario = $1 AND day > $2",
        };
        let source = SqlSource::query(&database, query).bind("WW").bind(20);
        let found: Vec<Plant> = source.open().await.unwrap().collect_rows().await.unwrap();
        let expected = plants
            .iter()
            .filter(|plant| plant.scenario == "WW" && plant.day > 20);
        assert_eq!(found.len(), expected.count(), "{kind:?}");
        let source = SqlSource::query(&database, query).bind("' OR '1' = '1").bind(20);
        assert!(
            source
                .open()
                .await
                .unwrap()
                .collect_batches()
                .await
                .unwrap()
                .is_empty(),
            "{kind:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_or_where_it_is_met() {
    on_each(|Place { kind, database, .. }| async move {
        let sink = SqlSink::new(&database, "plants");
        sink.load(&load("1"), stream(&plants(10))).await.unwrap();
        let other = RecordBatch::try_from_iter([(
            "weight",
            Arc::new(arrow_array::Int64Array::from(vec![1])) as ArrayRef,
        )])
        .unwrap();
        let error = sink
            .load(&load("2"), BatchStream::of(other.schema(), vec![other]))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the table `plants` has no column `weight`"),
            "{kind:?}: {error}"
        );
        let error = SqlSource::table(&database, "absent").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{kind:?}: {error:?}");
        let error = SqlSource::query(&database, "SELEC 1").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{kind:?}: {error:?}");
        let error = SqlSink::new(&database, "absent")
            .create(false)
            .load(&load("1"), stream(&plants(1)))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{kind:?}: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_value_that_the_table_refuses_is_an_error_and_not_another_value() {
    on_each(|Place { kind, database, .. }| async move {
        let check = "CREATE TABLE plants (plant VARCHAR(4) CHECK (LENGTH(plant) <= 4), day SMALLINT NOT NULL CHECK (day < 40))";
        database.execute(check, &[]).await.unwrap();
        let rows = |plant: &str, day: i64| {
            let columns: [(&str, ArrayRef); 2] = [
                ("plant", Arc::new(arrow_array::StringArray::from(vec!["a", plant]))),
                ("day", Arc::new(arrow_array::Int64Array::from(vec![1, day]))),
            ];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            BatchStream::of(batch.schema(), vec![batch])
        };
        let sink = SqlSink::new(&database, "plants");
        for (plant, day) in [("too long", 1), ("b", 100_000), ("b", 40)] {
            let error = sink.load(&load("1"), rows(plant, day)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected, "{kind:?}: {error:?}");
            if kind == Kind::Postgres && day != 40 {
                assert!(error.to_string().contains("line 2"), "{error:?}");
                let told = format!("{error:#}");
                assert_eq!(told.matches("cannot load into").count(), 1, "{told}");
            }
        }
        assert_eq!(count(&database, "SELECT COUNT(*) FROM plants").await, 0, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn no_error_has_the_password() {
    for scheme in ["postgres", "mysql"] {
        let database = Database::new(&format!("{scheme}://etl:hunter2@127.0.0.1:1/plants")).unwrap();
        let error = SqlSource::table(&database, "plants").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        let said = format!("{error:?} {:?}", SqlSink::new(&database, "plants"));
        assert!(
            said.contains("etl@127.0.0.1:1/plants") && !said.contains("hunter2"),
            "{said}"
        );
    }
    for kind in [Kind::Postgres, Kind::MySql] {
        on(
            kind,
            |Place {
                 kind,
                 database,
                 address,
             }| async move {
                let create = match kind {
                    Kind::Postgres => return,
                    _ => "CREATE USER IF NOT EXISTS flowkit_test_locked IDENTIFIED BY 'correct'",
                };
                database.execute(create, &[]).await.unwrap();
                let (_, place) = address.rsplit_once('@').unwrap();
                let locked = Database::new(&format!("mysql://flowkit_test_locked@{place}"))
                    .unwrap()
                    .password("hunter2");
                let error = SqlSource::table(&locked, "plants").open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
                database
                    .execute("DROP USER flowkit_test_locked", &[])
                    .await
                    .unwrap();
            },
        )
        .await;
    }
}

#[tokio::test]
async fn names_may_have_any_characters_and_a_schema() {
    on_each(|Place { kind, database, .. }| async move {
        let heights: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.5]));
        let batch = RecordBatch::try_from_iter([("Height, \"of\" `plant`", heights)]).unwrap();
        let table = match kind {
            Kind::Postgres => {
                database.execute("CREATE SCHEMA \"Raw\"", &[]).await.unwrap();
                "Raw.select \"from\" `it`"
            }
            _ => "select \"from\" `it`",
        };
        let sink = SqlSink::new(&database, table).ledger("my loads");
        sink.load(&load("1"), BatchStream::of(batch.schema(), vec![batch.clone()]))
            .await
            .unwrap();
        let back = SqlSource::table(&database, table)
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap();
        assert_eq!(back[0].columns(), batch.columns(), "{kind:?}");
        assert!(Value::from("").to_string().len() == 2 && !back[0].column(0).is_null(0));
    })
    .await;
}
