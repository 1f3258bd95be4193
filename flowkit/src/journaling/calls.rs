//! Which call of its caller a run is: the same in every life of a flow run, since it follows from what the flow's code does and not from when.
//!
//! A place is a digest of the caller's own place, the task, its code, its inputs, and the how-manieth such call of the caller it is. Calls that are
//! equal in all but the last of these are interchangeable, so it does not matter which of two concurrent ones counts first. Only fan-outs, and calls whose inputs have no key, are
//! numbered by their order: what is below them is found again where that order is the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowkit_cache::{CacheKey, KeyHasher};
use flowkit_journal::record::Digest;

use crate::definition::Definition;
use crate::job::Job;
use crate::runtime::RuntimeInner;

/// The first bytes of a key: enough to tell the calls of one flow run apart.
pub(crate) fn digest(key: &CacheKey) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&key.as_bytes()[..16]);
    digest
}

/// What is called, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called {
    /// The task and its code; also its type arguments.
    code: Digest,
    /// A digest of each input; none if one of them has no key.
    pub(crate) inputs: Option<Vec<Digest>>,
}

impl Called {
    /// A call of a task or flow, whose inputs are there.
    pub(crate) fn of(runtime: &RuntimeInner, definition: &Definition, job: &dyn Job) -> Self {
        let hasher = KeyHasher::in_parts().with_secrets(runtime.secrets());
        let parts = match job.hash_parts(hasher) {
            Ok(parts) => parts,
            Err(error) => {
                tracing::debug!(target: "flowkit", task = definition.name(), %error, "inputs without a key: a resumed flow runs this again");
                None
            }
        };
        let types = parts.as_ref().map(|(types, _)| digest(types));
        let inputs = parts.map(|(_, inputs)| inputs.iter().map(digest).collect());
        Self {
            inputs,
            ..Self::without_inputs(definition, types)
        }
    }

    /// A fan-out of a task.
    pub(crate) fn fan_out(definition: &Definition) -> Self {
        Self::without_inputs(definition, None)
    }

    fn without_inputs(definition: &Definition, types: Option<Digest>) -> Self {
        let mut code = KeyHasher::new();
        if let Some(types) = &types {
            code.bytes("types", types);
        }
        // Code whose constants refuse to be hashed is never found again.
        let _ = definition.hash_identity(&mut code);
        let code = code.finish().map_or(Digest::default(), |key| digest(&key));
        Self { code, inputs: None }
    }
}

/// The calls that one run makes, counted.
#[derive(Debug)]
pub(crate) struct Calls {
    caller: Digest,
    made: Mutex<HashMap<Digest, u32>>,
    /// Of a fan-out: the calls that it is one of.
    above: Option<Arc<Self>>,
    /// Whether the place of the caller follows from inputs, and not from the order of calls whose inputs have no key.
    is_known: bool,
    /// What it logs, counted, too.
    #[cfg(feature = "logs")]
    pub(crate) logged: super::logged::Logged,
}

impl Calls {
    /// Those of the body of a flow run without a flow above it.
    pub(crate) fn of_root(id: u128) -> Self {
        let mut hasher = KeyHasher::new();
        hasher.bytes("flow run", &id.to_be_bytes());
        Self::of(hasher.finish().map_or(Digest::default(), |key| digest(&key)))
    }

    /// Those of the run at `place`.
    pub(crate) fn of(place: Digest) -> Self {
        Self {
            caller: place,
            made: Mutex::default(),
            above: None,
            is_known: true,
            #[cfg(feature = "logs")]
            logged: super::logged::Logged::default(),
        }
    }

    /// Those of a fan-out at `place`, which are its items.
    pub(crate) fn of_fan_out(place: Digest, above: &Arc<Self>) -> Self {
        Self {
            above: Some(Arc::clone(above)),
            is_known: above.is_known,
            ..Self::of(place)
        }
    }

    /// The same, of a run that is one of `above`, and whose inputs have a key or have none.
    pub(crate) fn below(place: Digest, above: &Self, is_known: bool) -> Self {
        Self {
            is_known: is_known && above.is_known,
            ..Self::of(place)
        }
    }

    /// Whether a call has the same place in every life, whatever order things happen in.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Counts anew: another attempt of the caller makes the same calls again.
    pub(crate) fn begin_attempt(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The place of an item whose task has an effect: counted among the equal calls of whoever called the fan-out, since which fan-out and which index it is
    /// may be another next time.
    pub(crate) fn effect_item(&self, called: &Called) -> Digest {
        self.above.as_deref().unwrap_or(self).next(called)
    }

    /// The place of the run whose calls these are.
    pub(crate) fn caller(&self) -> Digest {
        self.caller
    }

    /// The place of the next such call.
    pub(crate) fn next(&self, called: &Called) -> Digest {
        let call = self.call(&called.code, called.inputs.as_deref());
        let number = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let made = made.entry(call).or_insert(0);
            *made += 1;
            *made
        };
        numbered(&call, number)
    }

    /// The place of the item at `index`, where the caller is a fan-out.
    pub(crate) fn item(&self, called: &Called, index: u32) -> Digest {
        numbered(&self.call(&called.code, called.inputs.as_deref()), index)
    }

    fn call(&self, task: &Digest, inputs: Option<&[Digest]>) -> Digest {
        let mut hasher = KeyHasher::new();
        hasher.bytes("caller", &self.caller);
        hasher.bytes("task", task);
        for input in inputs.unwrap_or_default() {
            hasher.bytes("input", input);
        }
        if inputs.is_none() {
            hasher.section("inputs", "unknown");
        }
        hasher.finish().map_or(Digest::default(), |key| digest(&key))
    }
}

fn numbered(call: &Digest, number: u32) -> Digest {
    let mut hasher = KeyHasher::new();
    hasher.bytes("call", call);
    hasher.bytes("number", &number.to_be_bytes());
    hasher.finish().map_or(Digest::default(), |key| digest(&key))
}
