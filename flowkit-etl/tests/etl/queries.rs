//! SQL over batches.

use std::sync::Arc;

use flowkit_etl::arrow_array::{Int64Array, RecordBatch, StringArray};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowkit_etl::query::Query;
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone)]
struct Plant {
    #[serde(rename = "Plant")]
    plant: String,
    scenario: String,
    height: f64,
}

fn plants() -> Vec<Plant> {
    let plant = |(plant, scenario, height): (&str, &str, f64)| Plant {
        plant: plant.into(),
        scenario: scenario.into(),
        height,
    };
    [
        ("a", "WW", 140.0),
        ("b", "WD", 90.0),
        ("c", "WW", 160.0),
        ("d", "WD", 110.0),
    ]
    .map(plant)
    .to_vec()
}

#[derive(Serialize, Deserialize)]
struct Scenario {
    code: String,
    title: String,
}

fn scenarios() -> Vec<Scenario> {
    let scenario = |(code, title): (&str, &str)| Scenario {
        code: code.into(),
        title: title.into(),
    };
    [("WW", "well watered"), ("WD", "water deficit")]
        .map(scenario)
        .into()
}

#[derive(Deserialize, PartialEq, Debug)]
struct Mean {
    title: String,
    plants: i64,
    mean: f64,
}

#[tokio::test]
async fn two_streams_are_joined_and_summed() {
    let text = "SELECT s.title AS title, count(*) AS plants, avg(p.height) AS mean \
        FROM plants AS p JOIN scenarios AS s ON s.code = p.scenario \
        WHERE p.\"Plant\" <> $1 GROUP BY s.title ORDER BY mean";
    let means: Vec<Mean> = Query::new(text)
        .table("plants", BatchStream::from_rows(plants()).unwrap())
        .table("scenarios", BatchStream::from_rows(scenarios()).unwrap())
        .bind("d'; DROP TABLE plants")
        .run()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    let mean = |title: &str, mean| Mean {
        title: title.into(),
        plants: 2,
        mean,
    };
    assert_eq!(means, [mean("water deficit", 100.0), mean("well watered", 150.0)]);
}

/// What a query of the plants says is wrong with it.
async fn refused(text: &str) -> Error {
    let plants = BatchStream::from_rows(plants()).unwrap();
    let query = Query::new(text).table("plants", plants);
    match query.run().await {
        Ok(rows) => rows.collect_batches().await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_told() {
    let cases = [
        ("SELEC 1", ErrorKind::Options, "SELEC"),
        ("SELECT height FROM trees", ErrorKind::Options, "trees"),
        ("SELECT weight FROM plants", ErrorKind::Options, "weight"),
        ("SELECT plant FROM plants", ErrorKind::Options, "Plant"),
        ("SELECT grow(height) FROM plants", ErrorKind::Options, "grow"),
        (
            "SELECT height FROM plants WHERE height > $1",
            ErrorKind::Options,
            "$1",
        ),
        (
            "SELECT height, 2 * height AS height FROM plants",
            ErrorKind::Options,
            "height",
        ),
        (
            "SELECT CAST(scenario AS BIGINT) AS n FROM plants",
            ErrorKind::Format,
            "W",
        ),
        (
            "SELECT a.height AS x, b.height AS y FROM plants AS a CROSS JOIN plants AS b",
            ErrorKind::Options,
            "kept",
        ),
        ("CREATE TABLE mine AS SELECT 1", ErrorKind::Options, "DDL"),
        ("COPY plants TO 'plants.csv'", ErrorKind::Options, "DML"),
        ("SELECT * FROM 'Cargo.toml'", ErrorKind::Options, "Cargo.toml"),
        (
            "SET datafusion.execution.batch_size = 1",
            ErrorKind::Options,
            "Statement",
        ),
    ];
    let bound = Query::new("SELECT 1 AS one WHERE 1 < $1")
        .bind(2)
        .bind(3)
        .run()
        .await;
    let error = bound.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(error.to_string().contains("asks for 1 parameters"), "{error}");
    for (text, kind, word) in cases {
        let error = refused(text).await;
        assert_eq!(error.kind(), kind, "{text}: {error:?}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
}

#[tokio::test]
async fn batches_in_memory_are_read_as_often_as_the_query_likes() {
    let stream = BatchStream::from_rows(plants()).unwrap();
    let schema = Arc::clone(stream.schema());
    let batches = stream.collect_batches().await.unwrap();
    let pairs = Query::new("SELECT count(*) AS pairs FROM plants AS a CROSS JOIN plants AS b")
        .kept("plants", schema, batches)
        .run()
        .await
        .unwrap();
    let rows = pairs.collect_batches().await.unwrap();
    let pairs = rows[0].column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    assert_eq!(pairs.value(0), 16);
}

#[tokio::test]
async fn an_error_of_a_stream_is_that_of_the_query() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let broken = Err(Error::new(ErrorKind::Encoding, "line 7 is no text"));
    let broken = BatchStream::new(schema, stream::iter([broken]));
    let rows = Query::new("SELECT sum(n) AS n FROM numbers")
        .table("numbers", broken)
        .run()
        .await;
    let error = rows.unwrap().collect_batches().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Encoding, "line 7 is no text")
    );
}

#[tokio::test]
async fn texts_come_as_the_sinks_read_them_however_they_were_made() {
    let text = "SELECT upper(substr(scenario, 1, 1)) || '-' || \"Plant\" AS name, CAST(height AS VARCHAR) AS height FROM plants";
    let rows = Query::new(text)
        .table("plants", BatchStream::from_rows(plants()).unwrap())
        .run()
        .await
        .unwrap();
    assert!(
        rows.schema()
            .fields()
            .iter()
            .all(|field| field.data_type() == &DataType::Utf8),
        "{rows:?}"
    );
    assert_eq!(rows.collect_batches().await.unwrap()[0].num_rows(), 4);
}

/// Many rows in no order, made as they are asked for.
fn shuffled(rows: i64) -> BatchStream {
    let fields = vec![
        Field::new("n", DataType::Int64, false),
        Field::new("text", DataType::Utf8, false),
    ];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let of = Arc::clone(&schema);
    let batches = (0..rows / 8_192).map(move |batch| {
        let numbers = (batch * 8_192..(batch + 1) * 8_192).map(|n| n.wrapping_mul(7_919_111) % 1_000_003);
        let numbers: Vec<i64> = numbers.collect();
        let texts: StringArray = numbers
            .iter()
            .map(|n| Some(format!("plant number {n:>40}")))
            .collect();
        Ok(RecordBatch::try_new(
            Arc::clone(&of),
            vec![Arc::new(Int64Array::from(numbers)), Arc::new(texts)],
        )
        .unwrap())
    });
    BatchStream::blocking(schema, batches)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_into_memory_is_sorted_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let sorted = |memory| {
        Query::new("SELECT n, text FROM numbers ORDER BY n, text")
            .table("numbers", shuffled(500_000))
            .memory(memory)
            .spill_to(directory.path())
            .run()
    };
    let mut rows = sorted(32 << 20).await.unwrap();
    let (mut last, mut count) = (i64::MIN, 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap();
        let numbers = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        for n in numbers.values() {
            assert!(last <= *n);
            last = *n;
        }
        count += batch.num_rows();
    }
    assert_eq!(count, 500_000 / 8_192 * 8_192);
    // Too little even for that.
    let error = sorted(1 << 10)
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    assert!(error.to_string().contains("`memory`"), "{error}");
    drop(rows);
    assert_eq!(
        std::fs::read_dir(directory.path())
            .unwrap()
            .flatten()
            .map(|entry| std::fs::read_dir(entry.path()).unwrap().count())
            .sum::<usize>(),
        0
    );
}
