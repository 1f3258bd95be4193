//! Parquet files of which the parts that are needed are brought, one row group after the other.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ::parquet::DecodeResult;
use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use ::parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaDataPushDecoder;
use arrow_array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::Result;
use crate::remote::{Remote, wait};
use crate::source::parquet::no_parquet;

/// How much of a file's end is asked for at first, in which its footer mostly is.
const FOOTER: u64 = 64 << 10;
/// Parts between which no more lies than this are asked for as one.
const GAP: u64 = 64 << 10;
/// A request asks for no more than this.
const LARGEST: u64 = 8 << 20;
/// So many requests are on their way at a time.
const IN_FLIGHT: usize = 4;

/// Reads the footer of a file of this length.
pub(super) fn open(remote: &Arc<dyn Remote>, length: u64) -> Result<ParquetPushDecoderBuilder> {
    let wrong = |error: ParquetError| no_parquet(Path::new(remote.name()), error);
    let mut decoder = ParquetMetaDataPushDecoder::try_new(length).map_err(wrong)?;
    let end = length.saturating_sub(FOOTER)..length;
    let mut ranges = Vec::from([end]);
    loop {
        let parts = bring(remote, ranges.clone())?;
        decoder.push_ranges(ranges, parts).map_err(wrong)?;
        match decoder.try_decode().map_err(wrong)? {
            DecodeResult::NeedsData(more) => ranges = more,
            DecodeResult::Data(metadata) => {
                let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), Default::default());
                return Ok(ParquetPushDecoderBuilder::new_with_metadata(
                    metadata.map_err(wrong)?,
                ));
            }
            DecodeResult::Finished => {
                return Err(wrong(ParquetError::General("it has no footer".to_owned())));
            }
        }
    }
}

/// The batches of a file, one row group after the other.
pub(super) struct Batches {
    remote: Arc<dyn Remote>,
    decoder: ParquetPushDecoder,
}

impl Batches {
    pub(super) fn new(remote: Arc<dyn Remote>, builder: ParquetPushDecoderBuilder) -> Result<Self> {
        let decoder = builder.build();
        let decoder = decoder.map_err(|error| no_parquet(Path::new(remote.name()), error))?;
        Ok(Self { remote, decoder })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let name = Path::new(self.remote.name());
        loop {
            match self
                .decoder
                .try_decode()
                .map_err(|error| no_parquet(name, error))?
            {
                DecodeResult::NeedsData(ranges) => {
                    let parts = bring(&self.remote, ranges.clone())?;
                    let pushed = self.decoder.push_ranges(ranges, parts);
                    pushed.map_err(|error| no_parquet(name, error))?;
                }
                DecodeResult::Data(batch) => return Ok(Some(batch)),
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// These parts of a file, in their order.
fn bring(remote: &Arc<dyn Remote>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
    let remote = Arc::clone(remote);
    wait(async move {
        let mut runs = Vec::new();
        for run in merged(&ranges) {
            let requests = pieces(&run).into_iter().map(|piece| remote.range(piece));
            let parts: Vec<Bytes> = stream::iter(requests).buffered(IN_FLIGHT).try_collect().await?;
            runs.push((run.start, joined(parts)));
        }
        Ok(ranges.iter().map(|range| part(&runs, range)).collect())
    })
}

/// What has to be asked for to have all of these.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match runs.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => runs.push(range),
        }
    }
    runs
}

/// A range as pieces of which each is one request.
fn pieces(range: &Range<u64>) -> Vec<Range<u64>> {
    let mut pieces = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + LARGEST);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => {
            let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    }
}

/// A part of what was brought. What is missing of it the decoder finds.
fn part(runs: &[(u64, Bytes)], range: &Range<u64>) -> Bytes {
    let run = runs.iter().rev().find(|(start, _)| *start <= range.start);
    let part = run.and_then(|(start, bytes)| {
        let from = usize::try_from(range.start - start).ok()?;
        let to = usize::try_from(range.end - start).ok()?;
        (to <= bytes.len() && from <= to).then(|| bytes.slice(from..to))
    });
    part.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_near_each_other_are_asked_for_as_one_and_cut_out_of_it() {
        let ranges = [200_000..200_010, 0..10, 12..20, 19..30];
        let runs = merged(&ranges);
        assert_eq!(runs, [0..30, 200_000..200_010]);
        let brought: Vec<(u64, Bytes)> = runs
            .iter()
            .map(|run| (run.start, run.clone().map(|at| (at % 251) as u8).collect()))
            .collect();
        for range in ranges {
            let expected: Vec<u8> = range.clone().map(|at| (at % 251) as u8).collect();
            assert_eq!(part(&brought, &range), expected);
        }
        let large = 5..(2 * LARGEST + 6);
        let pieces = pieces(&large);
        assert_eq!(pieces.len(), 3);
        assert_eq!(
            pieces.iter().map(|piece| piece.end - piece.start).sum::<u64>(),
            2 * LARGEST + 1
        );
    }
}
