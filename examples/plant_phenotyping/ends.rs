//! The ends that are no CSV file here: files of other kinds and elsewhere, buckets, tables of databases.

use std::path::PathBuf;
use std::sync::Arc;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::{Array as _, RecordBatch};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowkit_etl::sink::{DatasetSink, FileFormat, LoadId, Mode, ObjectSink, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, JsonLinesSource, Location, ParquetSource, Source, SqlSource};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::load::Loaded;
use crate::place::{Ends, From, Place, To};
use crate::record::{Column, RawRecord};
use crate::transform::{GenotypeFigures, PlantFigures, ScenarioFigures};

/// Reads the records of a place. Their lines are their numbers, from 1 on.
pub(crate) async fn extract(place: &Place, ends: &Ends) -> Result<Vec<RawRecord>, Error> {
    let texts = Column::ALL.map(|column| Field::new(column.name(), DataType::Utf8, true));
    let texts: SchemaRef = Arc::new(Schema::new(texts.to_vec()));
    let source: Box<dyn Source> = match (place, &ends.source) {
        (Place::Path(path), _) => Box::new(CsvSource::new(path).schema(texts.clone())),
        (Place::Parquet(path), _) => Box::new(ParquetSource::new(path)),
        (_, Some(From::Files(files))) => of_files(files, &texts),
        (Place::Database { table, .. }, Some(From::Database(database))) => {
            let table = if table.is_empty() { "measurements" } else { table };
            Box::new(SqlSource::table(database, table))
        }
        _ => return Err(begun_anew()),
    };
    let mut batches = source.open().await?;
    let mut records = Vec::new();
    while let Some(batch) = batches.next().await {
        append(&batch?, &texts, &mut records)?;
    }
    Ok(records)
}

/// What reads files of the format that their name says; CSV, if it says none.
fn of_files(files: &Location, texts: &SchemaRef) -> Box<dyn Source> {
    let files = files.clone();
    match FileFormat::of_name(files.to_string().as_ref()) {
        Ok((FileFormat::Parquet, _)) => Box::new(ParquetSource::at(files)),
        Ok((FileFormat::JsonLines, _)) => Box::new(JsonLinesSource::at(files)),
        _ => Box::new(CsvSource::at(files).schema(texts.clone())),
    }
}

/// What lets one in is recorded nowhere, so that a run cannot go on without the command line that began it.
fn begun_anew() -> Error {
    let message = "this run was begun without what lets one into its ends: begin it anew";
    Error::new(ErrorKind::Options, message)
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
    let sink: Box<dyn Sink> = match (place, &ends.destination) {
        (Place::Database { .. }, Some(To::Database(database))) => {
            Box::new(SqlSink::new(database, name).mode(Mode::Replace))
        }
        (Place::Bucket(_), Some(To::Bucket(bucket))) => {
            Box::new(ObjectSink::new(&bucket.below(name)?).mode(Mode::Replace))
        }
        (Place::Path(path) | Place::Parquet(path), _) => {
            Box::new(DatasetSink::parquet(path.join(name)).mode(Mode::Replace))
        }
        _ => return Err(begun_anew()),
    };
    sink.load(load, batches).await.map(drop)
}
