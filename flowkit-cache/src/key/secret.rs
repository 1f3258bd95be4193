//! Values that count in keys without the key telling anything of them to who does not have another key.

use super::digest::CacheKey;

/// What secrets are hashed with: a key that only those have who may know which secrets are equal.
pub trait SecretKey: Send + Sync {
    /// The key; none if there is none, and secrets cannot be part of a key.
    fn secret_key(&self) -> Option<[u8; 32]>;
}

/// A digest of a value that is given by its own key, which tells nothing of it to who does not have `key`.
pub(super) fn sealed(key: &[u8; 32], value: &CacheKey) -> [u8; 32] {
    blake3::keyed_hash(key, value.as_bytes()).into()
}
