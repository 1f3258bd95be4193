//! The rows that these tests speak of.
#![cfg_attr(
    not(feature = "parquet"),
    allow(dead_code, reason = "each test uses some of it")
)]

use std::sync::Arc;

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plant {
    pub(crate) plant: String,
    pub(crate) scenario: String,
    pub(crate) height: Option<f64>,
    pub(crate) day: i64,
}

/// Plants of two scenarios; every seventh has no height.
pub(crate) fn plants(count: i64) -> Vec<Plant> {
    let plant = |number: i64| Plant {
        plant: format!("plant, \"{number}\"\nof row {}", number / 10),
        scenario: if number % 2 == 0 { "WW" } else { "WD" }.to_owned(),
        height: (number % 7 != 0).then(|| number as f64 / 3.0),
        day: number % 40,
    };
    (0..count).map(plant).collect()
}

/// Their batches.
pub(crate) fn stream(plants: &[Plant]) -> BatchStream {
    BatchStream::from_rows(plants.to_vec()).unwrap()
}

/// Columns of these names and types, all nullable.
pub(crate) fn columns(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}
