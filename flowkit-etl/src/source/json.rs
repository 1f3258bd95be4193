//! Objects of JSON into batches, of whatever they are records.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Error, ErrorKind, Result};
use crate::exact;
use crate::source::json_watch::Watch;

/// What to do where members come that were not among those that columns were inferred from.
pub(crate) const GIVE_SCHEMA: &str = "give the columns with `schema`";

/// Columns, as they are read from JSON.
#[derive(Clone)]
pub(crate) struct JsonColumns {
    schema: SchemaRef,
    is_strict: bool,
    is_inferred: bool,
    watch: Option<Arc<Watch>>,
}

impl JsonColumns {
    /// Columns that somebody said. Where one is strict, there are no other members.
    pub(crate) fn given(schema: SchemaRef, is_strict: bool) -> Self {
        let watch = Watch::of(&schema).map(Arc::new);
        Self {
            schema,
            is_strict,
            is_inferred: false,
            watch,
        }
    }

    /// Columns that were inferred. Other members would be lost, and those that are texts since there are texts among them take numbers and truth values.
    pub(crate) fn inferred(schema: SchemaRef) -> Self {
        Self {
            is_inferred: true,
            ..Self::given(schema, true)
        }
    }

    /// The same of these columns alone.
    #[cfg(feature = "json")]
    pub(crate) fn only(&self, schema: SchemaRef, is_strict: bool) -> Self {
        Self {
            is_inferred: self.is_inferred,
            ..Self::given(schema, is_strict)
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    #[cfg(feature = "json")]
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    pub(crate) fn is_inferred(&self) -> bool {
        self.is_inferred
    }

    /// What decodes up to so many records.
    ///
    /// # Errors
    /// When these cannot be columns.
    pub(crate) fn decoder(&self, rows: usize) -> Result<JsonDecoder> {
        let decoder = ReaderBuilder::new(exact::widened(&self.schema))
            .with_batch_size(rows)
            .with_strict_mode(self.is_strict)
            .with_coerce_primitive(self.is_inferred)
            .build_decoder()
            .map_err(|error| {
                Error::new(ErrorKind::Schema, "these columns cannot be read from JSON").because(error)
            })?;
        Ok(JsonDecoder {
            decoder,
            wanted: self.schema.clone(),
            watch: self.watch.clone(),
            #[cfg(feature = "json")]
            rows,
        })
    }
}

/// Decodes objects, and has nothing of a value cut off.
pub(crate) struct JsonDecoder {
    decoder: Decoder,
    wanted: SchemaRef,
    watch: Option<Arc<Watch>>,
    #[cfg(feature = "json")]
    rows: usize,
}

impl JsonDecoder {
    /// Takes text, and gives how much of it.
    pub(crate) fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError> {
        self.decoder.decode(text)
    }

    /// Whether it holds as many records as it may.
    #[cfg(feature = "json")]
    pub(crate) fn is_full(&self) -> bool {
        self.decoder.len() >= self.rows && !self.decoder.has_partial_record()
    }

    /// The records that it holds, of which this is the text.
    pub(crate) fn flush<'a>(
        &mut self,
        text: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let Some(batch) = self.decoder.flush()? else {
            return Ok(None);
        };
        if let Some(watch) = &self.watch {
            text.into_iter().try_for_each(|text| watch.check(text))?;
        }
        exact::narrowed(batch, &self.wanted).map(Some)
    }
}
