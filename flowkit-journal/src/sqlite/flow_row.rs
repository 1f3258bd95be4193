//! A flow run as a row of the database, and back.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::bytes::{put_bytes, put_number, spot_from_bytes, texts_from_bytes};
use super::dictionary::Dictionary;
use crate::finished::Belonging;
use crate::record::{Parameters, RunNo, Timestamp};
use crate::store::StoredFlow;

/// What a query for flow runs selects, for [`read`].
pub(super) const SELECTED: &str = "f.no, f.id, f.life, f.root, f.parent, f.definition, f.name, f.tags, f.state, f.attempts, f.error, f.created, f.ended, \
    f.json, f.bytes, f.result_json, f.digest";

/// What makes sure that a run is resumed with the parameters that it was called with.
pub(super) fn digest(no: u64, id: u128, definition: [u8; 16], parameters: Option<&Parameters>) -> [u8; 8] {
    let mut bytes = Vec::new();
    put_number(&mut bytes, no);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&definition);
    if let Some(parameters) = parameters {
        put_bytes(&mut bytes, &parameters.bytes);
        bytes.extend_from_slice(parameters.json.as_deref().unwrap_or_default().as_bytes());
    }
    let whole = blake3::hash(&bytes);
    whole.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Reads a row of a query that selected [`SELECTED`]. None if it is not what was written.
pub(super) fn read(row: &SqliteRow, dictionary: &Dictionary) -> Option<StoredFlow> {
    let number = |column: usize| row.try_get::<i64, _>(column).ok();
    let bytes = |column: usize| row.try_get::<Option<&[u8]>, _>(column).ok();
    let text = |column: usize| row.try_get::<Option<String>, _>(column).ok();
    let small = |column: usize| u32::try_from(number(column)?).ok();
    let id = u128::from_be_bytes(bytes(1)??.try_into().ok()?);
    let (definition, definition_digest) = dictionary.definition(number(5)?)?;
    let no = RunNo(number(0)? as u64);
    let parameters = match bytes(14)? {
        Some(bytes) => Some(Parameters {
            json: text(13)?,
            bytes: bytes.to_vec(),
        }),
        None => None,
    };
    if digest(no.0, id, definition_digest, parameters.as_ref()) != bytes(16)?? {
        return None;
    }
    Some(StoredFlow {
        no,
        id,
        life: small(2)?,
        root: RunNo(number(3)? as u64),
        parent: match bytes(4)? {
            Some(bytes) => Some(spot_from_bytes(bytes)?),
            None => None,
        },
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
    })
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
