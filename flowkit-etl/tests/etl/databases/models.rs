//! Models that a database makes of what was loaded into it.

use flowkit_etl::ErrorKind;
use flowkit_etl::sink::{LoadId, Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::{Database, Model, ModelTest, build_models};

use crate::databases::count;
use crate::databases::servers::{Kind, Place, on_each};
use crate::plants::{plants, stream};

async fn loaded(database: &Database, rows: i64) {
    let load = LoadId::new(format!("{rows}")).unwrap();
    SqlSink::new(database, "raw")
        .load(&load, stream(&plants(rows)))
        .await
        .unwrap();
}

fn tallest() -> Model {
    Model::table(
        "tallest",
        "SELECT scenario, MAX(height) AS height, COUNT(*) AS plants FROM raw GROUP BY scenario;",
    )
    .test(ModelTest::unique(["scenario"]))
    .test(ModelTest::not_null("height"))
    .test(ModelTest::at_least(2))
    .test(ModelTest::references("scenario", "raw", "scenario"))
    .test(ModelTest::never("a scenario without plants", "plants = 0"))
}

#[tokio::test]
async fn models_are_built_in_order_each_on_those_before() {
    on_each(|Place { kind, database, .. }| async move {
        loaded(&database, 700).await;
        let spread = Model::view(
            "spread",
            "SELECT MAX(height) - MIN(height) AS spread FROM tallest",
        )
        .test(ModelTest::at_least(1));
        for expected in [700, 700 + 70] {
            let reports = build_models(&database, &[tallest(), spread.clone()])
                .await
                .unwrap();
            assert_eq!(
                reports.iter().map(|report| report.rows).collect::<Vec<_>>(),
                [2, 1],
                "{kind:?}"
            );
            assert!(
                reports[0].tests.iter().all(|test| test.failing == 0) && reports[0].tests.len() == 5,
                "{kind:?}"
            );
            let sum = match kind {
                Kind::Postgres => "SUM(plants)::int8",
                Kind::MySql => "CAST(SUM(plants) AS SIGNED)",
                Kind::Sqlite => "SUM(plants)",
            };
            assert_eq!(
                count(&database, &format!("SELECT {sum} FROM tallest")).await,
                expected,
                "{kind:?}"
            );
            // Built once more, over what came meanwhile.
            loaded(&database, 70).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_model_whose_tests_fail_leaves_the_former_one_in_place() {
    on_each(|Place { kind, database, .. }| async move {
        loaded(&database, 70).await;
        Model::table("days", "SELECT day, plant FROM raw WHERE day < 3").build(&database).await.unwrap();
        let former = count(&database, "SELECT COUNT(*) FROM days").await;
        let wrong = Model::table("days", "SELECT day, height FROM raw")
            .test(ModelTest::unique(["day"]))
            .test(ModelTest::not_null("day"))
            .test(ModelTest::not_null("height"));
        let error = wrong.build(&database).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Quality, "{kind:?}: {error:?}");
        let expected = "the model `days` of 70 rows is not what it must be, and the former one stays: day is unique (30 failing); height is never missing (10 failing)";
        assert_eq!(error.to_string(), expected, "{kind:?}");
        assert_eq!(count(&database, "SELECT COUNT(*) FROM days").await, former, "{kind:?}");
        assert!(SqlSource::query(&database, "SELECT plant FROM days").open().await.is_ok(), "{kind:?}");
        // Nothing is left of it, and a view is not made either.
        assert_eq!(SqlSource::table(&database, "days__building").open().await.unwrap_err().kind(), ErrorKind::NotFound);
        let view = Model::view("none", "SELECT * FROM raw WHERE day > 100").test(ModelTest::at_least(1));
        assert_eq!(view.build(&database).await.unwrap_err().kind(), ErrorKind::Quality, "{kind:?}");
        assert_eq!(SqlSource::table(&database, "none").open().await.unwrap_err().kind(), ErrorKind::NotFound, "{kind:?}");
        let error = Model::table("days", "SELECT absent FROM raw").build(&database).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{kind:?}: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn builds_of_one_model_at_a_time_are_each_a_whole_one() {
    on_each(|Place { kind, database, .. }| async move {
        loaded(&database, 70).await;
        if kind == Kind::Postgres {
            // There the second waits, and is told.
            return;
        }
        // Half of the builds are of a model whose tests fail, and whose table nobody may see.
        let good = Model::table("days", "SELECT day, plant FROM raw").test(ModelTest::not_null("plant"));
        let bad =
            Model::table("days", "SELECT day, NULL AS plant FROM raw").test(ModelTest::not_null("plant"));
        for _ in 0..20 {
            let builds = [&good, &bad, &good, &bad].map(|model| model.build(&database));
            let built = futures::future::join_all(builds).await;
            for (number, built) in built.into_iter().enumerate() {
                match built {
                    Ok(report) => assert_eq!((number % 2, report.rows), (0, 70), "{kind:?}"),
                    Err(error) => assert_eq!(
                        (number % 2, error.kind()),
                        (1, ErrorKind::Quality),
                        "{kind:?}: {error:?}"
                    ),
                }
            }
            assert_eq!(
                count(&database, "SELECT COUNT(plant) FROM days").await,
                70,
                "{kind:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_model_that_was_a_view_is_a_table_from_then_on() {
    on_each(|Place { kind, database, .. }| async move {
        loaded(&database, 70).await;
        let query = "SELECT day, plant FROM raw";
        Model::view("days", query).build(&database).await.unwrap();
        for expected in [70, 80] {
            let report = Model::table("days", query).build(&database).await.unwrap();
            assert_eq!(report.rows, expected, "{kind:?}");
            assert_eq!(
                count(&database, "SELECT COUNT(*) FROM days").await,
                expected as i64,
                "{kind:?}"
            );
            loaded(&database, 10).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_table_in_place_of_a_view_takes_no_rows_from_what_that_shows() {
    on_each(|Place { database, .. }| async move {
        loaded(&database, 70).await;
        let query = "SELECT day, plant FROM raw";
        Model::view("days", query).build(&database).await.unwrap();
        Model::table("days", query).build(&database).await.unwrap();
        assert_eq!(count(&database, "SELECT COUNT(*) FROM raw").await, 70);
    })
    .await;
}

#[tokio::test]
async fn a_query_of_a_model_may_end_in_a_comment() {
    on_each(|Place { kind, database, .. }| async move {
        loaded(&database, 7).await;
        for model in [
            Model::table("days", "SELECT day FROM raw -- all of them"),
            Model::view("seen", "SELECT day FROM raw -- all of them"),
        ] {
            let report = model
                .test(ModelTest::not_null("day"))
                .build(&database)
                .await
                .unwrap();
            assert_eq!(report.rows, 7, "{kind:?}");
        }
    })
    .await;
}
