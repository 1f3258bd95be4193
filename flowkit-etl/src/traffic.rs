//! Records and bytes that pass in a run, counted where they do.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::in_run::InRun;

/// Records and bytes that passed in a run.
///
/// Sources, sinks and whatever sets records aside report it by themselves, to the observers of the run they are called in: see [`monitor`](crate::monitor). A part of your own does so with [`report`](Self::report).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Records that sources read. A task that is tried again reads again, and both counts.
    pub records_in: u64,
    /// Records that were committed by sinks, and rows of tables that models are. A load that is known to have been made before adds none.
    pub records_out: u64,
    /// Records that were set aside.
    pub records_rejected: u64,
    /// Bytes of what was read, as it lies in memory, whatever it was where it came from.
    pub bytes_in: u64,
    /// Bytes of what was committed, as it lay in memory.
    pub bytes_out: u64,
    /// Bytes of the files that were committed, compressed as they are.
    pub file_bytes: u64,
}

impl Traffic {
    /// Adds it to what has passed in the run that calls this: a task, or the body of a flow. Outside a run nothing happens.
    pub fn report(&self) {
        InRun::current().tell(self);
    }
}

#[cfg(any(feature = "prometheus", feature = "otel"))]
impl Traffic {
    /// Records that there are any of, by their direction.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let records = [
            ("in", self.records_in),
            ("out", self.records_out),
            ("rejected", self.records_rejected),
        ];
        records.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Bytes that there are any of, by their direction.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let bytes = [
            ("in", self.bytes_in),
            ("out", self.bytes_out),
            ("file", self.file_bytes),
        ];
        bytes.into_iter().filter(|(_, count)| *count > 0)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Self) {
        self.records_in += more.records_in;
        self.records_out += more.records_out;
        self.records_rejected += more.records_rejected;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.file_bytes += more.file_bytes;
    }
}

#[cfg(feature = "data")]
pub(crate) use counting::Counted;
#[cfg(any(feature = "files", feature = "http", feature = "sql"))]
pub(crate) use counting::reading;
#[cfg(any(feature = "files", feature = "sql"))]
pub(crate) use counting::writing;

/// What counts batches on their way.
#[cfg(feature = "data")]
#[cfg_attr(
    not(any(feature = "files", feature = "sql")),
    allow(dead_code, reason = "what reads or writes nothing counts nothing")
)]
mod counting {
    use std::future::Future;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use arrow_array::{Array, RecordBatch};

    use super::Traffic;
    use crate::error::Result;
    use crate::in_run::InRun;
    use crate::sink::Loaded;
    use crate::stream::BatchStream;

    /// How the batches of a stream are counted.
    #[derive(Clone)]
    pub(crate) enum Counted {
        /// As read, for this run.
        In(InRun),
        /// Their bytes, for a load that is told of when it is committed.
        Bytes(Arc<AtomicU64>),
    }

    impl Counted {
        pub(crate) fn count(&self, batch: &RecordBatch) {
            match self {
                Self::In(run) => run.tell(&Traffic {
                    records_in: batch.num_rows() as u64,
                    bytes_in: bytes_of(batch),
                    ..Traffic::default()
                }),
                Self::Bytes(bytes) => {
                    bytes.fetch_add(bytes_of(batch), Ordering::Relaxed);
                }
            }
        }
    }

    /// The bytes of a batch, without those of larger ones that it is a part of.
    fn bytes_of(batch: &RecordBatch) -> u64 {
        let of_column = |column: &Arc<dyn Array>| {
            let data = column.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| data.get_array_memory_size())
        };
        batch.columns().iter().map(of_column).sum::<usize>() as u64
    }

    /// The stream that a source opens, counted for the run that opens it.
    pub(crate) async fn reading(open: impl Future<Output = Result<BatchStream>>) -> Result<BatchStream> {
        let run = InRun::current();
        let batches = open.await?;
        if !run.is_observed() {
            return Ok(batches);
        }
        Ok(batches.counted(Counted::In(run)))
    }

    /// A load, counted for the run that makes it, once it is committed.
    pub(crate) fn writing<F: Future<Output = Result<Loaded>>>(
        batches: BatchStream,
        load: impl FnOnce(BatchStream) -> F,
    ) -> impl Future<Output = Result<Loaded>> {
        let run = InRun::current();
        let bytes = Arc::new(AtomicU64::new(0));
        let batches = match run.is_observed() {
            true => batches.counted(Counted::Bytes(bytes.clone())),
            false => batches,
        };
        let load = load(batches);
        async move {
            let loaded = load.await?;
            if !loaded.repeated {
                run.tell(&Traffic {
                    records_out: loaded.rows,
                    bytes_out: bytes.load(Ordering::Relaxed),
                    file_bytes: loaded.bytes,
                    ..Traffic::default()
                });
            }
            Ok(loaded)
        }
    }
}
