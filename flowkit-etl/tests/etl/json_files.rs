//! Files of JSON lines as they come.

use std::fs;
use std::path::PathBuf;

use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::source::{JsonLinesSource, Source};
use flowkit_etl::{ErrorKind, Rejects, Tolerance};
use serde::Deserialize;
use tempfile::TempDir;

use crate::plants::columns;

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    plant: Option<String>,
    height: Option<f64>,
}

fn file(content: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.jsonl");
    fs::write(&path, content).unwrap();
    (directory, path)
}

#[tokio::test]
async fn columns_are_inferred_over_lines_and_absent_members_are_missing() {
    let (_directory, path) = file("{\"plant\":\"a\"}\n\n{\"height\":1.5,\"plant\":null}\n{\"height\":2}");
    let rows: Vec<Row> = JsonLinesSource::new(&path)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    let row = |plant: Option<&str>, height| Row {
        plant: plant.map(str::to_owned),
        height,
    };
    assert_eq!(
        rows,
        [row(Some("a"), None), row(None, Some(1.5)), row(None, Some(2.0))]
    );
}

#[tokio::test]
async fn bad_lines_are_set_aside_with_what_is_wrong() {
    let lines = [
        "{\"plant\":\"a\",\"height\":1}",
        "{\"plant\":\"b\",\"height\":\"tall\"}",
        "not json",
        "{\"plant\":\"c\",\"height\":3,\"weight\":1}",
        "{\"plant\":\"d\",\"height\":4}",
        "{\"plant\":\"cut\",\"hei",
    ];
    let (_directory, path) = file(&lines.join("\n"));
    let rejects = Rejects::new();
    let schema = columns(&[("plant", DataType::Utf8), ("height", DataType::Float64)]);
    let source = JsonLinesSource::new(&path)
        .schema(schema)
        .strict()
        .set_aside(Tolerance::ALL, &rejects);
    let rows: Vec<Row> = source.open().await.unwrap().collect_rows().await.unwrap();
    assert_eq!(rows.len(), 2);
    let told: Vec<String> = rejects
        .kept()
        .iter()
        .map(|reject| {
            reject
                .to_string()
                .split_once("plants.jsonl ")
                .unwrap()
                .1
                .to_owned()
        })
        .collect();
    assert_eq!(told[0], "line 2: height is \"\\\"tall\\\"\": not of type Float64");
    assert!(
        told[1].starts_with("line 3: \"not json\" is not a JSON object"),
        "{}",
        told[1]
    );
    assert_eq!(told[2], "line 4: weight is \"1\": not a known member");
    assert!(
        told[3].starts_with("line 6: ") && told[3].contains("EOF"),
        "a line that was cut: {}",
        told[3]
    );
    assert_eq!(told.len(), 4);
}

#[tokio::test]
async fn without_tolerance_a_line_that_was_cut_is_an_error_and_not_an_end() {
    let (_directory, path) = file("{\"plant\":\"a\",\"height\":1}\n{\"plant\":\"b\",");
    let opened = JsonLinesSource::new(&path).open().await.unwrap();
    let error = opened.collect_rows::<Row>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn a_file_without_any_object_asks_for_its_columns() {
    let (_directory, path) = file("1\n2\n");
    let error = JsonLinesSource::new(&path).open().await.unwrap_err();
    assert!(error.to_string().contains("no line of"), "{error}");
}

#[tokio::test]
async fn a_column_of_texts_and_numbers_holds_both_as_texts_if_nobody_said_what_it_is() {
    let (_directory, path) = file("{\"plant\":1}\n{\"plant\":\"x\"}\n{\"plant\":0.10}\n{\"plant\":true}\n");
    let source = JsonLinesSource::new(&path);
    let rows: Vec<Row> = source.open().await.unwrap().collect_rows().await.unwrap();
    let plants: Vec<&str> = rows.iter().filter_map(|row| row.plant.as_deref()).collect();
    assert_eq!(plants, ["1", "x", "0.10", "true"]);
    let said = source.schema(columns(&[("plant", DataType::Utf8)]));
    let error = said
        .open()
        .await
        .unwrap()
        .collect_rows::<Row>()
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Rejected,
        "a column that is said to be text has no numbers"
    );
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let (_directory, path) =
        file("\u{feff}{\"plant\":\"a\",\"height\":1.5}\n{\"plant\":\"b\",\"height\":2}\n");
    let schema = columns(&[("plant", DataType::Utf8), ("height", DataType::Float64)]);
    let source = JsonLinesSource::new(&path);
    for source in [source.clone(), source.schema(schema)] {
        let rows: Vec<Row> = source.open().await.unwrap().collect_rows().await.unwrap();
        assert_eq!(rows.len(), 2);
    }
    for content in ["", "\u{feff}", "\u{feff}\n"] {
        let (_directory, path) = file(content);
        let source = JsonLinesSource::new(&path).schema(columns(&[("plant", DataType::Utf8)]));
        let rows: Vec<Row> = source.open().await.unwrap().collect_rows().await.unwrap();
        assert!(rows.is_empty());
    }
}
