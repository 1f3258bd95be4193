//! Which call of its caller a run is: the same in every life of a flow run, since it follows from what the flow's code does and not from when.
//!
//! A place is a digest of the caller's own place, the task, its code, its inputs, and the how-manieth such call of the caller it is. Calls that are
//! equal in all but the last of these are interchangeable, so it does not matter which of two concurrent ones counts first. The items of a fan-out are calls of whoever
//! called the fan-out, counted among those of all its fan-outs of that task: which fan-out an item is of, and at which index, may be another next time. Only calls whose
//! inputs have no key are numbered by their order: what is below them is found again where that order is the same.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowkit_cache::{CacheKey, KeyHasher, KeyParts, SecretKey};
use flowkit_journal::record::Digest;

use crate::definition::Definition;
use crate::job::Job;

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
    /// Those alone, unless it takes none.
    types: Option<Digest>,
    /// A digest of each input; none if one of them has no key.
    pub(crate) inputs: Option<Vec<Digest>>,
    /// The same without the secrets among them; none if there are none.
    plain: Option<Vec<Digest>>,
}

impl Called {
    /// A call of a task or flow, whose inputs are there.
    pub(crate) fn of(secrets: Arc<dyn SecretKey>, definition: &Definition, job: &dyn Job) -> Self {
        let hasher = KeyHasher::in_parts().with_secrets(secrets);
        let parts = match job.hash_parts(hasher) {
            Ok(parts) => parts,
            Err(error) => {
                tracing::debug!(target: "flowkit", task = definition.name(), %error, "inputs without a key: another attempt or life of the flow runs this again");
                None
            }
        };
        let types = parts.as_ref().map(|parts| digest(&parts.sections));
        let types = types.filter(|types| *types != without_types());
        let (called, is_known) = Self::without_inputs(definition, types);
        // Code that is not known is never found again, whatever its inputs are.
        let parts = parts.filter(|_| is_known);
        Self {
            plain: parts.as_ref().and_then(without_secrets),
            inputs: parts.map(|parts| parts.values.iter().map(digest).collect()),
            ..called
        }
    }

    /// The inputs, secrets among them all alike.
    pub(crate) fn inputs_without_secrets(self) -> Option<Vec<Digest>> {
        self.plain.or(self.inputs)
    }

    /// A fan-out of a task.
    pub(crate) fn fan_out(definition: &Definition) -> Self {
        Self::without_inputs(definition, None).0
    }

    /// And whether its code is known: constants that count as code may refuse to be hashed. Then the task goes by its name, apart from all others.
    fn without_inputs(definition: &Definition, types: Option<Digest>) -> (Self, bool) {
        let begin = || {
            let mut code = KeyHasher::new();
            if let Some(types) = &types {
                code.bytes("types", types);
            }
            code
        };
        let mut code = begin();
        let known = definition
            .hash_identity(&mut code)
            .and_then(|()| code.finish())
            .inspect_err(|error| {
                tracing::debug!(target: "flowkit", task = definition.name(), %error, "code without a key: another attempt or life of the flow runs this again");
            });
        let code = known.as_ref().map_or_else(
            |_| {
                let mut code = begin();
                definition.hash_name(&mut code);
                code.finish().map_or(Digest::default(), |key| digest(&key))
            },
            digest,
        );
        let called = Self {
            code,
            types,
            inputs: None,
            plain: None,
        };
        (called, known.is_ok())
    }
}

/// The inputs, secrets among them all alike; none if there are no secrets.
fn without_secrets(parts: &KeyParts) -> Option<Vec<Digest>> {
    if parts.secrets.is_empty() {
        return None;
    }
    let values = parts.values.iter().enumerate();
    let plain = values.map(|(index, value)| match parts.secrets.contains(&index) {
        true => Digest::default(),
        false => digest(value),
    });
    Some(plain.collect())
}

/// The calls that one run makes, counted.
#[derive(Debug)]
pub(crate) struct Calls {
    caller: Digest,
    /// Whether the caller, or one of its callers, was given a secret.
    has_secrets: bool,
    made: Mutex<HashMap<Digest, u32>>,
    /// The items of the fan-outs among them, counted.
    items: Mutex<Counted>,
    /// Of a fan-out: the calls that it is one of.
    above: Option<Arc<Self>>,
    /// Whether the place of the caller follows from inputs, and not from the order of calls whose inputs have no key.
    is_known: bool,
    /// Whether a task that makes them, itself or by what it called, was tried before in this life: what it calls then runs again with it.
    again: bool,
    /// What it logs, counted, too.
    #[cfg(feature = "logs")]
    pub(crate) logged: super::logged::Logged,
}

impl Calls {
    /// Those of the body of a flow run without a flow above it.
    pub(crate) fn of_root(id: u128) -> Self {
        let mut hasher = KeyHasher::new();
        hasher.bytes("flow run", &id.to_be_bytes());
        let place = hasher.finish().map_or(Digest::default(), |key| digest(&key));
        Self::of(place)
    }

    /// Those of the run at `place`.
    fn of(place: Digest) -> Self {
        Self {
            caller: place,
            has_secrets: false,
            made: Mutex::default(),
            items: Mutex::default(),
            above: None,
            is_known: true,
            again: false,
            #[cfg(feature = "logs")]
            logged: super::logged::Logged::default(),
        }
    }

    /// Those of a fan-out of a task, which are its items. Their caller is all fan-outs of that task by the caller above.
    pub(crate) fn of_fan_out(definition: &Definition, above: &Arc<Self>) -> Self {
        let code = Called::fan_out(definition).code;
        let fan_outs = call(&above.caller, &code, None);
        Self {
            above: Some(Arc::clone(above)),
            has_secrets: above.has_secrets,
            is_known: above.is_known,
            again: above.again,
            ..Self::of(fan_outs)
        }
    }

    /// The same, of a run that is one of `above`.
    pub(crate) fn below(place: Digest, above: &Self, called: &Called) -> Self {
        Self {
            has_secrets: above.has_secrets_in(called),
            is_known: called.inputs.is_some() && above.is_known,
            again: above.again,
            ..Self::of(place)
        }
    }

    /// Whether the call, the caller or one of its callers was given a secret.
    pub(crate) fn has_secrets_in(&self, called: &Called) -> bool {
        self.has_secrets || called.plain.is_some()
    }

    /// Those of another attempt of a task, which makes the same calls again. What is left of the attempt before counts its own.
    pub(crate) fn again(&self) -> Self {
        Self {
            above: self.above.clone(),
            has_secrets: self.has_secrets,
            is_known: self.is_known,
            again: true,
            ..Self::of(self.caller)
        }
    }

    /// Whether they are made again: what an earlier life has of them may be why the attempt before failed.
    pub(crate) fn are_made_again(&self) -> bool {
        self.again && !cfg!(flowkit_fault = "served-in-every-attempt")
    }

    /// Whether a call has the same place in every life, whatever order things happen in.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Counts anew: another attempt of the flow makes the same calls again.
    pub(crate) fn begin_attempt(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.items.lock().unwrap_or_else(PoisonError::into_inner) = Counted::default();
    }

    /// The place of an item whose task has an effect: that of any such call of whoever called the fan-out.
    pub(crate) fn effect_item(&self, called: &Called) -> Digest {
        self.above.as_deref().unwrap_or(self).next(called)
    }

    /// The place of an item whose task has none, where the caller is its fan-outs. And whether that follows from what is known of any item, so that it need not be
    /// written down.
    pub(crate) fn item(&self, called: &Called) -> (Digest, bool) {
        let inputs = called.inputs.as_deref();
        let call = match &called.types {
            Some(types) => call(&self.caller, types, inputs),
            None => item_call(&self.caller, inputs),
        };
        let above = self
            .above
            .as_deref()
            .filter(|_| !cfg!(flowkit_fault = "items-counted-by-fan-out"));
        let number = above
            .unwrap_or(self)
            .items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(&call);
        let follows = number == 1 && called.types.is_none() && inputs.is_some();
        (numbered(&call, number), follows)
    }

    /// The place of the run whose calls these are; of a fan-out, what its row has for one.
    pub(crate) fn caller(&self) -> Digest {
        self.caller
    }

    /// The place of the next such call.
    pub(crate) fn next(&self, called: &Called) -> Digest {
        let call = call(&self.caller, &called.code, called.inputs.as_deref());
        let number = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let made = made.entry(call).or_insert(0);
            *made += u32::from(*made == 0 || !cfg!(flowkit_fault = "equal-calls-not-counted"));
            *made
        };
        numbered(&call, number)
    }
}

fn call(caller: &Digest, task: &Digest, inputs: Option<&[Digest]>) -> Digest {
    let mut hasher = KeyHasher::new();
    hasher.bytes("caller", caller);
    hasher.bytes("task", task);
    with_inputs(hasher, inputs)
}

/// The place of the first item of its kind that has these inputs, where `fan_outs` is what the row of a fan-out has for a place.
pub(crate) fn first_item(fan_outs: &Digest, inputs: &[Digest]) -> Digest {
    numbered(&item_call(fan_outs, Some(inputs)), 1)
}

fn item_call(fan_outs: &Digest, inputs: Option<&[Digest]>) -> Digest {
    let mut hasher = KeyHasher::new();
    hasher.bytes("fan-outs", fan_outs);
    with_inputs(hasher, inputs)
}

fn with_inputs(mut hasher: KeyHasher, inputs: Option<&[Digest]>) -> Digest {
    for input in inputs.unwrap_or_default() {
        hasher.bytes("input", input);
    }
    if inputs.is_none() {
        hasher.section("inputs", "unknown");
    }
    hasher.finish().map_or(Digest::default(), |key| digest(&key))
}

/// What stands for the type arguments of a task that takes none.
fn without_types() -> Digest {
    static NONE: OnceLock<Digest> = OnceLock::new();
    *NONE.get_or_init(|| {
        let parts = KeyHasher::in_parts().finish_parts();
        parts.map_or(Digest::default(), |parts| digest(&parts.sections))
    })
}

fn numbered(call: &Digest, number: u32) -> Digest {
    let mut hasher = KeyHasher::new();
    hasher.bytes("call", call);
    hasher.bytes("number", &number.to_be_bytes());
    hasher.finish().map_or(Digest::default(), |key| digest(&key))
}

/// Counts calls of which there may be millions, and most of them only once. It tells them apart by half of their digests: two that agree in it are numbered as if
/// they were equal, by their order.
#[derive(Debug, Default)]
struct Counted {
    once: HashSet<u64>,
    more: HashMap<u64, u32>,
}

impl Counted {
    fn next(&mut self, call: &Digest) -> u32 {
        let half = half(call);
        if self.once.insert(half) {
            return 1;
        }
        let number = self.more.entry(half).or_insert(1);
        *number += 1;
        *number
    }
}

fn half(call: &Digest) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&call[..8]);
    u64::from_be_bytes(half)
}
