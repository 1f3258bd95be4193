//! A season of measurements, as large as is asked for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef};

/// Its columns.
pub(crate) fn schema() -> SchemaRef {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("plant", DataType::Utf8),
        field("scenario", DataType::Utf8),
        field("day", DataType::Date32),
        field("position", DataType::Int32),
        field("height", DataType::Float64),
        field("leaf_area", DataType::Float64),
        field("note", DataType::Utf8),
    ]))
}

/// Writes so many rows.
pub(crate) fn write(path: &Path, rows: usize) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let names: Vec<String> = schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    writeln!(file, "{}", names.join(",")).unwrap();
    for row in 0..rows {
        let (plant, day) = (row / 40, row % 28 + 1);
        let height = 100.0 + (row % 9973) as f64 * 0.1371;
        let scenario = if plant % 2 == 0 { "WW" } else { "WD" };
        let note = if row % 5 == 0 { "watered by hand" } else { "" };
        let leaf = if row % 11 == 0 {
            String::new()
        } else {
            format!("{:.6}", height / 1234.5)
        };
        writeln!(
            file,
            "{row},manip1_{plant}_{scenario},{scenario},2013-02-{day:02},{},{height},{leaf},{note}",
            row % 60
        )
        .unwrap();
    }
    file.flush().unwrap();
}
