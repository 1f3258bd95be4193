//! Object stores: S3, Google Cloud Storage, Azure, and what speaks like them.

mod bucket;
mod failure;
mod file;
mod find;
mod ledger;
mod transfer;

pub use self::bucket::Bucket;
pub use object_store;

pub(crate) use self::ledger::{commit, read};
