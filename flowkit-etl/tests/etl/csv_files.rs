//! CSV files as they come.

use std::fs;
use std::path::PathBuf;

use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::source::{CsvSource, Source};
use flowkit_etl::{ErrorKind, Rejects, Tolerance};
use futures::StreamExt;
use serde::Deserialize;
use tempfile::TempDir;

use crate::plants::columns;

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    plant: Option<String>,
    height: Option<f64>,
}

fn row(plant: &str, height: impl Into<Option<f64>>) -> Row {
    Row {
        plant: Some(plant.into()),
        height: height.into(),
    }
}

fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    fs::write(&path, content).unwrap();
    (directory, path)
}

async fn rows(source: &CsvSource) -> flowkit_etl::Result<Vec<Row>> {
    source.open().await?.collect_rows().await
}

#[tokio::test]
async fn columns_are_inferred_and_empty_fields_are_missing() {
    let text =
        "plant,height,day,count,wet,note\n\"a, \"\"1\"\"\",1.5,2013-02-04,1,true,\nb,,2013-02-05,2,false,\n";
    let (_directory, path) = file(text);
    let source = CsvSource::new(&path);
    let stream = source.open().await.unwrap();
    let types: Vec<DataType> = stream
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    use DataType::{Boolean, Date32, Float64, Int64, Utf8};
    assert_eq!(types, [Utf8, Float64, Date32, Int64, Boolean, Utf8]);
    assert_eq!(
        stream.collect_rows::<Row>().await.unwrap(),
        [row("a, \"1\"", 1.5), row("b", None)]
    );
}

#[tokio::test]
async fn columns_are_found_by_name_whatever_their_order_and_others_are_left_out() {
    let (_directory, path) = file("note,height,plant\nx,1.5,a\n");
    let schema = columns(&[("plant", DataType::Utf8), ("height", DataType::Float64)]);
    let stream = CsvSource::new(&path).schema(schema.clone()).open().await.unwrap();
    assert_eq!(stream.schema(), &schema);
    assert_eq!(stream.collect_rows::<Row>().await.unwrap(), [row("a", 1.5)]);
}

#[tokio::test]
async fn a_column_that_is_not_there_is_an_error_before_anything_is_read() {
    let (_directory, path) = file("plant,weight\na,1\n");
    let source = CsvSource::new(&path).schema(columns(&[
        ("plant", DataType::Utf8),
        ("height", DataType::Float64),
    ]));
    let error = source.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(
        error
            .to_string()
            .contains("plants.csv has no column `height`; it has `plant`, `weight`"),
        "{error}"
    );
}

#[tokio::test]
async fn the_first_bad_record_is_an_error_that_names_file_line_field_and_value() {
    let (_directory, path) = file("plant,height\n\"a\nb\",1\nc,tall\nd,4\n");
    let source = CsvSource::new(&path).schema(columns(&[
        ("plant", DataType::Utf8),
        ("height", DataType::Float64),
    ]));
    let error = rows(&source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        error
            .to_string()
            .ends_with("plants.csv line 4: height is \"tall\": not of type Float64"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_records_are_set_aside_with_all_that_is_wrong_and_the_good_ones_come_through() {
    let (_directory, path) = file(
        "plant,height,day\r\na,1,2013-02-04\r\nb,tall,soon\r\n\r\nc,3\r\nd,4,2013-02-05,x\r\n\"e\ne\",5,2013-02-06",
    );
    let rejects = Rejects::new();
    let schema = columns(&[
        ("plant", DataType::Utf8),
        ("height", DataType::Float64),
        ("day", DataType::Date32),
    ]);
    let source = CsvSource::new(&path)
        .schema(schema)
        .set_aside(Tolerance::share(0.6), &rejects);
    assert_eq!(rows(&source).await.unwrap(), [row("a", 1.0), row("e\ne", 5.0)]);
    assert_eq!((rejects.records(), rejects.rejected()), (5, 3));
    let told: Vec<String> = rejects
        .kept()
        .iter()
        .map(|reject| reject.to_string().split_once("plants.csv ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "line 3: height is \"tall\": not of type Float64; day is \"soon\": not of type Date32",
            "line 5: \"c,3\" is not a record of 3 fields: it has 2",
            "line 6: \"d,4,2013-02-05,x\" is not a record of 3 fields: it has 4",
        ]
    );
    let records: Vec<u64> = rejects.kept().iter().map(|reject| reject.record).collect();
    assert_eq!(records, [1, 2, 3]);
    assert_eq!(rejects.kept()[0].content, "b,tall,soon");
}

#[tokio::test]
async fn more_bad_records_than_are_tolerated_end_the_stream_with_an_error() {
    let (_directory, path) = file("plant,height\na,1\nb,x\nc,y\n");
    let rejects = Rejects::new();
    let schema = columns(&[("plant", DataType::Utf8), ("height", DataType::Float64)]);
    let source = CsvSource::new(&path)
        .schema(schema)
        .set_aside(Tolerance::share(0.5), &rejects);
    let error = rows(&source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        error.to_string().starts_with("2 of 3 records were set aside"),
        "{error}"
    );
}

#[tokio::test]
async fn a_value_that_is_missing_where_one_must_be_is_a_bad_record() {
    use flowkit_etl::arrow_schema::{Field, Schema};
    let (_directory, path) = file("plant,height\na,\n");
    let schema = Schema::new(vec![
        Field::new("plant", DataType::Utf8, true),
        Field::new("height", DataType::Float64, false),
    ]);
    let error = rows(&CsvSource::new(&path).schema(schema.into()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("line 2: height is \"\": missing"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_records_far_into_a_file_are_told_by_their_line_whatever_the_batches() {
    let mut text = String::from("plant,height\n");
    for number in 0..5000 {
        let height = if number % 1000 == 999 {
            "?".to_owned()
        } else {
            number.to_string()
        };
        text.push_str(&format!("\"plant\n{number}\",{height}\n"));
    }
    let (_directory, path) = file(&text);
    let schema = columns(&[("plant", DataType::Utf8), ("height", DataType::Float64)]);
    for batch_rows in [1, 7, 1000, 100_000] {
        let rejects = Rejects::new();
        let source = CsvSource::new(&path)
            .schema(schema.clone())
            .batch_rows(batch_rows)
            .set_aside(Tolerance::ALL, &rejects);
        let rows = rows(&source).await.unwrap();
        assert_eq!(rows.len(), 4995);
        assert_eq!(rows[999], row("plant\n1000", 1000.0));
        let lines: Vec<u64> = rejects.kept().iter().filter_map(|reject| reject.line).collect();
        assert_eq!(
            lines,
            [2000, 4000, 6000, 8000, 10000],
            "{batch_rows} rows a batch"
        );
    }
}

#[tokio::test]
async fn other_encodings_than_utf_8_are_errors_that_say_so() {
    let wide: Vec<u8> = "plant,height\na,1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let (_directory, path) = file(&wide);
    let error = CsvSource::new(&path).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoding);
    assert!(error.to_string().contains("is UTF-16"), "{error}");

    let (_directory, path) = file(b"plant,height\nm\xe4is,1\n");
    let error = CsvSource::new(&path).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoding);
    assert!(
        error.to_string().contains("plants.csv line 2: is not UTF-8"),
        "{error}"
    );

    // Further in than what is looked at when the file is opened.
    let mut late = b"plant,height\n".to_vec();
    for _ in 0..600_000 {
        late.extend_from_slice(b"maize,1\n");
    }
    late.extend_from_slice(b"m\xe4is,1\n");
    let (_directory, path) = file(&late);
    let rejects = Rejects::new();
    let source = CsvSource::new(&path).set_aside(Tolerance::ALL, &rejects);
    let opened = source.open().await.unwrap();
    let error = opened.collect_batches().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoding, "it is no bad record: {error}");
    assert!(error.to_string().contains("line 600002"), "{error}");

    let (_directory, path) = file("\u{feff}plant,height\na,1.5\n");
    assert_eq!(rows(&CsvSource::new(&path)).await.unwrap(), [row("a", 1.5)]);
}

#[tokio::test]
async fn several_files_are_one_stream_and_must_have_the_same_columns() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("1.csv"), "plant,height\na,1.5\n").unwrap();
    fs::write(path("2.csv"), "height,plant\n2,b\n").unwrap();
    let source = CsvSource::new(path("*.csv"));
    assert_eq!(rows(&source).await.unwrap(), [row("a", 1.5), row("b", 2.0)]);
    fs::write(path("3.csv"), "plant,height,note\nc,3,x\n").unwrap();
    let error = rows(&source).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3.csv has a column `note`, which the files before it have not"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_only_has_a_header_has_columns_and_no_rows_and_an_empty_one_is_an_error() {
    let (_directory, path) = file("plant,height\n");
    assert!(rows(&CsvSource::new(&path)).await.unwrap().is_empty());
    let (_directory, path) = file("");
    let error = CsvSource::new(&path).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    let (_directory, path) = file("plant,plant\n");
    assert!(
        CsvSource::new(&path)
            .open()
            .await
            .unwrap_err()
            .to_string()
            .contains("two columns named `plant`")
    );
    let error = CsvSource::new(path.with_file_name("absent.csv"))
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_an_error_and_no_record_whatever_is_tolerated() {
    let lines: Vec<String> = (0..20_000).map(|line| format!("p{line},{line}\n")).collect();
    let whole = format!("plant,note\n{}", lines.concat());
    let opened = whole.replace("p19000,19000", "p19000,\"19000");
    let in_the_middle = whole.replace("p19000,", "\"p19000,");
    for (text, line) in [
        (opened.as_str(), 19_002),
        (in_the_middle.as_str(), 19_002),
        ("plant,note\na,1\nb,\"2", 3),
        ("plant,note\na,\"1\n2\"\nb,\"a \"\"2", 4),
    ] {
        let (_directory, path) = file(text);
        for tolerance in [Tolerance::NONE, Tolerance::ALL] {
            let source = CsvSource::new(&path).set_aside(tolerance, &Rejects::new());
            let batches = source.open().await.unwrap().collect_batches().await;
            let error = batches.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
            let told = format!("line {line}: a quote is opened in this record and never closed");
            assert!(error.to_string().contains(&told), "{error}");
        }
    }
    let (_directory, path) = file("plant,\"note\na,1\nb,2\n");
    let error = CsvSource::new(&path).open().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("opened in the header and never closed"),
        "{error}"
    );
    for text in [
        "plant,note\na,5\" high\n",
        "plant,note\n\"a\",\"1\"",
        "plant,note\n\"a\",\"\"\"1\"\"\"\n\n",
    ] {
        let (_directory, path) = file(text);
        let batches = CsvSource::new(&path)
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await;
        assert_eq!(batches.unwrap()[0].num_rows(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_quote_that_is_never_closed_does_not_swallow_a_file_into_memory() {
    let mut text = b"plant,height\n\"a,1\n".to_vec();
    text.resize(40 * 1024 * 1024, b'x');
    let (_directory, path) = file(&text);
    let error = rows(&CsvSource::new(&path)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("line 2: a record is longer than 32 MiB: is a quote never closed?"),
        "{error}"
    );
}

#[tokio::test]
async fn the_columns_of_a_type_make_its_rows_of_whatever_a_file_looks_like() {
    let (_directory, path) = file("height,note,plant\n1,x,7\n2,y,8\n");
    let inferred = rows(&CsvSource::new(&path)).await.unwrap_err();
    assert!(
        inferred
            .to_string()
            .contains("schema_of::<etl::csv_files::Row>()"),
        "{inferred}"
    );
    let source = CsvSource::new(&path).schema(flowkit_etl::schema_of::<Row>().unwrap());
    assert_eq!(rows(&source).await.unwrap(), [row("7", 1.0), row("8", 2.0)]);
}

#[tokio::test]
async fn bad_records_are_told_as_they_come_also_where_no_good_one_is_among_them() {
    let (_directory, path) = file("plant,height\n".to_owned() + &"a,tall\n".repeat(2_000) + "b,1\n");
    let rejects = Rejects::new();
    let source = CsvSource::new(&path)
        .schema(columns(&[
            ("plant", DataType::Utf8),
            ("height", DataType::Float64),
        ]))
        .batch_rows(10)
        .set_aside(Tolerance::ALL, &rejects);
    let mut batches = source.open().await.unwrap();
    assert_eq!(batches.next().await.unwrap().unwrap().num_rows(), 0);
    let told = rejects.rejected();
    assert!((10..=100).contains(&told), "{told}, of which some are read ahead");
    assert_eq!(batches.collect_rows::<Row>().await.unwrap(), [row("b", 1.0)]);
    assert_eq!(rejects.rejected(), 2_000);
}

#[tokio::test]
async fn a_header_with_a_byte_of_zero_is_utf_16_only_if_the_others_look_like_it() {
    let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "größe,height\na,1\n".encode_utf16().flat_map(bytes).collect()
    };
    for text in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        let (_directory, path) = file(text);
        let error = CsvSource::new(&path).open().await.unwrap_err();
        assert!(error.to_string().contains("is UTF-16"), "{error}");
    }
    for text in ["plant,hei\0ght\na,1\n", "PK\u{3}\u{4}\0\0\0\n", "plant\0\0\0,a\n"] {
        let (_directory, path) = file(text);
        let error = CsvSource::new(&path).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(
            error.to_string().contains("a byte of zero in its first line"),
            "{error}"
        );
    }
}
