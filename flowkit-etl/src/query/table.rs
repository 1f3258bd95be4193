//! A stream as a table: it passes once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::failure::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::stream::BatchStream;

/// The table of a stream.
pub(super) fn once(name: &str, stream: BatchStream) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::clone(stream.schema());
    let once = Once {
        name: name.to_owned(),
        schema: Arc::clone(&schema),
        stream: Mutex::new(Some(stream)),
    };
    let table = StreamingTable::try_new(schema, vec![Arc::new(once)]);
    Ok(Arc::new(table.map_err(failed)?))
}

/// A stream until it is read.
struct Once {
    name: String,
    schema: SchemaRef,
    stream: Mutex<Option<BatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.name).finish()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let batches = match taken {
            Some(stream) => stream.boxed(),
            None => {
                let again = format!(
                    "the query reads `{}` more than once, and a stream passes once: collect it, and give it by `kept`",
                    self.name
                );
                stream::iter([Err(Error::new(ErrorKind::Options, again))]).boxed()
            }
        };
        let batches = batches.map_err(|error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
