//! Texts that say more than a column holds are told, and never cut.

use std::path::PathBuf;
use std::sync::Arc;

use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::types::{Date32Type, Decimal128Type, Int64Type, TimestampSecondType};
use flowkit_etl::arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use flowkit_etl::http::Pages;
use flowkit_etl::source::{CsvSource, HttpSource, JsonLinesSource, Location, Source};
use flowkit_etl::{ErrorKind, Rejects, Result, Tolerance};
use tempfile::TempDir;

use crate::http_apis::endpoint;
use crate::http_server::{Reply, Server};
use crate::plants::columns;

fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

/// The rows of a source as one batch, which has some.
async fn batch(source: &dyn Source) -> Result<RecordBatch> {
    let batches = source.open().await?.collect_batches().await?;
    let with_rows = batches.into_iter().filter(|batch| batch.num_rows() > 0);
    let batches: Vec<RecordBatch> = with_rows.collect();
    assert_eq!(batches.len(), 1);
    Ok(batches[0].clone())
}

/// How many of these lines are rows, and the lines that were set aside.
async fn sifted(lines: &str, schema: SchemaRef) -> (usize, Vec<u64>) {
    let (_directory, path) = file("a.jsonl", lines);
    let rejects = Rejects::new();
    let source = JsonLinesSource::new(path)
        .schema(schema)
        .set_aside(Tolerance::ALL, &rejects);
    let batches = source.open().await.unwrap().collect_batches().await.unwrap();
    let kept = rejects.kept();
    let bad = kept.iter().filter_map(|reject| reject.line).collect();
    (batches.iter().map(RecordBatch::num_rows).sum(), bad)
}

#[tokio::test]
async fn a_fraction_is_no_whole_number() {
    let whole = columns(&[("a", DataType::Int64)]);
    assert_eq!(
        sifted("{\"a\":1}\n{\"a\":3.7}\n", whole.clone()).await,
        (1, vec![2])
    );
    let lines = "{\"a\":10.0}\n{\"a\":1e3}\n{\"a\":9007199254740993.0}\n{\"a\":null,\"b\":0.5}\n";
    assert_eq!(sifted(lines, whole.clone()).await, (3, vec![3]));
    let moments = columns(&[("a", DataType::Timestamp(TimeUnit::Second, None))]);
    let lines = "{\"a\":1360000000}\n{\"a\":99999999999999999999}\n";
    assert_eq!(sifted(lines, moments).await, (1, vec![2]));
    let server = Server::start(|_, request| match request.path.as_str() {
        "/?page=1" => Reply::json("[{\"price\":10}]"),
        "/?page=2" => Reply::json("[{\"price\":10.5}]"),
        _ => Reply::json("[]"),
    })
    .await;
    let source = HttpSource::new(endpoint(&server, "/")).pages(Pages::numbered("page", 1));
    for source in [
        source.clone(),
        source.schema(columns(&[("price", DataType::Int64)])),
    ] {
        let error = batch(&source).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
        assert!(error.to_string().starts_with("record 0 of a page of"), "{error}");
    }
}

#[tokio::test]
async fn a_number_in_lists_and_structs_is_as_whole_as_one_beside_them() {
    let item = Arc::new(Field::new("item", DataType::Decimal128(6, 2), true));
    let of = Arc::new(Field::new("of", DataType::Int32, true));
    let nested = columns(&[
        ("prices", DataType::List(item.clone())),
        ("both", DataType::Struct([item, of].into_iter().collect())),
    ]);
    let lines = [
        "{\"prices\":[1.23,\"4.5\"],\"both\":{\"item\":6.70,\"of\":8.0}}",
        "{\"prices\":[1.23,4.567]}",
        "{\"both\":{\"item\":1.239}}",
        "{\"both\":{\"of\":8.5}}",
    ];
    assert_eq!(
        sifted(&lines.join("\n"), nested.clone()).await,
        (1, vec![2, 3, 4])
    );
    let (_directory, path) = file("a.jsonl", lines[0]);
    let read = batch(&JsonLinesSource::new(path).schema(nested)).await.unwrap();
    let prices = read.column(0).as_list::<i32>().value(0);
    assert_eq!(prices.as_primitive::<Decimal128Type>().values(), &[123, 450]);
}

#[tokio::test]
async fn an_exact_number_keeps_its_digits_whatever_it_comes_from() {
    let price = |scale| columns(&[("price", DataType::Decimal128(4, scale))]);
    let server =
        Server::start(|_, request| Reply::json(format!("[{{\"price\":{}}}]", &request.path[1..]))).await;
    for (number, scale, read) in [
        ("1.230", 2, Some(123)),
        ("1.239", 2, None),
        ("1500", -2, Some(15)),
        ("1550", -2, None),
    ] {
        let (_directory, csv) = file("a.csv", format!("price\n{number}\n"));
        let (_directory, json) = file("a.jsonl", format!("{{\"price\":{number}}}\n"));
        let sources: [Box<dyn Source>; 3] = [
            Box::new(CsvSource::new(csv).schema(price(scale))),
            Box::new(JsonLinesSource::new(json).schema(price(scale))),
            Box::new(HttpSource::new(endpoint(&server, &format!("/{number}"))).schema(price(scale))),
        ];
        for source in sources {
            let found = batch(source.as_ref()).await;
            let found = found.map(|batch| batch.column(0).as_primitive::<Decimal128Type>().value(0));
            assert_eq!(found.ok(), read, "{number} of scale {scale} by {source:?}");
        }
    }
}

#[tokio::test]
async fn a_day_has_no_time_and_a_second_no_part() {
    let schema = columns(&[
        ("name", DataType::Utf8),
        ("day", DataType::Date32),
        ("at", DataType::Timestamp(TimeUnit::Second, None)),
    ]);
    let rows = [
        ("2013-02-04", "2013-02-04T10:30:00"),
        ("2013-02-04T00:00:00Z", "2013-02-04T10:30:00.000-05:00"),
        ("2013-02-04T23:30:00-05:00", "2013-02-04T10:30:00"),
        ("2013-02-04", "2013-02-04T10:30:00.5"),
        ("2013-02-04 00:00:00.000001", "2013-02-04"),
        ("2013-02-04T23:59:60Z", "2013-02-04"),
        ("+12013-02-04", "2013-02-04"),
    ];
    let lines = |row: &dyn Fn(&str, &str) -> String| {
        let rows = rows.iter().map(|(day, at)| row(day, at));
        rows.collect::<String>()
    };
    let csv = format!(
        "name,day,at\n{}",
        lines(&|day, at| format!("\"x 1.5\n, y\",{day},{at}\n"))
    );
    let json = lines(&|day, at| format!("{{\"day\":\"{day}\",\"at\":\"{at}\"}}\n"));
    let (_directory, csv) = file("a.csv", csv);
    let (_directory, json) = file("a.jsonl", json);
    let (of_csv, of_json) = (Rejects::new(), Rejects::new());
    let sources: [Box<dyn Source>; 2] = [
        Box::new(
            CsvSource::new(csv)
                .schema(schema.clone())
                .set_aside(Tolerance::ALL, &of_csv),
        ),
        Box::new(
            JsonLinesSource::new(json)
                .schema(schema)
                .set_aside(Tolerance::ALL, &of_json),
        ),
    ];
    for (source, rejects) in sources.iter().zip([of_csv, of_json]) {
        let read = batch(source.as_ref()).await.unwrap();
        let days = read.column(1).as_primitive::<Date32Type>();
        assert_eq!((days.value(0), days.value(1)), (15_740, 15_740));
        let moments = read.column(2).as_primitive::<TimestampSecondType>();
        assert_eq!(moments.value(1) - moments.value(0), 5 * 60 * 60);
        assert_eq!(read.num_rows(), 3);
        let kept = rejects.kept();
        let told: Vec<String> = kept.iter().map(ToString::to_string).collect();
        assert!(
            told[0].contains("day is ") && told[0].ends_with("not of type Date32"),
            "{told:?}"
        );
        assert!(told[1].contains("at is "), "{told:?}");
        assert!(told[2].contains("day is "), "{told:?}");
        assert!(told[3].contains("day is "), "{told:?}");
        assert_eq!(told.len(), 4);
    }
}

#[tokio::test]
async fn numbers_of_days_and_seconds_are_those_of_their_unit() {
    let schema = columns(&[
        ("day", DataType::Date32),
        ("at", DataType::Timestamp(TimeUnit::Second, None)),
    ]);
    let line = "{\"day\":15740,\"at\":1360000000.0}";
    let lines = format!("{line}\n{{\"day\":15740.5}}\n{{\"at\":1360000000.5}}\n");
    assert_eq!(sifted(&lines, schema.clone()).await, (1, vec![2, 3]));
    let (_directory, path) = file("a.jsonl", line);
    let read = batch(&JsonLinesSource::new(path).schema(schema)).await.unwrap();
    assert_eq!(read.column(0).as_primitive::<Date32Type>().value(0), 15_740);
    assert_eq!(
        read.column(1).as_primitive::<TimestampSecondType>().value(0),
        1_360_000_000
    );
}

#[tokio::test]
async fn of_several_objects_on_a_line_none_is_lost_where_others_are_set_aside() {
    let whole = columns(&[("a", DataType::Int64)]);
    let good = "{\"a\":1}{\"a\":2}\n{\"a\":3}\n";
    assert_eq!(sifted(good, whole.clone()).await, (3, vec![]));
    let with_bad = format!("{good}{{\"a\":\"x\"}}\n");
    assert_eq!(sifted(&with_bad, whole).await, (1, vec![1, 3]));
}

#[tokio::test]
async fn a_number_that_would_be_rounded_is_a_text_where_nobody_said_what_it_is() {
    let (large, larger) = ("9007199254740993", "18446744073709551615");
    let records = [
        format!("{{\"mixed\":{large},\"large\":{larger},\"whole\":{large}}}"),
        "{\"mixed\":0.50,\"large\":1,\"whole\":1}".to_owned(),
    ];
    let (_directory, path) = file("a.jsonl", records.join("\n"));
    let listed = format!("[{}]", records.join(","));
    let server = Server::start(move |_, _| Reply::json(&listed)).await;
    let sources: [Box<dyn Source>; 2] = [
        Box::new(JsonLinesSource::new(path)),
        Box::new(HttpSource::new(endpoint(&server, "/"))),
    ];
    for source in sources {
        let read = batch(source.as_ref()).await.unwrap();
        let texts = |name: &str| {
            let column = read.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(texts("mixed"), [large, "0.50"]);
        assert_eq!(texts("large"), [larger, "1"]);
        let whole = read.column_by_name("whole").unwrap().as_primitive::<Int64Type>();
        assert_eq!(whole.value(0), 9_007_199_254_740_993);
    }
}

#[tokio::test]
async fn members_that_were_not_there_when_columns_were_inferred_are_told() {
    let lines = "{\"a\":1,\"in\":{\"b\":1}}\n{\"a\":2,\"in\":{\"c\":2}}\n{\"a\":3,\"late\":4}\n";
    let (_directory, path) = file("a.jsonl", lines);
    let source = JsonLinesSource::new(path).infer_from(1);
    let error = batch(&source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        error.to_string().contains("give the columns with `schema`"),
        "{error}"
    );
    let rejects = Rejects::new();
    let read = batch(&source.clone().set_aside(Tolerance::ALL, &rejects))
        .await
        .unwrap();
    assert_eq!(read.num_rows(), 1);
    let told: Vec<String> = rejects.kept().iter().map(ToString::to_string).collect();
    assert!(
        told[0].contains("in is ") && told[0].contains("a member that is not known"),
        "{told:?}"
    );
    assert!(told[1].contains("late is \"4\": not a known member"), "{told:?}");
    let given = source.schema(columns(&[("a", DataType::Int64)]));
    assert_eq!(batch(&given).await.unwrap().num_rows(), 3, "others are left out");
}

#[tokio::test]
async fn what_columns_are_inferred_from_is_read_once() {
    let server = Server::start(|_, _| Reply::json("{\"a\":1}\n{\"a\":2}\n")).await;
    let source = JsonLinesSource::at(Location::url(&endpoint(&server, "/a.jsonl")));
    assert_eq!(batch(&source).await.unwrap().num_rows(), 2);
    assert_eq!(server.paths().len(), 1);
}

#[tokio::test]
async fn text_of_two_bytes_is_told_as_that_and_not_as_bad_lines() {
    let wide = |of: fn(u16) -> [u8; 2]| "{\"a\":1}\n".encode_utf16().flat_map(of).collect::<Vec<u8>>();
    let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
    let marked = [&[0xff, 0xfe], little.as_slice()].concat();
    for content in [little, big, marked] {
        let (_directory, path) = file("a.jsonl", content);
        let source = JsonLinesSource::new(path).set_aside(Tolerance::ALL, &Rejects::new());
        for source in [source.clone(), source.schema(columns(&[("a", DataType::Int64)]))] {
            let error = batch(&source).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encoding, "{error}");
            assert!(error.to_string().contains("iconv -f UTF-16"), "{error}");
        }
    }
}
