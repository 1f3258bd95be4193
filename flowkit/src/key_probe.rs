//! What a type can do, asked without a bound: the compiler picks the more specific of two methods.
//!
//! `(&Probe::<T>).clone_fn()` finds [`CloneYes`] first, which exists only where `T: Clone`; otherwise one more reference is
//! taken and [`CloneNo`] is found. See "autoref specialization".

use std::marker::PhantomData;

use flowkit_cache::{KeyError, KeyHasher, codec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::secret::{SHOWN, Secret};

/// Stands for a type.
pub struct Probe<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> std::fmt::Debug for Probe<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Probe")
    }
}

impl<T> Probe<T> {
    /// The probe of a type.
    pub const NEW: Self = Self(PhantomData);

    /// The probe of a value's type, which need not be named.
    #[must_use]
    pub fn of(self, _value: &T) -> Self {
        self
    }
}

/// Stands for a type that borrows, of which nothing is asked: whether it can be restored depends on for how long, and then the compiler does not pick
/// a method but gives up.
pub struct NoProbe<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> std::fmt::Debug for NoProbe<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NoProbe")
    }
}

impl<T> NoProbe<T> {
    /// The probe that is none.
    pub const NEW: Self = Self(PhantomData);

    /// It is not stored.
    pub fn codec(&self) -> Option<Codec<T>> {
        None
    }

    /// It is not shown.
    pub fn to_json(&self) -> Option<ToJson<T>> {
        None
    }

    /// Nothing is known of its form.
    #[cfg(feature = "cli")]
    pub fn schema(&self) -> Option<SchemaOf> {
        None
    }

    /// It is not read.
    pub fn json_reader(&self) -> Option<FromJson<T>> {
        None
    }
}

/// The type is `Clone`.
pub trait CloneYes<T> {
    /// How it is cloned.
    fn clone_fn(&self) -> Option<fn(&T) -> T>;
}

impl<T: Clone> CloneYes<T> for Probe<T> {
    fn clone_fn(&self) -> Option<fn(&T) -> T> {
        Some(T::clone)
    }
}

/// The type is not known to be `Clone`.
pub trait CloneNo<T> {
    /// It is not.
    fn clone_fn(&self) -> Option<fn(&T) -> T>;
}

impl<T> CloneNo<T> for &Probe<T> {
    fn clone_fn(&self) -> Option<fn(&T) -> T> {
        None
    }
}

/// How a value is added to a key, with the name of its parameter.
pub(crate) type HashFn<T> = fn(&T, &str, &mut KeyHasher) -> Result<(), KeyError>;

/// What can be part of a key: whatever serializes, and secrets.
pub trait KeyInput {
    /// Adds it, with the name of its parameter.
    ///
    /// # Errors
    /// When it refuses to be serialized.
    fn add_to_key(&self, name: &str, hasher: &mut KeyHasher) -> Result<(), KeyError>;
}

impl<T: Serialize + ?Sized> KeyInput for T {
    fn add_to_key(&self, name: &str, hasher: &mut KeyHasher) -> Result<(), KeyError> {
        hasher.value(name, self)
    }
}

/// The type can be part of a key.
pub trait HashYes<T> {
    /// How it is added to a key.
    fn hash_fn(&self) -> Option<HashFn<T>>;
}

impl<T: KeyInput> HashYes<T> for Probe<T> {
    fn hash_fn(&self) -> Option<HashFn<T>> {
        Some(T::add_to_key)
    }
}

/// The type is not known to be one that can.
pub trait HashNo<T> {
    /// It has no key.
    fn hash_fn(&self) -> Option<HashFn<T>>;
}

impl<T> HashNo<T> for &Probe<T> {
    fn hash_fn(&self) -> Option<HashFn<T>> {
        None
    }
}

/// How a value is stored, and restored.
pub struct Codec<T> {
    pub(crate) encode: fn(&T) -> Result<Vec<u8>, BoxError>,
    pub(crate) decode: fn(&[u8]) -> Result<T, BoxError>,
    pub(crate) from_json: FromJson<T>,
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

impl<T> std::fmt::Debug for Codec<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Codec")
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> {
    pub(crate) const NEW: Self = Self {
        encode: |value| codec::encode(value).map_err(Into::into),
        decode: |bytes| codec::decode(bytes).map_err(Into::into),
        from_json: |value| serde_json::from_value(value).map_err(Into::into),
    };
}

/// The type can be stored and restored.
pub trait CodecYes<T> {
    /// How.
    fn codec(&self) -> Option<Codec<T>>;
}

impl<T: Serialize + DeserializeOwned> CodecYes<T> for Probe<T> {
    fn codec(&self) -> Option<Codec<T>> {
        Some(Codec::NEW)
    }
}

/// The type is not known to be both `Serialize` and `Deserialize`.
pub trait CodecNo<T> {
    /// It cannot be.
    fn codec(&self) -> Option<Codec<T>>;
}

impl<T> CodecNo<T> for &Probe<T> {
    fn codec(&self) -> Option<Codec<T>> {
        None
    }
}

/// How a value is shown as JSON.
pub(crate) type ToJson<T> = fn(&T) -> Result<serde_json::Value, BoxError>;

impl<T> Probe<Secret<T>> {
    /// A secret is shown as what stands for one: a method of the type's own comes before those of the traits.
    pub fn to_json(&self) -> Option<ToJson<Secret<T>>> {
        Some(|_| Ok(SHOWN.into()))
    }
}

impl<T> Probe<Secret<T>> {
    /// A secret is one.
    pub const fn is_secret(&self) -> bool {
        true
    }
}

/// The type is not known to be a secret.
pub trait SecretNo {
    /// It is none.
    fn is_secret(&self) -> bool {
        false
    }
}

impl<T> SecretNo for Probe<T> {}
impl<T> SecretNo for NoProbe<T> {}

/// The type has a JSON form.
pub trait JsonYes<T> {
    /// How it is made.
    fn to_json(&self) -> Option<ToJson<T>>;
}

impl<T: Serialize> JsonYes<T> for Probe<T> {
    fn to_json(&self) -> Option<ToJson<T>> {
        Some(|value| serde_json::to_value(value).map_err(Into::into))
    }
}

/// The type is not known to have one.
pub trait JsonNo<T> {
    /// It has none.
    fn to_json(&self) -> Option<ToJson<T>>;
}

impl<T> JsonNo<T> for &Probe<T> {
    fn to_json(&self) -> Option<ToJson<T>> {
        None
    }
}

/// How a value is read from JSON.
pub(crate) type FromJson<T> = fn(serde_json::Value) -> Result<T, BoxError>;

/// The type can be read from JSON.
pub trait FromJsonYes<T> {
    /// How.
    fn json_reader(&self) -> Option<FromJson<T>>;
}

impl<T: DeserializeOwned> FromJsonYes<T> for Probe<T> {
    fn json_reader(&self) -> Option<FromJson<T>> {
        Some(|value| serde_json::from_value(value).map_err(Into::into))
    }
}

/// The type is not known to be `Deserialize`.
pub trait FromJsonNo<T> {
    /// It cannot be.
    fn json_reader(&self) -> Option<FromJson<T>>;
}

impl<T> FromJsonNo<T> for &Probe<T> {
    fn json_reader(&self) -> Option<FromJson<T>> {
        None
    }
}

/// How the JSON schema of a type is made. Without the feature `cli` there is none.
#[cfg(feature = "cli")]
pub(crate) type SchemaOf = fn(&mut schemars::SchemaGenerator) -> schemars::Schema;
/// How the JSON schema of a type is made. Without the feature `cli` there is none.
#[cfg(all(feature = "journal", not(feature = "cli")))]
pub(crate) type SchemaOf = std::convert::Infallible;

/// The type says which form its JSON has.
#[cfg(feature = "cli")]
pub trait SchemaYes<T> {
    /// How its schema is made.
    fn schema(&self) -> Option<SchemaOf>;
}

#[cfg(feature = "cli")]
impl<T: schemars::JsonSchema> SchemaYes<T> for Probe<T> {
    fn schema(&self) -> Option<SchemaOf> {
        Some(schemars::SchemaGenerator::subschema_for::<T>)
    }
}

/// The type does not say it.
#[cfg(feature = "cli")]
pub trait SchemaNo<T> {
    /// It has no schema.
    fn schema(&self) -> Option<SchemaOf>;
}

#[cfg(feature = "cli")]
impl<T> SchemaNo<T> for &Probe<T> {
    fn schema(&self) -> Option<SchemaOf> {
        None
    }
}

/// A `cache_key` that may say not to cache.
pub trait KeyYes<T> {
    /// Adds the key, if there is one.
    ///
    /// # Errors
    /// When it refuses to be serialized.
    fn hash_key(&self, value: &T, hasher: &mut KeyHasher) -> Result<bool, KeyError>;
}

impl<K: Serialize> KeyYes<Option<K>> for Probe<Option<K>> {
    fn hash_key(&self, value: &Option<K>, hasher: &mut KeyHasher) -> Result<bool, KeyError> {
        match value {
            Some(key) => hasher.value("cache_key", key).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Any other `cache_key`.
pub trait KeyNo<T> {
    /// Adds the key.
    ///
    /// # Errors
    /// When it refuses to be serialized.
    fn hash_key(&self, value: &T, hasher: &mut KeyHasher) -> Result<bool, KeyError>;
}

impl<K: Serialize> KeyNo<K> for &Probe<K> {
    fn hash_key(&self, value: &K, hasher: &mut KeyHasher) -> Result<bool, KeyError> {
        hasher.value("cache_key", value).map(|()| true)
    }
}
