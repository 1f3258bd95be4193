//! The batches of files, one file after the other.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::Result;
use crate::source::{Input, Location};
use crate::stream::BatchStream;

/// The batches of one file.
pub(crate) type FileBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The batches of the files of a place, which are opened off the caller's thread.
pub(crate) async fn opened<O>(location: Location, open: O) -> Result<BatchStream>
where
    O: FnOnce(Vec<Input>) -> Result<(SchemaRef, FileBatches)> + Send + 'static,
{
    let files = location.find().await?;
    let (schema, batches) = crate::blocking::run(move || open(files)).await?;
    Ok(BatchStream::blocking(schema, batches))
}

/// The batches of files one after the other, each opened as its turn comes. `judge` is asked after the last one.
pub(crate) fn batches_of<O, J>(files: Vec<Input>, mut open: O, judge: J) -> FileBatches
where
    O: FnMut(&Input) -> Result<FileBatches> + Send + 'static,
    J: FnOnce() -> Result<()> + Send + 'static,
{
    let batches = files
        .into_iter()
        .flat_map(move |file| open(&file).unwrap_or_else(|error| Box::new(std::iter::once(Err(error)))));
    let verdict = std::iter::once_with(judge).filter_map(|verdict| verdict.err().map(Err));
    Box::new(batches.chain(verdict))
}
