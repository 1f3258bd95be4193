//! Which columns can be followed: in which order their values come, and to what they are compared.

use flowkit_etl::sink::{Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::{Database, Model, ModelTest};
use flowkit_etl::{Error, ErrorKind, Result, Since, Value};

use super::load;
use crate::databases::servers::{Kind, Place, on, on_each};

async fn execute(database: &Database, statements: &[&str]) {
    for statement in statements {
        database.execute(statement, &[]).await.unwrap();
    }
}

/// Extracts what is new in the table `raw` by a column, or what is at its value too, and loads it.
async fn extract(database: &Database, column: &str, name: &str, at: bool) -> Result<u64> {
    let sink = SqlSink::new(database, format!("by_{column}"));
    let since = sink.since(column).await?;
    let source = SqlSource::table(database, "raw");
    let source = match at {
        true => source.since_or_at(column, since),
        false => source.since(column, since),
    };
    Ok(sink.load(&load(name), source.open().await?).await?.rows)
}

async fn kept(database: &Database, column: &str) -> Option<Value> {
    let since = SqlSink::new(database, format!("by_{column}")).since(column).await;
    since.unwrap().value().cloned()
}

#[tokio::test]
async fn a_column_that_is_not_there_is_an_error_and_no_text() {
    on_each(|Place { kind, database, .. }| async move {
        execute(
            &database,
            &["CREATE TABLE raw (changed INTEGER)", "INSERT INTO raw VALUES (1)"],
        )
        .await;
        for since in [
            Since::beginning("raw"),
            Since::after("raw", 0.into()),
            Since::after("raw", "0".into()),
        ] {
            let source = SqlSource::table(&database, "raw").since("chnged", since);
            let error = source.open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{kind:?}: {error:?}");
        }
        for test in [
            ModelTest::not_null("chnged"),
            ModelTest::unique(["chnged"]),
            ModelTest::references("chnged", "raw", "changed"),
        ] {
            let model = Model::table("days", "SELECT changed FROM raw").test(test);
            let error = model.build(&database).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{kind:?}: {error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_ordered_by_its_place_and_compared_by_its_text_is_not_followed() {
    on(Kind::MySql, |Place { database, .. }| async move {
        execute(
            &database,
            &[
                "CREATE TABLE raw (stage ENUM('seed', 'leaf', 'fruit'), exact ENUM('seed', 'leaf') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, \
                 traits SET('z', 'a'), name VARCHAR(20))",
                "INSERT INTO raw VALUES ('seed', 'seed', 'z', 'a'), ('leaf', 'leaf', 'a', 'b')",
                "CREATE VIEW seen AS SELECT * FROM raw",
            ],
        )
        .await;
        for column in ["stage", "exact", "traits"] {
            for source in [
                SqlSource::table(&database, "raw"),
                SqlSource::table(&database, "seen"),
                SqlSource::query(&database, "SELECT * FROM raw WHERE name > ?").bind(""),
            ] {
                for since in [Since::beginning("raw"), Since::after("raw", "seed".into())] {
                    let error = source.clone().since(column, since).open().await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Schema, "{column}: {error:?}");
                    assert!(
                        error.to_string().contains(&format!("`{column} + 0 AS place`")),
                        "{error}"
                    );
                }
            }
        }
        let places = SqlSource::query(&database, "SELECT name, stage + 0 AS place FROM raw");
        let open = places.since("place", Since::after("raw", 1.into())).open().await;
        assert_eq!(open.unwrap().collect_batches().await.unwrap()[0].num_rows(), 1);
        assert_eq!(extract(&database, "name", "1", false).await.unwrap(), 2);
        assert_eq!(extract(&database, "name", "2", false).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_number_after_which_nothing_comes_moves_no_cursor() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        execute(&database, &["CREATE TABLE raw (exact NUMERIC, name TEXT)"]).await;
        execute(&database, &["INSERT INTO raw VALUES (9.5, 'a')"]).await;
        assert_eq!(extract(&database, "exact", "1", false).await.unwrap(), 1);
        for (name, number) in [("2", "NaN"), ("3", "Infinity")] {
            let insert = format!("INSERT INTO raw VALUES ('{number}', '{number}')");
            execute(&database, &[&insert]).await;
            let error = extract(&database, "exact", name, false).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
            assert!(
                error.to_string().contains(number) && error.to_string().contains("`exact`"),
                "{error}"
            );
            execute(&database, &["DELETE FROM raw WHERE name <> 'a'"]).await;
        }
        execute(&database, &["INSERT INTO raw VALUES (10.25, 'NaN')"]).await;
        assert_eq!(extract(&database, "exact", "4", false).await.unwrap(), 1);
        // In a text it is a text.
        assert_eq!(extract(&database, "name", "1", false).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_cursor_among_numbers_moves_to_no_text() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let tables = [
            "CREATE TABLE raw (number)",
            "CREATE TABLE by_number (number REAL)",
        ];
        execute(&database, &tables).await;
        execute(&database, &["INSERT INTO raw VALUES (9), (10)"]).await;
        assert_eq!(extract(&database, "number", "1", false).await.unwrap(), 2);
        execute(&database, &["INSERT INTO raw VALUES ('n/a')"]).await;
        let error = extract(&database, "number", "2", false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
        assert!(
            error.to_string().contains("\"n/a\" in `number` after 10"),
            "{error}"
        );
        assert_eq!(kept(&database, "number").await, Some(Value::Integer(10)));
        execute(&database, &["DELETE FROM raw WHERE number = 'n/a'"]).await;
        // Numbers of both kinds have one order.
        execute(&database, &["INSERT INTO raw VALUES (10.5)"]).await;
        assert_eq!(extract(&database, "number", "2", false).await.unwrap(), 1);
        execute(&database, &["INSERT INTO raw VALUES (11)"]).await;
        assert_eq!(extract(&database, "number", "3", false).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn texts_that_are_filled_up_are_read_again_where_the_cursor_stands() {
    on_each(|Place { kind, database, .. }| async move {
        execute(&database, &["CREATE TABLE raw (code CHAR(4))"]).await;
        execute(&database, &["INSERT INTO raw VALUES ('aa'), ('ab')"]).await;
        assert_eq!(
            extract(&database, "code", "1", false).await.unwrap(),
            2,
            "{kind:?}"
        );
        assert_eq!(
            extract(&database, "code", "2", false).await.unwrap(),
            0,
            "{kind:?}"
        );
        assert_eq!(
            extract(&database, "code", "3", true).await.unwrap(),
            1,
            "{kind:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn exact_numbers_of_a_declared_size_say_what_is_new() {
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |Place { kind, database, .. }| async move {
            // These two are one number where they are compared as numbers of 64 bits.
            let (low, high) = ("1234567890123456789.01", "1234567890123456789.02");
            execute(&database, &["CREATE TABLE raw (price DECIMAL(30, 2))"]).await;
            execute(
                &database,
                &[&format!("INSERT INTO raw VALUES (9.50), (10.25), ({low})")],
            )
            .await;
            let sources = [
                SqlSource::table(&database, "raw"),
                SqlSource::query(&database, "SELECT price + 0 AS price FROM raw"),
            ];
            for (number, source) in sources.iter().enumerate() {
                let sink = SqlSink::new(&database, format!("prices_{number}"));
                let extract = async |name: &str, at: bool| {
                    let since = sink.since("price").await?;
                    let source = match at {
                        true => source.clone().since_or_at("price", since),
                        false => source.clone().since("price", since),
                    };
                    Ok::<_, Error>(sink.load(&load(name), source.open().await?).await?.rows)
                };
                assert_eq!(extract("1", false).await.unwrap(), 3, "{kind:?} {number}");
                assert_eq!(
                    sink.since("price").await.unwrap().value(),
                    Some(&Value::from(low))
                );
                assert_eq!(extract("2", false).await.unwrap(), 0, "{kind:?} {number}");
                assert_eq!(extract("3", true).await.unwrap(), 1, "{kind:?} {number}");
                let insert = format!("INSERT INTO raw VALUES ({high})");
                execute(&database, &[&insert]).await;
                assert_eq!(extract("4", false).await.unwrap(), 1, "{kind:?} {number}");
                execute(&database, &[&format!("DELETE FROM raw WHERE price = {high}")]).await;
            }
        })
        .await;
    }
}
