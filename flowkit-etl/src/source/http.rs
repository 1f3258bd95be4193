//! Records of an HTTP API.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::infer_json_schema_from_iterator;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};
use futures::stream;
use reqwest::{Client, Url};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Endpoint, Page, Pages};
use crate::since::Since;
use crate::source::Source;
use crate::stream::BatchStream;
use crate::traffic::reading;
use crate::value::Value;

/// The records of an HTTP API that answers in JSON, page after page. A page at a time is in memory.
///
/// Without [`schema`](Self::schema) the columns are inferred from the first page that has records, all nullable; a member that only a later page has is then an error, since it would be lost. With one, members
/// that are no columns are left out.
#[derive(Debug, Clone)]
pub struct HttpSource {
    endpoint: Endpoint,
    pages: Pages,
    records: String,
    schema: Option<SchemaRef>,
    since: Option<(String, String, Since)>,
}

impl HttpSource {
    /// What this endpoint answers: a list of objects.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            pages: Pages::one(),
            records: String::new(),
            schema: None,
            since: None,
        }
    }

    /// Where in an answer the list of records is, as a JSON pointer: `/data/items`. It is all of the answer unless said otherwise.
    #[must_use]
    pub fn records(mut self, pointer: impl Into<String>) -> Self {
        self.records = pointer.into();
        self
    }

    /// How the API names the next page; there is one page unless said otherwise.
    #[must_use]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// The columns to read, in this order. Texts become dates, times and numbers where the columns are such.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Asks only for what is new: gives the parameter where an incremental extraction has come, and follows the column by which the API orders its records. See [`Since`].
    #[must_use]
    pub fn since(mut self, parameter: impl Into<String>, column: impl Into<String>, since: Since) -> Self {
        self.since = Some((parameter.into(), column.into(), since));
        self
    }

    async fn begin(&self) -> Result<BatchStream> {
        let mut reading = self.reading()?;
        // The first page with records says what the columns are, if nobody does.
        let mut first = Vec::new();
        while first.is_empty() {
            match reading.page().await? {
                Some(records) => first = records,
                None => break,
            }
        }
        let schema = match &self.schema {
            Some(schema) => schema.clone(),
            None => inferred(&self.endpoint, &first)?,
        };
        let decoder = Decoder {
            schema: schema.clone(),
            strict: self.schema.is_none(),
            origin: self.endpoint.to_string(),
        };
        decoder.decoder(1)?;
        let batches = stream::try_unfold((reading, decoder, Some(first)), next_batch);
        let batches = BatchStream::new(schema, batches);
        match &self.since {
            Some((_, column, since)) => batches.following(column, since.clone()),
            None => Ok(batches),
        }
    }

    /// Before the first page, which is asked for from where an incremental extraction has come.
    fn reading(&self) -> Result<Reading> {
        let mut endpoint = self.endpoint.clone();
        if let Some((parameter, _, since)) = &self.since
            && let Some(value) = since.value()
        {
            let value = match value {
                Value::Text(text) => text.clone(),
                value => value.to_string(),
            };
            endpoint = endpoint.query(parameter, &value);
        }
        Ok(Reading {
            client: endpoint.client()?,
            next: Some(self.pages.first(endpoint.url())),
            endpoint,
            source: self.clone(),
            number: 0,
            before: 0,
            free: Instant::now(),
        })
    }
}

/// Pages while they are read, how their records become batches, and the records that were read already.
type UnderWay = (Reading, Decoder, Option<Vec<Json>>);

/// The batch of the next page that has records.
async fn next_batch(
    (mut reading, decoder, mut waiting): UnderWay,
) -> Result<Option<(RecordBatch, UnderWay)>> {
    loop {
        let records = match waiting.take() {
            Some(records) => records,
            None => match reading.page().await? {
                Some(records) => records,
                None => return Ok(None),
            },
        };
        if let Some(batch) = decoder.batch(records)? {
            return Ok(Some((batch, (reading, decoder, None))));
        }
    }
}

impl Source for HttpSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        reading(self.begin()).boxed()
    }
}

/// Pages while they are read.
struct Reading {
    client: Client,
    endpoint: Endpoint,
    source: HttpSource,
    next: Option<Url>,
    number: u64,
    before: u64,
    /// When the next request may be sent.
    free: Instant,
}

impl Reading {
    /// The records of the next page, if there is one.
    async fn page(&mut self) -> Result<Option<Vec<Json>>> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        sleep_until(self.free).await;
        self.free = Instant::now() + self.endpoint.spacing();
        let endpoint = self.endpoint.at(url.clone());
        let answer = endpoint.ask(&self.client).await?;
        let wrong = |what: &str| Error::new(ErrorKind::Format, format!("{endpoint} {what}"));
        let mut body: Json = serde_json::from_slice(&answer.body)
            .map_err(|error| wrong("does not answer in JSON").because(error))?;
        let records = match body.pointer_mut(&self.source.records).map(Json::take) {
            Some(Json::Array(records)) => records,
            _ if self.source.records.is_empty() => {
                return Err(wrong("does not answer with a list: say where it is by `records`"));
            }
            _ => {
                return Err(wrong(&format!(
                    "has no list at `{}` in its answer",
                    self.source.records
                )));
            }
        };
        self.before += records.len() as u64;
        let page = Page {
            body: &body,
            answer: &answer,
            number: self.number,
            records: records.len(),
            before_next: self.before,
        };
        self.next = self.source.pages.next(&url, &page)?;
        self.number += 1;
        Ok(Some(records))
    }
}

/// How records become batches.
struct Decoder {
    schema: SchemaRef,
    strict: bool,
    origin: String,
}

impl Decoder {
    fn decoder(&self, rows: usize) -> Result<arrow_json::reader::Decoder> {
        let decoder = ReaderBuilder::new(self.schema.clone())
            .with_batch_size(rows)
            .with_strict_mode(self.strict)
            .build_decoder();
        decoder.map_err(|error| {
            Error::new(ErrorKind::Schema, "these columns cannot be read from JSON").because(error)
        })
    }

    /// All records of a page.
    fn batch(&self, records: Vec<Json>) -> Result<Option<RecordBatch>> {
        match self.decode(&records) {
            Ok(batch) => Ok(batch),
            Err(error) => {
                // Alone, the bad one says where it is.
                let bad = records.iter().enumerate().find_map(|(index, record)| {
                    self.decode(std::slice::from_ref(record))
                        .err()
                        .map(|error| (index, error))
                });
                let (index, error) = bad.unwrap_or((0, error));
                let hint = if self.strict {
                    ": give the columns with `schema`"
                } else {
                    ""
                };
                let message = format!(
                    "record {index} of a page of {} does not fit its columns{hint}",
                    self.origin
                );
                Err(Error::new(ErrorKind::Schema, message).because(error))
            }
        }
    }

    fn decode(&self, records: &[Json]) -> Result<Option<RecordBatch>> {
        let wrong = |error: arrow_schema::ArrowError| Error::new(ErrorKind::Schema, error.to_string());
        let mut decoder = self.decoder(records.len().max(1))?;
        decoder.serialize(records).map_err(wrong)?;
        decoder.flush().map_err(wrong)
    }
}

/// The columns that these records have.
fn inferred(endpoint: &Endpoint, records: &[Json]) -> Result<SchemaRef> {
    if records.is_empty() {
        let message =
            format!("{endpoint} has no records, from which columns could be told: give them with `schema`");
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let inferred = infer_json_schema_from_iterator(records.iter().map(Ok)).map_err(|error| {
        let message = format!("cannot tell the types of the columns of {endpoint}: give them with `schema`");
        Error::new(ErrorKind::Format, message).because(error)
    })?;
    let fields = inferred.fields().iter().map(|field| match field.data_type() {
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        _ => field.as_ref().clone(),
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}
