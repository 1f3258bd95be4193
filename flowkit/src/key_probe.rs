//! What a type can do, asked without a bound: the compiler picks the more specific of two methods.
//!
//! `(&Probe::<T>).clone_fn()` finds [`CloneYes`] first, which exists only where `T: Clone`; otherwise one more reference is
//! taken and [`CloneNo`] is found. See "autoref specialization".

use std::marker::PhantomData;

use flowkit_cache::{KeyError, KeyHasher};
use serde::Serialize;

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

/// The type is `Serialize`.
pub trait HashYes<T> {
    /// How it is added to a key.
    fn hash_fn(&self) -> Option<HashFn<T>>;
}

impl<T: Serialize> HashYes<T> for Probe<T> {
    fn hash_fn(&self) -> Option<HashFn<T>> {
        Some(|value, name, hasher| hasher.value(name, value))
    }
}

/// The type is not known to be `Serialize`.
pub trait HashNo<T> {
    /// It has no key.
    fn hash_fn(&self) -> Option<HashFn<T>>;
}

impl<T> HashNo<T> for &Probe<T> {
    fn hash_fn(&self) -> Option<HashFn<T>> {
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
