//! What DataFusion says, as an error of ours.

use datafusion::error::DataFusionError;

use crate::error::{Error, ErrorKind};

/// An error of a query. One of a stream that it reads stays what it is.
pub(super) fn failed(error: DataFusionError) -> Error {
    let root = error.find_root();
    if let DataFusionError::External(of_stream) = root
        && let Some(of_stream) = of_stream.downcast_ref::<Error>()
    {
        return Error::new(of_stream.kind(), of_stream.to_string()).because(error);
    }
    let (kind, message) = match root {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => (ErrorKind::Options, "the query cannot be planned"),
        DataFusionError::ResourcesExhausted(_) => (
            ErrorKind::Full,
            "the query needs more memory than it may have: let it have more by `memory`, or select less",
        ),
        DataFusionError::IoError(_) => (
            ErrorKind::Io,
            "the query cannot put on the disk what it has to hold",
        ),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => (
            ErrorKind::Format,
            "the query cannot be carried out with these data",
        ),
        _ => (ErrorKind::Io, "the query failed"),
    };
    Error::new(kind, format!("{message}: {}", root.strip_backtrace())).because(error)
}
