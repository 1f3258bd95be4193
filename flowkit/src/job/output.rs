//! The value of a call with what its attribute and its type say of it. There is one of these for each type, not for each task.

use std::any::Any;
use std::sync::Arc;

use crate::engine::memo::Value;
use crate::error::BoxError;
use crate::key_probe::{Codec, ToJson};

/// A value of any type. What runs the user's code may panic, which is for the caller to catch.
pub(crate) trait AnyOutput {
    fn as_any(&mut self) -> &mut dyn Any;
    /// See [`show_output`](super::Job::show_output).
    fn show(&self) -> Option<String>;
    /// See [`is_storable`](super::Job::is_storable).
    fn is_storable(&self) -> bool;
    /// See [`remember`](super::Job::remember).
    fn remember(&self) -> Option<Value>;
    /// See [`recall`](super::Job::recall).
    fn recall(&mut self, value: &Value) -> bool;
    /// See [`encode`](super::Job::encode).
    fn encode(&self) -> Result<Vec<u8>, BoxError>;
    /// See [`decode`](super::Job::decode).
    fn decode(&mut self, bytes: &[u8]) -> Result<(), BoxError>;
    /// See [`read_json`](super::Job::read_json).
    fn read_json(&mut self, value: serde_json::Value) -> Result<(), BoxError>;
}

pub(super) struct Output<T> {
    pub(super) value: Option<T>,
    pub(super) codec: Option<Codec<T>>,
    pub(super) show: Option<ToJson<T>>,
    pub(super) clone: Option<fn(&T) -> T>,
}

impl<T: Send + Sync + 'static> AnyOutput for Output<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn show(&self) -> Option<String> {
        let (show, value) = (self.show?, self.value.as_ref()?);
        Some(show(value).ok()?.to_string())
    }

    fn is_storable(&self) -> bool {
        self.codec.is_some()
    }

    fn remember(&self) -> Option<Value> {
        let (clone, value) = (self.clone?, self.value.as_ref()?);
        Some(Arc::new(clone(value)))
    }

    fn recall(&mut self, value: &Value) -> bool {
        let (Some(clone), Some(value)) = (self.clone, value.downcast_ref::<T>()) else {
            return false;
        };
        self.value = Some(clone(value));
        true
    }

    fn encode(&self) -> Result<Vec<u8>, BoxError> {
        match (&self.codec, &self.value) {
            (Some(codec), Some(value)) => (codec.encode)(value),
            _ => Err("there is nothing to encode".into()),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        let codec = self.codec.as_ref().ok_or(NOT_RESTORED)?;
        self.value = Some((codec.decode)(bytes)?);
        Ok(())
    }

    fn read_json(&mut self, value: serde_json::Value) -> Result<(), BoxError> {
        let codec = self.codec.as_ref().ok_or(NOT_RESTORED)?;
        self.value = Some((codec.from_json)(value)?);
        Ok(())
    }
}

const NOT_RESTORED: &str = "the output cannot be restored";
