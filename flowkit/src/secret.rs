//! Values that are never shown and never written down.

use std::fmt;

use flowkit_cache::{KeyError, KeyHasher};
use serde::{Deserialize, Deserializer, Serialize};

use crate::key_probe::KeyInput;

/// What stands in place of a secret wherever one would be shown.
pub(crate) const SHOWN: &str = "[secret]";

/// A value that is never shown and never written down: a password, a token, a connection string.
///
/// It prints as `[secret]`, and does not implement `Serialize`: nothing that holds one is written to a cache or a journal. A task that returns one
/// is run again when its flow is resumed, and cannot be cached. A flow that takes one has its other parameters shown in the journal and this one
/// as `[secret]`; it is resumed with [`Runtime::resume_call`](crate::Runtime::resume_call), which is given the parameters again.
///
/// As a parameter it counts like any other in the keys of cached tasks and for the place of a call: through a hash with a random key, which lies in the
/// file `secret.key` of the runtime's data directory, readable only by its owner. Within one data directory equal secrets so have equal keys, and to who
/// has not this file, the keys tell nothing. Runtimes without a data directory use a key of the process: what such a one keeps in a store of
/// its own under a secret, no other process finds.
///
/// A secret inside of another type has no key, since what is around it would have to be `Serialize`: one that may be missing is a `Secret<Option<T>>`,
/// and several are a `Secret<Vec<T>>`.
///
/// What the program itself does with [`expose_secret`](Self::expose_secret), it does: a log line or an error that the exposed value is written into has it.
/// The memory is not wiped. A type that wipes itself can be inside.
///
/// ```
/// use flowkit::Secret;
/// use flowkit::prelude::*;
///
/// #[task(cache)]
/// async fn balance(account: u32, token: &Secret<String>) -> Result<u32> {
///     assert_eq!(format!("{token}"), "[secret]");
///     Ok(account + token.expose_secret().len() as u32)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # Runtime::builder().build().await?.scope(async {
/// let token = Secret::new("hunter2".to_owned());
/// assert_eq!(balance(35u32, &token).await?, 42);
/// # Ok(()) }).await
/// # }
/// ```
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// This value, as a secret.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. The name is to be found where a program is read for places that could leak it.
    pub const fn expose_secret(&self) -> &T {
        &self.0
    }

    /// The value, which is no secret any more.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SHOWN)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SHOWN)
    }
}

/// It can be read, from settings or a command line.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reason of a refusal may quote what it read.
        match T::deserialize(deserializer) {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(serde::de::Error::custom("it is not what the secret is to be")),
        }
    }
}

impl<T: Serialize> KeyInput for Secret<T> {
    fn add_to_key(&self, name: &str, hasher: &mut KeyHasher) -> Result<(), KeyError> {
        hasher.secret(name, &self.0)
    }
}
