//! A task run as a row of the database, and back: what no query asks for is packed into its body, which ends with a digest over all of the
//! row. A row that does not verify is not there.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::bytes::{Input, put_bytes, put_number, put_signed, put_spot, texts_from_bytes, texts_to_bytes};
use super::dictionary::{Dictionary, hash_of};
use super::objects::Name;
use crate::record::{DefinitionRow, Digest, Effect, NodeKind, RunNo, Spot, TaskRow, Timestamp};
use crate::store::StoredTask;

/// The moment from which times are counted, in microseconds since 1970: 2028. Within four years of it a time takes six bytes.
pub(super) const EPOCH: i64 = 1_830_297_600_000_000;

/// What a query for task runs selects, for [`read`].
pub(super) const SELECTED: &str = "t.run, t.node, t.item, t.definition, t.state, t.created, t.ended, t.kind, t.effect, t.name, t.error, \
    t.uncached, t.result, t.body, \
    (SELECT digest FROM objects WHERE id = t.object), \
    (SELECT text FROM texts WHERE run = t.run AND hash = t.name), \
    (SELECT text FROM texts WHERE run = t.run AND hash = t.error), \
    (SELECT text FROM texts WHERE run = t.run AND hash = t.uncached)";

const STARTED: u64 = 1;
const PLACE: u64 = 2;
const PARENT: u64 = 4;
const TAGS: u64 = 8;
const CACHE_KEY: u64 = 16;
const ORIGIN: u64 = 32;

/// How many bytes of BLAKE3 a body ends with.
const CHECK: usize = 8;

/// Where the result of a task run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Nowhere,
    Here(Vec<u8>),
    Object(Name),
}

pub(super) fn item_number(item: Option<u32>) -> i64 {
    item.map_or(0, |item| i64::from(item) + 1)
}

pub(super) fn spot_of(run: i64, node: i64, item: i64) -> Option<Spot> {
    Some(Spot {
        run: RunNo(run as u64),
        node: u32::try_from(node).ok()?,
        item: match item {
            0 => None,
            next => Some(u32::try_from(next - 1).ok()?),
        },
    })
}

pub(super) fn kind_number(kind: NodeKind) -> i64 {
    match kind {
        NodeKind::Task => 0,
        NodeKind::FanOut => 1,
        NodeKind::Subflow => 2,
    }
}

pub(super) fn effect_number(effect: Effect) -> i64 {
    match effect {
        Effect::None => 0,
        Effect::Intended => 1,
        Effect::Happened => 2,
        Effect::Failed => 3,
        Effect::Undoing => 4,
    }
}

fn kind_of(number: i64) -> Option<NodeKind> {
    let kinds = [NodeKind::Task, NodeKind::FanOut, NodeKind::Subflow];
    kinds.into_iter().find(|kind| kind_number(*kind) == number)
}

fn effect_of(number: i64) -> Option<Effect> {
    let effects = [
        Effect::None,
        Effect::Intended,
        Effect::Happened,
        Effect::Failed,
        Effect::Undoing,
    ];
    effects
        .into_iter()
        .find(|effect| effect_number(*effect) == number)
}

/// What calls a task run if nothing else is said: an item's fan-out, and otherwise the flow's body.
fn usual_parent(spot: Spot) -> Option<Spot> {
    spot.item.map(|_| Spot { item: None, ..spot })
}

/// The body, without its digest.
pub(super) fn body(row: &TaskRow) -> Vec<u8> {
    let mut flags = 0;
    let mut flag = |is_there: bool, flag| flags |= if is_there { flag } else { 0 };
    flag(row.started.is_some(), STARTED);
    flag(row.place.is_some(), PLACE);
    flag(row.parent != usual_parent(row.spot), PARENT);
    flag(!row.tags.is_empty(), TAGS);
    flag(row.cache_key.is_some(), CACHE_KEY);
    flag(row.origin.is_some(), ORIGIN);
    let mut bytes = Vec::with_capacity(48);
    put_number(&mut bytes, flags);
    put_number(&mut bytes, row.attempts.into());
    put_number(&mut bytes, row.inputs.len() as u64);
    row.inputs.iter().for_each(|input| bytes.extend_from_slice(input));
    if let Some(started) = row.started {
        put_signed(&mut bytes, started.0.wrapping_sub(row.created.0));
    }
    bytes.extend(row.place.iter().flatten());
    if flags & PARENT != 0 {
        bytes.push(row.parent.is_some().into());
        if let Some(parent) = row.parent {
            put_spot(&mut bytes, parent);
        }
    }
    if flags & TAGS != 0 {
        put_bytes(&mut bytes, &texts_to_bytes(&row.tags));
    }
    bytes.extend(row.cache_key.iter().flatten());
    if let Some(origin) = &row.origin {
        put_bytes(&mut bytes, origin.as_bytes());
    }
    bytes
}

/// What is in a body.
struct Body {
    attempts: u32,
    inputs: Vec<Digest>,
    started: Option<Timestamp>,
    place: Option<Digest>,
    parent: Option<Spot>,
    tags: Vec<String>,
    cache_key: Option<[u8; 32]>,
    origin: Option<String>,
}

fn unpack(bytes: &[u8], spot: Spot, created: Timestamp) -> Option<Body> {
    let mut input = Input(bytes);
    let flags = input.number()?;
    let has = |flag: u64| flags & flag != 0;
    let attempts = u32::try_from(input.number()?).ok()?;
    let count = input.number()?;
    let inputs = (0..count)
        .map(|_| input.array())
        .collect::<Option<Vec<Digest>>>()?;
    let started = match has(STARTED) {
        true => Some(Timestamp(created.0.wrapping_add(input.signed()?))),
        false => None,
    };
    let place = if has(PLACE) { Some(input.array()?) } else { None };
    let parent = match has(PARENT) {
        true if input.byte()? == 0 => None,
        true => Some(input.spot()?),
        false => usual_parent(spot),
    };
    let tags = match has(TAGS) {
        true => {
            let length = usize::try_from(input.number()?).ok()?;
            texts_from_bytes(input.take(length)?)?
        }
        false => Vec::new(),
    };
    let cache_key = if has(CACHE_KEY) {
        Some(input.array()?)
    } else {
        None
    };
    let origin = if has(ORIGIN) { Some(input.text()?) } else { None };
    input.0.is_empty().then_some(Body {
        attempts,
        inputs,
        started,
        place,
        parent,
        tags,
        cache_key,
        origin,
    })
}

/// What a digest is over, beside the body.
#[derive(Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) spot: Spot,
    /// The digest of the definition.
    pub(super) definition: Digest,
    /// State and end, once it has ended. Until then they are left out, so that a run that crashed verifies when it was marked as such.
    pub(super) ended: Option<(&'a str, i64)>,
    pub(super) created: i64,
    pub(super) kind: i64,
    pub(super) effect: i64,
    pub(super) texts: [Option<i64>; 3],
    pub(super) kept: &'a Kept,
}

impl Checked<'_> {
    pub(super) fn digest(&self, body: &[u8]) -> [u8; CHECK] {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&self.definition);
        put_spot(&mut bytes, self.spot);
        for number in [self.created, self.kind, self.effect] {
            put_signed(&mut bytes, number);
        }
        for hash in self.texts {
            bytes.push(hash.is_some().into());
            bytes.extend(hash.iter().flat_map(|hash| hash.to_le_bytes()));
        }
        if let Some((state, ended)) = self.ended {
            put_bytes(&mut bytes, state.as_bytes());
            put_signed(&mut bytes, ended);
        } else {
            bytes.push(0);
        }
        put_bytes(&mut bytes, body);
        match self.kept {
            Kept::Nowhere => bytes.push(0),
            Kept::Here(result) => {
                bytes.push(1);
                bytes.extend_from_slice(result);
            }
            Kept::Object(name) => {
                bytes.push(2);
                bytes.extend_from_slice(name);
            }
        }
        let whole = blake3::hash(&bytes);
        whole.as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

/// A row that was read.
pub(super) struct Read {
    pub(super) task: StoredTask,
    pub(super) kept: Kept,
}

/// What is in the columns of a row of a query that selected [`SELECTED`], and its body, if that is what was written.
fn verified<'a>(
    row: &'a SqliteRow,
    dictionary: &'a Dictionary,
    kept: &'a Kept,
) -> Option<(Columns<'a>, &'a [u8])> {
    let number = |column: usize| row.try_get::<i64, _>(column).ok();
    let maybe = |column: usize| row.try_get::<Option<i64>, _>(column).ok();
    let (definition, definition_digest) = dictionary.definition(number(3)?)?;
    let columns = Columns {
        definition,
        state: dictionary.word(number(4)?)?,
        ended: maybe(6)?,
        checked: Checked {
            spot: spot_of(number(0)?, number(1)?, number(2)?)?,
            definition: definition_digest,
            ended: None,
            created: number(5)?,
            kind: number(7)?,
            effect: number(8)?,
            texts: [maybe(9)?, maybe(10)?, maybe(11)?],
            kept,
        },
    };
    let bytes: &[u8] = row.try_get(13).ok()?;
    let (packed, digest) = bytes.split_last_chunk::<CHECK>()?;
    let verifies = columns.as_ended().digest(packed) == *digest || columns.checked.digest(packed) == *digest;
    verifies.then_some((columns, packed))
}

/// The columns of a row.
struct Columns<'a> {
    definition: &'a Arc<DefinitionRow>,
    state: &'a str,
    ended: Option<i64>,
    /// What the digest is over, as if the run had not ended.
    checked: Checked<'a>,
}

impl<'a> Columns<'a> {
    /// What the digest is over.
    fn as_ended(&self) -> Checked<'a> {
        Checked {
            ended: self.ended.map(|ended| (self.state, ended)),
            ..self.checked
        }
    }
}

/// Reads a row of a query that selected [`SELECTED`]. None if it is not what was written.
pub(super) fn read(row: &SqliteRow, dictionary: &Dictionary) -> Option<Read> {
    let text = |column: usize| row.try_get::<Option<String>, _>(column).ok();
    let kept = kept(row)?;
    let (columns, packed) = verified(row, dictionary, &kept)?;
    let texts = [text(15)?, text(16)?, text(17)?];
    if texts.each_ref().map(|text| text.as_deref().map(hash_of)) != columns.checked.texts {
        return None;
    }
    let [name, error, uncached] = texts;
    let Checked { spot, created, .. } = columns.checked;
    let created = Timestamp(created.wrapping_add(EPOCH));
    let unpacked = unpack(packed, spot, created)?;
    let task = StoredTask {
        spot,
        parent: unpacked.parent,
        kind: kind_of(columns.checked.kind)?,
        definition: Arc::clone(columns.definition),
        name,
        tags: unpacked.tags,
        state: columns.state.to_owned(),
        attempts: unpacked.attempts,
        error,
        created,
        started: unpacked.started,
        ended: columns
            .ended
            .map(|ended| Timestamp(created.0.wrapping_add(ended))),
        place: unpacked.place,
        inputs: unpacked.inputs,
        cache_key: unpacked.cache_key,
        origin: unpacked.origin,
        uncached,
        effect: effect_of(columns.checked.effect)?,
        has_result: kept != Kept::Nowhere,
    };
    Some(Read { task, kept })
}

fn kept(row: &SqliteRow) -> Option<Kept> {
    let here: Option<Vec<u8>> = row.try_get(12).ok()?;
    let object: Option<&[u8]> = row.try_get(14).ok()?;
    Some(match (here, object) {
        (Some(result), _) => Kept::Here(result),
        (None, Some(name)) => Kept::Object(name.try_into().ok()?),
        (None, None) => Kept::Nowhere,
    })
}

/// The body of a row that was read, as it is without a result. None if the row is not what was written.
pub(super) fn without_result(row: &SqliteRow, dictionary: &Dictionary) -> Option<Vec<u8>> {
    let kept = kept(row)?;
    let (columns, packed) = verified(row, dictionary, &kept)?;
    let stripped = Checked {
        kept: &Kept::Nowhere,
        ..columns.as_ended()
    };
    Some([packed, &stripped.digest(packed)].concat())
}
