//! The ends that are no CSV file: patterns of files, Parquet, tables of databases.

use std::path::PathBuf;
use std::sync::Arc;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::{Array as _, RecordBatch};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowkit_etl::sink::{DatasetSink, LoadId, Mode, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, ParquetSource, Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::load::Loaded;
use crate::place::{Ends, Place};
use crate::record::{Column, RawRecord};
use crate::transform::{GenotypeFigures, PlantFigures, ScenarioFigures};

/// Reads the records of a place. Their lines are their numbers, from 1 on.
pub(crate) async fn extract(place: &Place, ends: &Ends) -> Result<Vec<RawRecord>, Error> {
    let texts = Column::ALL.map(|column| Field::new(column.name(), DataType::Utf8, true));
    let texts: SchemaRef = Arc::new(Schema::new(texts.to_vec()));
    let mut batches = match place {
        Place::Path(path) | Place::Pattern(path) => CsvSource::new(path).schema(texts.clone()).open().await?,
        Place::Parquet(path) => ParquetSource::new(path).open().await?,
        Place::Database { table, .. } => {
            let table = if table.is_empty() { "measurements" } else { table };
            SqlSource::table(database(ends.source.as_ref())?, table)
                .open()
                .await?
        }
    };
    let mut records = Vec::new();
    while let Some(batch) = batches.next().await {
        append(&batch?, &texts, &mut records)?;
    }
    Ok(records)
}

/// The database that the command line named.
fn database(database: Option<&Database>) -> Result<&Database, Error> {
    database.ok_or_else(|| {
        Error::new(
            ErrorKind::Options,
            "this run was begun without what lets one into its database: begin it anew",
        )
    })
}

/// Each row as the texts that a file would have.
fn append(batch: &RecordBatch, texts: &SchemaRef, records: &mut Vec<RawRecord>) -> Result<(), Error> {
    let mut columns = Vec::with_capacity(Column::ALL.len());
    for field in texts.fields() {
        // Databases differ in what they make of upper case.
        let named = |(index, there): (usize, &Arc<Field>)| {
            there.name().eq_ignore_ascii_case(field.name()).then_some(index)
        };
        let index = batch.schema_ref().fields().iter().enumerate().find_map(named);
        let index = index.ok_or_else(|| {
            Error::new(
                ErrorKind::Schema,
                format!("there is no column `{}`", field.name()),
            )
        })?;
        let column = batch.column(index);
        let text = arrow_cast::cast(column, &DataType::Utf8).map_err(|error| {
            let message = format!("the column `{}` is no text", field.name());
            Error::new(ErrorKind::Schema, message).because(error)
        })?;
        columns.push(text.as_string::<i32>().clone());
    }
    for row in 0..batch.num_rows() {
        let line = records.len() as u64 + 1;
        let field = |column: Column| match columns.get(column as usize) {
            Some(texts) if texts.is_valid(row) => texts.value(row),
            _ => "",
        };
        records.push(RawRecord::new(line, field));
    }
    Ok(())
}

/// Puts the figures into two tables or data sets, in place of the former ones, under the name of this load.
pub(crate) async fn load(
    figures: &[ScenarioFigures],
    place: &Place,
    load: &LoadId,
    ends: &Ends,
) -> Result<Loaded, Error> {
    let plants: Vec<PlantFigures> = figures
        .iter()
        .flat_map(|scenario| scenario.plants.clone())
        .collect();
    let genotypes: Vec<GenotypeFigures> = figures
        .iter()
        .flat_map(|scenario| scenario.genotypes.clone())
        .collect();
    let loaded = Loaded {
        plants: plants.len(),
        genotypes: genotypes.len(),
        plants_file: named(place, "plants"),
        summary_file: named(place, "summary"),
    };
    put(plants, place, "plants", load, ends).await?;
    put(genotypes, place, "summary", load, ends).await?;
    Ok(loaded)
}

fn named(place: &Place, name: &str) -> PathBuf {
    match place {
        Place::Database { address, .. } => format!("{address}?table={name}").into(),
        place => place.shown().join(name),
    }
}

async fn put<T>(rows: Vec<T>, place: &Place, name: &str, load: &LoadId, ends: &Ends) -> Result<(), Error>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let batches = BatchStream::from_rows(rows)?;
    let sink: Box<dyn Sink> = match place {
        Place::Database { .. } => {
            Box::new(SqlSink::new(database(ends.destination.as_ref())?, name).mode(Mode::Replace))
        }
        place => Box::new(DatasetSink::parquet(place.shown().join(name)).mode(Mode::Replace)),
    };
    sink.load(load, batches).await.map(drop)
}
