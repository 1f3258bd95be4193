//! What an attribute asks for beside the body: plain functions over the inputs and the output.

use flowkit_cache::{KeyError, KeyHasher};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key_probe::{Codec, ToJson};
use crate::parameters::Shown;

pub(super) type RunName<I> = fn(&I) -> Option<String>;
pub(super) type HashInputs<I> = fn(&I, &mut KeyHasher) -> Result<bool, KeyError>;
pub(super) type ShowInputs<I> = fn(&I) -> Shown;

/// What an attribute asks for beside the body: plain functions over the inputs and the output.
pub struct Shim<I, T> {
    pub(super) run_name: Option<RunName<I>>,
    pub(super) key: Option<HashInputs<I>>,
    pub(super) codec: Option<Codec<T>>,
    pub(super) show_inputs: Option<ShowInputs<I>>,
    pub(super) show_output: Option<ToJson<T>>,
    pub(super) all_inputs: Option<HashInputs<I>>,
    pub(super) clone: Option<fn(&T) -> T>,
    pub(super) repeatable: bool,
    pub(super) kept: bool,
}

impl<I, T> std::fmt::Debug for Shim<I, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Shim")
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}

impl<I, T> Default for Shim<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I, T> Shim<I, T> {
    /// Asks for nothing.
    pub const fn new() -> Self {
        Self {
            run_name: None,
            key: None,
            codec: None,
            show_inputs: None,
            show_output: None,
            all_inputs: None,
            clone: None,
            repeatable: true,
            kept: true,
        }
    }

    /// The run is named after its inputs.
    pub const fn run_name(mut self, name: RunName<I>) -> Self {
        self.run_name = Some(name);
        self
    }

    /// The inputs make a key.
    pub const fn key(mut self, key: HashInputs<I>) -> Self {
        self.key = Some(key);
        self
    }

    /// How all inputs make a key and the output is cloned, if they can be: what a flow's retry need not run again.
    pub const fn memo(mut self, all_inputs: HashInputs<I>, clone: Option<fn(&T) -> T>) -> Self {
        self.all_inputs = Some(all_inputs);
        self.clone = clone;
        self
    }

    /// The output can be stored.
    pub const fn restorable(mut self) -> Self
    where
        T: Serialize + DeserializeOwned,
    {
        self.codec = Some(Codec::NEW);
        self
    }

    /// How the output is stored, if it can be.
    pub const fn codec(mut self, codec: Option<Codec<T>>) -> Self {
        self.codec = codec;
        self
    }

    /// How the inputs are written down, so that the flow can be run again with them.
    pub const fn show_inputs(mut self, show: ShowInputs<I>) -> Self {
        self.show_inputs = Some(show);
        self
    }

    /// The output is not kept for later lives of its flow run.
    pub const fn unkept(mut self) -> Self {
        self.kept = false;
        self
    }

    /// How the output is shown, if it can be.
    pub const fn show_output(mut self, show: Option<ToJson<T>>) -> Self {
        self.show_output = show;
        self
    }

    /// Whether the inputs can be given to more than one attempt.
    pub const fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }
}
