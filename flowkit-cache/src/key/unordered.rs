//! Declares a collection whose order does not count, where its type alone does not say so.
//!
//! The hash sets of the standard library, of hashbrown and of indexmap are recognised by themselves. A set of another kind, a list
//! that is meant as a set, or a type that wraps one (`#[serde(transparent)]`, `#[serde(into = …)]`, a `Serialize` written by hand) is
//! declared. The declaration reaches through `Option`s and newtypes to the sequence, and not into its elements. Other formats
//! do not notice it.
//!
//! ```
//! use serde::Serialize;
//!
//! #[derive(Serialize)]
//! struct Tags(#[serde(serialize_with = "flowkit_cache::key::unordered::serialize")] Vec<String>);
//!
//! # fn main() -> Result<(), flowkit_cache::KeyError> {
//! let ab = Tags(vec!["a".into(), "b".into()]);
//! let ba = Tags(vec!["b".into(), "a".into()]);
//! assert_eq!(flowkit_cache::key_of(&ab)?, flowkit_cache::key_of(&ba)?);
//! # Ok(())
//! # }
//! ```

use serde::{Serialize, Serializer};

/// The name by which the canonical form recognises the declaration. Other formats see a newtype, which they pass through.
pub(super) const MARK: &str = "$flowkit::unordered";

/// For `#[serde(serialize_with = …)]`.
///
/// # Errors
/// The serializer's own.
pub fn serialize<T: Serialize + ?Sized, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(MARK, value)
}
