//! Keys: the BLAKE3 digest of values in a canonical form.
//!
//! `key(a) == key(b)` exactly when `a` and `b` are equal, type by type. What that means:
//!
//! | values | their keys |
//! |---|---|
//! | `1u8`, `1u16`, `1i8`, `1.0`, `"1"`, `'1'`, `Some(1)`, `[1]`, `vec![1]`, `(1,)`, `()`, `None` | all differ |
//! | structs, fields and variants of other names (as serde knows them) | differ |
//! | the order of the variants of an enum | does not count |
//! | maps of any kind | are their entries, whatever the order |
//! | hash sets of std, hashbrown and indexmap | are their elements, whatever the order |
//! | lists, `BTreeSet`s, any other set | count in order, unless declared [`unordered`] |
//! | floats | every NaN is the same; −0.0 differs from 0.0, since a task can tell them apart |
//! | references, `Box`, `Rc`, `Arc`, `Cow` | are what they hold |
//! | `Vec<u8>` and `serde_bytes::ByteBuf` | differ; see [`KeyHasher::value`] |
//!
//! A key depends on neither the process nor the machine nor, as long as the names of the hash sets stay, the compiler.
//!
//! **What serde skips is not in the key.** A field with `#[serde(skip)]` that changes what a task does makes for wrong hits, and so do
//! two variants of an untagged enum that look alike.

mod canonical;
mod compound;
mod digest;
mod hasher;
mod secret;
mod stream;
mod tag;
mod type_name;
pub mod unordered;

pub use digest::{CacheKey, ParseKeyError};
pub use hasher::{KeyError, KeyHasher, KeyParts, key_of};
pub use secret::SecretKey;

/// The version of the canonical form. It begins every key, so a new form means new keys and never a wrong hit.
pub const FORMAT_VERSION: u8 = 2;
