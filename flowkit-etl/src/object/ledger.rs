//! Which loads a bucket's part has: one object, replaced by each load on the condition that nobody else replaced it.

use std::collections::BTreeSet;

use object_store::{ObjectStoreExt as _, PutMode, PutOptions, UpdateVersion};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::object::Bucket;
use crate::object::failure::is_without_bucket;
use crate::sink::LoadId;
use crate::sink::ledger::{Ledger, LoadRecord};

/// The object.
const NAME: &str = "_loads.json";
/// The version of its form.
const VERSION: u32 = 1;

/// Which ledger was read; none, if there was none.
pub(crate) type Version = Option<UpdateVersion>;

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    loads: Vec<LoadRecord>,
    superseded: BTreeSet<LoadId>,
}

/// What there is.
pub(crate) async fn read(bucket: &Bucket) -> Result<(Ledger, Version)> {
    let got = match bucket.store().get(&bucket.path(NAME)?).await {
        Err(error @ object_store::Error::NotFound { .. }) if !is_without_bucket(&error) => {
            return Ok((Ledger::default(), None));
        }
        got => got.map_err(|error| bucket.failed("read the ledger of", &bucket.to_string(), &error))?,
    };
    let version = UpdateVersion {
        e_tag: got.meta.e_tag.clone(),
        version: got.meta.version.clone(),
    };
    let bytes = got
        .bytes()
        .await
        .map_err(|error| bucket.failed("read the ledger of", &bucket.to_string(), &error))?;
    let unknown = || {
        Error::new(
            ErrorKind::Format,
            format!("the ledger {bucket}/{NAME} cannot be read: it may be of a newer version"),
        )
    };
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| unknown().because(error))?;
    if written.version != VERSION {
        return Err(unknown());
    }
    let ledger = Ledger {
        loads: written.loads,
        superseded: written.superseded,
    };
    Ok((ledger, Some(version)))
}

/// Puts a ledger in place of the one that was read. That somebody else was first is [`ErrorKind::Conflict`].
pub(crate) async fn commit(bucket: &Bucket, ledger: Ledger, version: Version) -> Result<()> {
    let written = Written {
        version: VERSION,
        loads: ledger.loads,
        superseded: ledger.superseded,
    };
    let text = serde_json::to_vec(&written)
        .map_err(|error| Error::new(ErrorKind::Format, "the ledger cannot be written").because(error))?;
    let options = PutOptions {
        mode: version.map_or(PutMode::Create, PutMode::Update),
        ..PutOptions::default()
    };
    let put = bucket
        .store()
        .put_opts(&bucket.path(NAME)?, text.into(), options)
        .await;
    put.map(drop)
        .map_err(|error| bucket.failed("write the ledger of", &bucket.to_string(), &error))
}
