//! A flow run as a row of the database, and back. A row ends with a digest over all of it; one that does not verify is not there.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::bytes::{put_bytes, put_number, put_signed, spot_from_bytes, spot_to_bytes, texts_from_bytes};
use super::dictionary::Dictionary;
use crate::finished::Belonging;
use crate::record::{Digest, FlowRow, Parameters, RunNo, Spot, Timestamp};
use crate::store::StoredFlow;

/// What a query for flow runs selects, for [`read`].
pub(super) const SELECTED: &str = "f.no, f.id, f.life, f.root, f.parent, f.definition, f.name, f.tags, f.state, f.attempts, f.error, f.created, f.ended, \
    f.json, f.bytes, f.result_json, f.digest";

/// How many bytes of BLAKE3 a digest is.
const CHECK: usize = 8;

fn short(bytes: &[u8]) -> [u8; CHECK] {
    let whole = blake3::hash(bytes);
    whole.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The digest of rows that were written before all of a row counted: of what it is resumed with, and no more.
fn early_digest(flow: &StoredFlow, definition: Digest) -> [u8; CHECK] {
    let mut bytes = Vec::new();
    put_number(&mut bytes, flow.no.0);
    bytes.extend_from_slice(&flow.id.to_be_bytes());
    bytes.extend_from_slice(&definition);
    if let Some(parameters) = &flow.parameters {
        put_bytes(&mut bytes, &parameters.bytes);
        bytes.extend_from_slice(parameters.json.as_deref().unwrap_or_default().as_bytes());
    }
    short(&bytes)
}

/// What a digest is over: all of a row.
struct Checked<'a> {
    no: RunNo,
    id: u128,
    life: u32,
    root: RunNo,
    parent: Option<Spot>,
    definition: Digest,
    name: &'a str,
    tags: &'a [String],
    attempts: u32,
    error: Option<&'a str>,
    created: Timestamp,
    parameters: Option<&'a Parameters>,
    result_json: Option<&'a str>,
    /// State and end, once it has ended. Until then they are left out, so that a run that crashed verifies when it was marked as such.
    ended: Option<(&'a str, Timestamp)>,
}

impl Checked<'_> {
    fn digest(&self) -> [u8; CHECK] {
        let mut bytes = b"flow run 2".to_vec();
        let numbers = [
            self.no.0,
            self.life.into(),
            self.root.0,
            self.attempts.into(),
            self.tags.len() as u64,
        ];
        numbers.iter().for_each(|number| put_number(&mut bytes, *number));
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(&self.definition);
        put_signed(&mut bytes, self.created.0);
        self.tags
            .iter()
            .for_each(|tag| put_bytes(&mut bytes, tag.as_bytes()));
        let parent = self.parent.map(spot_to_bytes);
        let (stored, json) = match self.parameters {
            Some(parameters) => (Some(&*parameters.bytes), parameters.json.as_deref()),
            None => (None, None),
        };
        let (state, ended) = self.ended.unzip();
        if let Some(ended) = ended {
            put_signed(&mut bytes, ended.0);
        }
        let texts = [self.error, json, self.result_json, state];
        let texts = texts.map(|text| text.map(str::as_bytes));
        for part in [Some(self.name.as_bytes()), parent.as_deref(), stored]
            .into_iter()
            .chain(texts)
        {
            bytes.push(part.is_some().into());
            put_bytes(&mut bytes, part.unwrap_or_default());
        }
        short(&bytes)
    }
}

/// The digest of a row that is written, whose definition has this one.
pub(super) fn digest(row: &FlowRow, definition: Digest) -> [u8; CHECK] {
    let checked = Checked {
        no: row.no,
        id: row.id,
        life: row.life,
        root: row.root,
        parent: row.parent,
        definition,
        name: &row.name,
        tags: &row.tags,
        attempts: row.attempts,
        error: row.error.as_deref(),
        created: row.created,
        parameters: row.parameters.as_deref(),
        result_json: row.result_json.as_deref(),
        ended: row.ended.map(|ended| (row.state, ended)),
    };
    checked.digest()
}

/// Whether a row that was read is what was written.
fn verifies(flow: &StoredFlow, definition: Digest, digest: &[u8]) -> bool {
    let mut checked = Checked {
        no: flow.no,
        id: flow.id,
        life: flow.life,
        root: flow.root,
        parent: flow.parent,
        definition,
        name: &flow.name,
        tags: &flow.tags,
        attempts: flow.attempts,
        error: flow.error.as_deref(),
        created: flow.created,
        parameters: flow.parameters.as_ref(),
        result_json: flow.result_json.as_deref(),
        ended: flow.ended.map(|ended| (flow.state.as_str(), ended)),
    };
    if checked.digest() == digest {
        return true;
    }
    checked.ended = None;
    checked.digest() == digest || early_digest(flow, definition) == digest
}

/// Reads a row of a query that selected [`SELECTED`]. None if it is not what was written.
pub(super) fn read(row: &SqliteRow, dictionary: &Dictionary) -> Option<StoredFlow> {
    let number = |column: usize| row.try_get::<i64, _>(column).ok();
    let bytes = |column: usize| row.try_get::<Option<&[u8]>, _>(column).ok();
    let text = |column: usize| row.try_get::<Option<String>, _>(column).ok();
    let small = |column: usize| u32::try_from(number(column)?).ok();
    let Belonging { no, id, life, parent } = belonging(row)?;
    let (definition, definition_digest) = dictionary.definition(number(5)?)?;
    let parameters = match bytes(14)? {
        Some(bytes) => Some(Parameters {
            json: text(13)?,
            bytes: bytes.to_vec(),
        }),
        None => None,
    };
    let flow = StoredFlow {
        no,
        id,
        life,
        root: RunNo(number(3)? as u64),
        parent,
        definition: Arc::clone(definition),
        name: text(6)??,
        tags: texts_from_bytes(bytes(7)?.unwrap_or_default())?,
        state: dictionary.word(number(8)?)?.to_owned(),
        attempts: small(9)?,
        error: text(10)?,
        created: Timestamp(number(11)?),
        ended: row.try_get::<Option<i64>, _>(12).ok()?.map(Timestamp),
        parameters,
        result_json: text(15)?,
    };
    verifies(&flow, definition_digest, bytes(16)??).then_some(flow)
}

/// Where a row of a query that selected [`SELECTED`] belongs, whether or not it is what was written.
pub(super) fn belonging(row: &SqliteRow) -> Option<Belonging> {
    Some(Belonging {
        no: RunNo(row.try_get::<i64, _>(0).ok()? as u64),
        id: u128::from_be_bytes(row.try_get::<&[u8], _>(1).ok()?.try_into().ok()?),
        life: row.try_get(2).ok()?,
        parent: match row.try_get::<Option<&[u8]>, _>(4).ok()? {
            Some(bytes) => Some(spot_from_bytes(bytes)?),
            None => None,
        },
    })
}
