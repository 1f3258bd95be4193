//! Typed rows and batches.

use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::{BatchStream, DEFAULT_BATCH_ROWS, ErrorKind, batch_of, rows_of, schema_of};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::plants::{Plant, columns, plants, stream};

#[tokio::test]
async fn rows_come_back_as_they_were_over_several_batches() {
    let rows = plants(DEFAULT_BATCH_ROWS as i64 * 2 + 1);
    let batches = stream(&rows).collect_batches().await.unwrap();
    let sizes: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [DEFAULT_BATCH_ROWS, DEFAULT_BATCH_ROWS, 1]);
    assert_eq!(stream(&rows).collect_rows::<Plant>().await.unwrap(), rows);
    let streamed: Vec<Plant> = stream(&rows).rows().map(|row| row.unwrap()).collect().await;
    assert_eq!(streamed, rows);
}

#[tokio::test]
async fn no_rows_are_no_batches_and_still_have_columns() {
    let none = BatchStream::from_rows(Vec::<Plant>::new()).unwrap();
    assert_eq!(none.schema().fields().len(), 4);
    assert!(none.collect_rows::<Plant>().await.unwrap().is_empty());
}

#[test]
fn a_type_says_its_columns() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only its type counts")]
    struct Everything {
        name: String,
        count: u32,
        share: Option<f32>,
        scenario: Scenario,
        tags: Vec<String>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only its type counts")]
    enum Scenario {
        Watered,
        Dry,
    }
    let schema = schema_of::<Everything>().unwrap();
    let shown: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {} {}", field.name(), field.data_type(), field.is_nullable()))
        .collect();
    assert_eq!(
        shown[..3],
        ["name Utf8 false", "count UInt32 false", "share Float32 true"]
    );
    assert!(matches!(schema.field(3).data_type(), DataType::Dictionary(_, _)));
    assert!(matches!(schema.field(4).data_type(), DataType::List(_)));
}

#[test]
fn dates_are_columns_of_dates_where_the_schema_says_so() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Measured {
        day: String,
    }
    let rows = vec![Measured {
        day: "2013-02-04".into(),
    }];
    let schema = columns(&[("day", DataType::Date32)]);
    let batch = batch_of(&schema, &rows).unwrap();
    assert_eq!(batch.column(0).data_type(), &DataType::Date32);
    assert_eq!(rows_of::<Measured>(&batch).unwrap(), rows);
}

#[test]
fn rows_that_do_not_fit_are_an_error_that_names_both_sides() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        weight: f64,
    }
    let schema = columns(&[("height", DataType::Float64)]);
    let batch = batch_of(&schema, &[serde_json::json!({"height": 1.5})]).unwrap();
    let error = rows_of::<Other>(&batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(
        error.to_string().contains("(height Float64)") && error.to_string().contains("Other"),
        "{error}"
    );
    let narrow = columns(&[("height", DataType::Int8)]);
    assert_eq!(
        batch_of(&narrow, &[serde_json::json!({"height": 1000})])
            .unwrap_err()
            .kind(),
        ErrorKind::Schema
    );
}
