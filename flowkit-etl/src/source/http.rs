//! Records of an HTTP API.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use futures::future::{BoxFuture, FutureExt};
use futures::stream;
use reqwest::{Client, StatusCode, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Course, Endpoint, Page, Pages, Raw};
use crate::since::Since;
use crate::source::Source;
use crate::source::json::{GIVE_SCHEMA, JsonColumns};
use crate::source::json_inferred;
use crate::stream::BatchStream;
use crate::traffic::reading;
use crate::value::Value;

/// The records of an HTTP API that answers in JSON, page after page. A page at a time is in memory.
///
/// Without [`schema`](Self::schema) the columns are inferred from the first page that has records, all nullable; one that has texts beside numbers or truth values is text, and has those as they stand; so is one with whole numbers that its
/// numbers would round. A member that only a later page has is then an error, since it would be lost. With a schema, members that are no columns are left out. A value of which a column would hold only a part is an error: a fraction where
/// numbers are whole, a time on a day.
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
        let mut first = Records::default();
        while first.count == 0 {
            match reading.page().await? {
                Some(records) => first = records,
                None => break,
            }
        }
        let columns = match &self.schema {
            Some(schema) => JsonColumns::given(schema.clone(), false),
            None => JsonColumns::inferred(inferred(&self.endpoint, &first)?),
        };
        columns.decoder(1)?;
        let schema = columns.schema().clone();
        let decoder = Decoder {
            columns,
            origin: self.endpoint.to_string(),
        };
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
            course: self.pages.begin(endpoint.url()),
            endpoint,
            pointer: self.records.clone(),
        })
    }
}

/// Pages while they are read, how their records become batches, and the records that were read already.
type UnderWay = (Reading, Decoder, Option<Records>);

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
        if let Some(batch) = decoder.batch(&records)? {
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
    course: Course,
    /// Where the records of a page are.
    pointer: String,
}

impl Reading {
    /// The records of the next page, if there is one.
    async fn page(&mut self) -> Result<Option<Records>> {
        let Some(url) = self.course.at() else {
            return Ok(None);
        };
        let endpoint = self.endpoint.at(url.clone());
        let answer = endpoint.ask(&self.client).await?;
        let wrong = |what: &str| Error::new(ErrorKind::Format, format!("{endpoint} {what}"));
        let no_json = || wrong("does not answer in JSON");
        // Where there is nothing to be answered, there are no records.
        let is_silent = answer.status == StatusCode::NO_CONTENT;
        let text = std::str::from_utf8(&answer.body).map_err(|error| no_json().because(error))?;
        let body = Raw::new(if is_silent { "null" } else { text });
        let body = body.map_err(|error| no_json().because(error))?;
        let list = body.at(&self.pointer).filter(|list| list.elements().is_some());
        let records = match list {
            Some(list) => Records::of(list),
            None if is_silent => Records::default(),
            None if self.pointer.is_empty() => {
                return Err(wrong("does not answer with a list: say where it is by `records`"));
            }
            None => return Err(wrong(&format!("has no list at `{}` in its answer", self.pointer))),
        };
        self.course.turn(&Page {
            body,
            answer: &answer,
            list: &records.list,
            records: records.count,
        })?;
        if let Some(url) = self.course.doubt()
            && let Some(list) = self.glance(url).await
        {
            self.course.judge(&list)?;
        }
        Ok(Some(records))
    }

    /// The list of a page that should not be there, if it is.
    async fn glance(&self, url: Url) -> Option<String> {
        let answer = self.endpoint.at(url).once(&self.client).await.ok()?;
        if !answer.status.is_success() {
            return None;
        }
        let body = Raw::new(std::str::from_utf8(&answer.body).ok()?).ok()?;
        let list = body.at(&self.pointer).filter(|list| list.elements().is_some());
        list.map(|list| list.text().to_owned())
    }
}

/// The records of a page, as they stand in it.
#[derive(Default)]
struct Records {
    /// A list of JSON, if there are any.
    list: String,
    count: usize,
}

impl Records {
    fn of(list: Raw<'_>) -> Self {
        let list = list.text().to_owned();
        let records = Self { list, count: 0 };
        let count = records.each().count();
        Self { count, ..records }
    }

    fn each(&self) -> impl Iterator<Item = &str> + Clone {
        let list = Raw::new(&self.list).ok().and_then(Raw::elements);
        list.into_iter().flatten().map(Raw::text)
    }
}

/// How records become batches.
struct Decoder {
    columns: JsonColumns,
    origin: String,
}

impl Decoder {
    /// All records of a page.
    fn batch(&self, records: &Records) -> Result<Option<RecordBatch>> {
        match self.decode(records.count, records.each()) {
            Ok(batch) => Ok(batch),
            Err(error) => {
                // Alone, the bad one says where it is.
                let bad = records.each().enumerate().find_map(|(index, record)| {
                    let alone = self.decode(1, std::iter::once(record));
                    alone.err().map(|error| (index, error))
                });
                let (index, error) = bad.unwrap_or((0, error));
                let hint = if self.columns.is_inferred() {
                    format!(": {GIVE_SCHEMA}")
                } else {
                    String::new()
                };
                let message = format!(
                    "record {index} of a page of {} does not fit its columns{hint}",
                    self.origin
                );
                Err(Error::new(ErrorKind::Schema, message).because(error))
            }
        }
    }

    fn decode<'a>(
        &self,
        count: usize,
        records: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Option<RecordBatch>> {
        let wrong = |error: ArrowError| Error::new(ErrorKind::Schema, error.to_string());
        let mut decoder = self.columns.decoder(count.max(1))?;
        for record in records.clone() {
            decoder.decode(record.as_bytes()).map_err(wrong)?;
        }
        decoder.flush(records.map(str::as_bytes)).map_err(wrong)
    }
}

/// The columns that these records have.
fn inferred(endpoint: &Endpoint, records: &Records) -> Result<SchemaRef> {
    if records.count == 0 {
        let message =
            format!("{endpoint} has no records, from which columns could be told: give them with `schema`");
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let records: Vec<&[u8]> = records.each().map(str::as_bytes).collect();
    json_inferred::inferred(records.into_iter()).map_err(|error| {
        let message = format!("cannot tell the types of the columns of {endpoint}: {GIVE_SCHEMA}");
        Error::new(ErrorKind::Format, message).because(error)
    })
}
