//! Files in buckets: found, read as they come, and what goes wrong with them; on each kind of store, and in an S3 server that fails as it is told.

use std::time::{Duration, SystemTime};

use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::object::Bucket;
use flowkit_etl::sensor::{Condition, Objects, Sensor};
use flowkit_etl::sink::{FileSink, LoadId, Sink};
use flowkit_etl::source::{CsvSource, FileSource, JsonLinesSource, Location, ParquetSource, Source};
use flowkit_etl::{ErrorKind, Rejects, Result, Tolerance};
use futures::StreamExt;

use crate::plants::{Plant, columns, plants, stream};
use crate::s3_server::{Fault, S3};
use crate::stores::on_each;

const MIB: u64 = 1 << 20;

/// What a file of this name has with these rows in it.
async fn file(name: &str, rows: &[Plant]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let load = LoadId::new("1").unwrap();
    FileSink::new(&path).load(&load, stream(rows)).await.unwrap();
    std::fs::read(path).unwrap()
}

async fn rows(source: &dyn Source) -> Result<Vec<Plant>> {
    source.open().await?.collect_rows().await
}

fn csv(bucket: &Bucket, pattern: &str) -> CsvSource {
    CsvSource::at(Location::objects(bucket, pattern)).schema(stream(&[]).schema().clone())
}

/// A CSV file of more than 20 MiB, and how many rows it has.
fn large() -> (String, usize) {
    let line = |number: usize| format!("{number},{}\n", "x".repeat(200));
    let count = 105_000;
    (
        "number,text\n".to_owned() + &(0..count).map(line).collect::<String>(),
        count,
    )
}

#[tokio::test]
async fn objects_are_named_by_key_prefix_or_pattern_and_read_in_the_order_of_their_names() {
    on_each(async |place| {
        let all = plants(30);
        for (key, part) in [
            ("season/b.csv", &all[10..20]),
            ("season/a.csv", &all[..10]),
            ("season/deep/c.csv", &all[20..]),
            ("season/_hidden/d.csv", &all[..1]),
            ("season/.e.csv", &all[..1]),
            ("seasonal.csv", &all[..5]),
        ] {
            place.put(key, file("x.csv", part).await).await;
        }
        let bucket = place.bucket("");
        let read = async |pattern: &str| rows(&csv(&bucket, pattern)).await.unwrap().len();
        assert_eq!(rows(&csv(&bucket, "season/a.csv")).await.unwrap(), all[..10]);
        assert_eq!(rows(&csv(&bucket, "season/*.csv")).await.unwrap(), all[..20]);
        assert_eq!(rows(&csv(&bucket, "season/")).await.unwrap(), all);
        assert_eq!(rows(&csv(&place.bucket("season"), "")).await.unwrap(), all);
        assert_eq!(
            read("season/**/*.csv").await,
            31,
            "who names a pattern names what begins with `_` too"
        );
        assert_eq!(read("*.csv").await, 5, "a star stands for no slash");
        assert_eq!(read("*/[b-z].csv").await, 10);
        for (pattern, message) in [
            ("season/absent.csv", "there is no object {}/season/absent.csv"),
            ("season/*.parquet", "there is no object {}/season/*.parquet"),
            ("winter/", "there is no object below {}/winter/"),
            ("winter", "there is no object {}/winter"),
        ] {
            let error = csv(&bucket, pattern).open().await.unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::NotFound, message.replace("{}", &place.address()))
            );
        }
        assert_eq!(
            csv(&bucket, "[").open().await.unwrap_err().kind(),
            ErrorKind::Options
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_that_lacks_its_slash_is_told_to_name_what_lies_below_it() {
    let server = S3::start().await;
    server.put("season/a.csv", file("x.csv", &plants(1)).await).await;
    // This server has directories, and fails where S3 has no object of such a name.
    server.faults(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("HEAD", "/plants/season") => Fault::Status(404),
        _ => Fault::None,
    });
    let error = csv(&server.bucket(""), "season").open().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::NotFound,
            "there is no object s3://plants/season: what lies below it is named with a slash, `season/`",
        )
    );
}

#[tokio::test]
async fn what_stands_for_a_folder_is_no_object_and_an_empty_object_is_one() {
    on_each(async |place| {
        let bucket = place.bucket("");
        for folder in [
            "incoming/",
            "incoming/may/",
            "incoming/june/",
            "incoming/june/late/",
        ] {
            place.folder(folder).await;
        }
        let nothing_yet = csv(&bucket, "incoming/").open().await.unwrap_err();
        assert_eq!(nothing_yet.kind(), ErrorKind::NotFound, "{nothing_yet:?}");
        let found = async |pattern: &str| {
            let mut objects = Objects::matching(&bucket, pattern);
            objects.poke().await.unwrap().unwrap_or_default()
        };
        for pattern in ["incoming/", "incoming/*", "incoming/**/*", "*/*"] {
            assert!(found(pattern).await.is_empty(), "{pattern}");
        }
        place
            .put("incoming/may/a.csv", file("a.csv", &plants(10)).await)
            .await;
        place.put("incoming/done", "").await;
        place.put("incoming/may/done", "").await;
        let all = ["incoming/done", "incoming/may/a.csv", "incoming/may/done"];
        assert_eq!(found("incoming/").await, all);
        assert_eq!(found("incoming/**/*").await, all);
        assert_eq!(found("incoming/*").await, all[..1]);
    })
    .await;
}

#[tokio::test]
async fn every_format_is_read_whatever_compresses_it_and_as_it_is_from_a_file() {
    on_each(async |place| {
        let (all, bucket) = (plants(20_000), place.bucket(""));
        for name in [
            "a.csv",
            "a.csv.gz",
            "a.csv.zst",
            "a.jsonl",
            "a.jsonl.gz",
            "a.ndjson.zst",
            "a.parquet",
        ] {
            place.put(name, file(name, &all).await).await;
            let source = FileSource::at(Location::objects(&bucket, name));
            assert_eq!(
                rows(&source.schema(stream(&[]).schema().clone())).await.unwrap(),
                all,
                "{name}"
            );
        }
        let inferred = JsonLinesSource::at(Location::objects(&bucket, "a.jsonl"));
        assert_eq!(rows(&inferred).await.unwrap(), all);
        // Bad records are told by the object and its line.
        place.put("bad.csv", "plant,height\na,1.5\nb,tall\n").await;
        let rejects = Rejects::new();
        let typed = columns(&[("height", DataType::Float64)]);
        let source = CsvSource::at(Location::objects(&bucket, "bad.csv")).schema(typed);
        let tolerant = source.set_aside(Tolerance::ALL, &rejects).open().await.unwrap();
        assert_eq!(tolerant.collect_batches().await.unwrap()[0].num_rows(), 1);
        let told = rejects.kept()[0].to_string();
        assert!(
            told.starts_with(&format!("{}/bad.csv line 3: height is \"tall\"", place.address())),
            "{told}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_large_object_comes_in_pieces_and_no_faster_than_it_is_taken() {
    let server = S3::start().await;
    let (text, count) = large();
    let length = text.len() as u64;
    assert!(length > 20 * MIB);
    server.put("large.csv", text).await;
    let source = CsvSource::at(Location::objects(&server.bucket(""), "large.csv"));
    server.asked();
    let mut batches = source.open().await.unwrap();
    let mut read = batches.next().await.unwrap().unwrap().num_rows();
    // What makes batches runs ahead until there is no room; the server's third piece would be asked for only after that.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pieces = |asked: Vec<crate::s3_server::Asked>| {
        asked
            .into_iter()
            .filter_map(|asked| asked.range)
            .collect::<Vec<_>>()
    };
    let before = pieces(server.asked());
    assert!(before.iter().sum::<u64>() <= 16 * MIB, "{before:?}");
    while let Some(batch) = batches.next().await {
        read += batch.unwrap().num_rows();
    }
    let after = pieces(server.asked());
    assert_eq!(read, count);
    assert!(before.iter().chain(&after).all(|piece| *piece <= 8 * MIB));
    assert_eq!(before.iter().chain(&after).sum::<u64>(), length);
}

#[tokio::test]
async fn of_a_parquet_file_only_what_is_wanted_is_brought() {
    let server = S3::start().await;
    let all = plants(50_000);
    let bytes = file("a.parquet", &all).await;
    let whole = bytes.len() as u64;
    server.put("a.parquet", bytes).await;
    let source = ParquetSource::at(Location::objects(&server.bucket(""), "a.parquet"));
    assert_eq!(rows(&source).await.unwrap(), all);
    server.asked();
    let days = source.clone().columns(["day"]).open().await.unwrap();
    assert_eq!(days.schema().fields().len(), 1);
    let days = days.collect_batches().await.unwrap();
    assert_eq!(days.iter().map(RecordBatch::num_rows).sum::<usize>(), 50_000);
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.method == "HEAD" || asked.range.is_some())
    );
    let brought: u64 = asked.iter().filter_map(|asked| asked.range).sum();
    assert!(brought < whole / 2, "{brought} of {whole}");
    server.put("b.parquet", "PAR1 this is none").await;
    let none = ParquetSource::at(Location::objects(&server.bucket(""), "b.parquet"));
    let error = none.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
    assert_eq!(
        error.to_string(),
        "s3://plants/b.parquet cannot be read as Parquet"
    );
}

#[tokio::test]
async fn what_breaks_off_or_is_busy_is_asked_again_and_nothing_is_missing_or_twice() {
    let server = S3::start().await;
    let (text, count) = large();
    server.put("large.csv", text).await;
    let all = plants(20_000);
    server.put("a.parquet", file("a.parquet", &all).await).await;
    let read = async || {
        let source = CsvSource::at(Location::objects(&server.bucket(""), "large.csv"));
        let batches = source.open().await?.collect_batches().await?;
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), count);
        rows(&ParquetSource::at(Location::objects(
            &server.bucket(""),
            "a.parquet",
        )))
        .await
    };
    // Each second answer breaks off, each third is none.
    server.faults(|asked| match (asked.method.as_str(), asked.number % 3) {
        ("GET", 0) => Fault::Cut(100_000),
        (_, 1) => Fault::Status(503),
        _ => Fault::None,
    });
    assert_eq!(read().await.unwrap(), all);
    // A body that is slow.
    let mut pause = true;
    server.faults(move |_| match std::mem::take(&mut pause) {
        true => Fault::Slow(Duration::from_millis(2)),
        false => Fault::None,
    });
    assert_eq!(read().await.unwrap(), all);
    // And for ever.
    server.faults(|asked| match asked.method.as_str() {
        "GET" => Fault::Cut(1_000),
        _ => Fault::None,
    });
    let error = read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    server.faults(|asked| match asked.method.as_str() {
        "GET" => Fault::Status(500),
        _ => Fault::None,
    });
    let error = read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(
        format!("{error:?}").contains("InternalError: We have a problem."),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_object_that_is_replaced_while_it_is_read_is_an_error_and_never_half_of_each() {
    on_each(async |place| {
        let (text, _) = large();
        for other in [text.replace('x', "y"), "number,text\n1,short\n".to_owned()] {
            place.put("large.csv", text.clone()).await;
            let source = CsvSource::at(Location::objects(&place.bucket(""), "large.csv"));
            let mut batches = source.open().await.unwrap();
            assert!(batches.next().await.unwrap().is_ok());
            place.put("large.csv", other).await;
            let error = batches.collect_batches().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Changed, "{error:?}");
            assert!(error.is_transient(), "another attempt reads the new one");
            assert_eq!(
                error.to_string(),
                format!(
                    "{}/large.csv was replaced while it was read: read it anew",
                    place.address()
                )
            );
        }
        let all = plants(50_000);
        place.put("a.parquet", file("a.parquet", &all).await).await;
        let source = ParquetSource::at(Location::objects(&place.bucket(""), "a.parquet"));
        let batches = {
            let location = Location::objects(&place.bucket(""), "*.parquet");
            let two = ParquetSource::at(location);
            place.put("b.parquet", file("b.parquet", &all).await).await;
            two.open().await.unwrap()
        };
        place.put("b.parquet", file("b.parquet", &all[..10]).await).await;
        let error = batches.collect_batches().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error:?}");
        assert_eq!(rows(&source).await.unwrap(), all);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_let_one_in_or_is_not_there_says_what_to_do_and_no_secret() {
    on_each(async |place| {
        let locked = place.locked();
        for pattern in ["a.csv", "*.csv", "season/"] {
            let error = csv(&locked, pattern).open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
            let advice = format!("look at {}", place.variable());
            assert!(error.to_string().contains(&advice), "{error}");
            assert!(!format!("{error:?} {locked:?}").contains("hunter2"), "{error:?}");
        }
        place.remove().await;
        for pattern in ["a.csv", "*.csv", "season/"] {
            let error = csv(&place.bucket(""), pattern).open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            assert!(error.to_string().ends_with("there is no such bucket"), "{error}");
        }
    })
    .await;
}

#[test]
fn a_place_that_is_none_is_told() {
    for (text, message) in [
        ("ftp://plants.example/a.csv", "files cannot be read from `ftp://`"),
        ("s3://", "begins with `s3://`"),
    ] {
        let error = Location::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(
        Location::parse("season/*.csv").unwrap().to_string(),
        "season/*.csv"
    );
}

#[tokio::test]
async fn a_sensor_waits_for_objects_that_are_there_many_new_and_stable() {
    on_each(async |place| {
        let bucket = place.bucket("");
        let ready = async |mut objects: Objects| objects.poke().await.unwrap();
        assert_eq!(ready(Objects::matching(&bucket, "incoming/")).await, None);
        assert_eq!(ready(Objects::matching(&bucket, "incoming/a.csv")).await, None);
        let waiting = tokio::spawn(
            Sensor::new(Objects::matching(&bucket, "incoming/*.csv").at_least(2))
                .poke_interval(Duration::from_millis(20))
                .wait(),
        );
        for key in ["incoming/b.csv", "incoming/x.txt", "incoming/a.csv"] {
            assert!(!waiting.is_finished());
            place.put(key, "plant\n").await;
        }
        assert_eq!(
            waiting.await.unwrap().unwrap(),
            ["incoming/a.csv", "incoming/b.csv"]
        );
        let one = ready(Objects::matching(&place.bucket("incoming"), "a.csv")).await;
        assert_eq!(one.unwrap(), ["a.csv"]);
        let later = flowkit::Clock::now(&flowkit::SystemClock) + Duration::from_secs(3600);
        let objects = || Objects::matching(&bucket, "incoming/");
        assert_eq!(ready(objects().modified_since(later)).await, None);
        assert_eq!(
            ready(objects().modified_since(SystemTime::UNIX_EPOCH))
                .await
                .unwrap()
                .len(),
            3
        );
        // One that is put anew meanwhile has to stay the same again.
        let mut stable = Objects::matching(&bucket, "incoming/a.csv").stable_for(Duration::from_millis(1500));
        assert_eq!(stable.poke().await.unwrap(), None);
        tokio::time::sleep(Duration::from_millis(400)).await;
        place.put("incoming/a.csv", "plant\nother\n").await;
        assert_eq!(stable.poke().await.unwrap(), None);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            stable.poke().await.unwrap(),
            None,
            "not for long enough since then"
        );
        Sensor::new(stable).wait().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_looked_at_ends_the_wait() {
    on_each(async |place| {
        for pattern in ["a.csv", "incoming/", "*.csv"] {
            let sensor = Sensor::new(Objects::matching(&place.locked(), pattern));
            assert_eq!(sensor.wait().await.unwrap_err().kind(), ErrorKind::Access);
        }
    })
    .await;
}

#[tokio::test]
async fn what_may_go_away_by_itself_does_not_end_the_wait() {
    let server = S3::start().await;
    server.put("incoming/a.csv", "plant\n").await;
    server.faults(|asked| {
        if asked.number < 8 {
            Fault::Status(500)
        } else {
            Fault::None
        }
    });
    server.asked();
    let objects = Objects::matching(&server.bucket(""), "incoming/");
    let sensor = Sensor::new(objects).poke_interval(Duration::from_millis(20));
    assert_eq!(sensor.wait().await.unwrap(), ["incoming/a.csv"]);
}
