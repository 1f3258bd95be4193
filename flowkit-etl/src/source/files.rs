//! The batches of files, one file after the other.

use arrow_array::RecordBatch;

use crate::error::Result;
use crate::source::Input;

/// The batches of one file.
pub(crate) type FileBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

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
