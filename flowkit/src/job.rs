//! A call without its types: what the engine asks of it. One typed struct implements it for every task and flow.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use flowkit_cache::{KeyError, KeyHasher, KeyParts};
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::definition::Definition;
use crate::engine::blocking;
use crate::engine::memo::Value;
use crate::error::{BoxError, Error, ErrorKind, Failure};
use crate::input::{Input, Inputs, Lent, Taken, Upstream};
use crate::key_probe::{Codec, ToJson};
use crate::panics::caught;
use crate::parameters::Shown;
use crate::runtime::RuntimeInner;

/// What the engine asks of a call, whatever its types.
pub(crate) trait Job: Send {
    /// Submits the calls that were passed as inputs. Whether all inputs are values, which nobody need wait for.
    fn start_inputs(self: Pin<&mut Self>) -> bool;
    /// Names the runs that inputs come from, with the index of the parameter.
    fn upstreams(self: Pin<&mut Self>, visit: &mut dyn FnMut(usize, Upstream<'_>));
    /// Ready once all inputs are there, or with the first error of an upstream.
    fn poll_inputs(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
    /// The name that the inputs give the run, if the attribute asks for one.
    fn run_name(&self) -> Option<String>;
    /// Adds the inputs to a key; false means that this call is not to be cached.
    fn hash_inputs(&self, hasher: &mut KeyHasher) -> Result<bool, KeyError>;
    /// A key of what the task is beside its definition (type arguments), and one of each input; none if one of them has none.
    fn hash_parts(&self, hasher: KeyHasher) -> Result<Option<KeyParts>, KeyError>;
    /// The inputs, written down, if the attribute says how.
    fn show_inputs(&self) -> Option<Shown>;
    /// The value as JSON, if it has such a form.
    fn show_output(&self) -> Option<String>;
    /// Whether the value is kept for later lives of its flow run, if it can be.
    fn is_kept(&self) -> bool;
    /// Whether the value can be stored and restored.
    fn is_storable(&self) -> bool;
    /// A copy of the value, if it can be cloned.
    fn remember(&self) -> Option<Value>;
    /// Puts such a copy in place of a value that an attempt returns; false if it is not this job's.
    fn recall(self: Pin<&mut Self>, value: &Value) -> bool;
    /// Whether the inputs can be given to more than one attempt.
    fn is_repeatable(&self) -> bool;
    /// Begins an attempt. A panic on the way, of an input that is cloned for it, is for the caller to catch.
    fn begin(self: Pin<&mut Self>, attempt: &Attempt<'_>) -> Result<(), Failure>;
    /// Polls the attempt. The value stays inside. A panic of the body is for the caller to catch, who then drops the attempt.
    fn poll_attempt(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;
    /// Drops the attempt where it stands.
    fn drop_attempt(self: Pin<&mut Self>);
    /// The encoded value, for the cache.
    fn encode(&self) -> Result<Vec<u8>, BoxError>;
    /// Puts a value from the cache in place of one that an attempt returns.
    fn decode(self: Pin<&mut Self>, bytes: &[u8]) -> Result<(), BoxError>;
    /// The same with a value that somebody wrote.
    fn read_json(self: Pin<&mut Self>, value: serde_json::Value) -> Result<(), BoxError>;
}

/// A job that gives a `T`.
pub(crate) trait TypedJob<T>: Job {
    /// Takes the value out, after the engine said that there is one.
    fn take_output(self: Pin<&mut Self>) -> Option<T>;
    /// The same job, without its type.
    fn erased(self: Pin<&mut Self>) -> Pin<&mut dyn Job>;
}

/// What an attempt is given beside its inputs.
pub struct Attempt<'a> {
    pub(crate) definition: &'static Definition,
    pub(crate) runtime: &'a Arc<RuntimeInner>,
    /// No other attempt will follow: inputs may be given away.
    pub(crate) last: bool,
}

impl std::fmt::Debug for Attempt<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Attempt")
            .field("of", &self.definition.name())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Attempt<'_> {
    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.definition.kind(), self.definition.name())
    }

    /// The value of a parameter that borrows.
    ///
    /// # Errors
    /// When the input is spent, which is a bug of the engine.
    pub fn lend<T>(&self, input: &mut Input<T>) -> Result<Lent<T>, Error> {
        input
            .lend(self.last)
            .ok_or_else(|| self.error(ErrorKind::Internal).detailed("an input was not there"))
    }

    /// The value of a parameter that owns.
    ///
    /// # Errors
    /// When others share the value and it cannot be cloned.
    pub fn take<T>(
        &self,
        name: &'static str,
        input: &mut Input<T>,
        clone: Option<fn(&T) -> T>,
    ) -> Result<T, Error> {
        match input.take(self.last, clone) {
            Taken::Value(value) => Ok(value),
            Taken::IsShared => Err(self.error(ErrorKind::Input).detailed(format!(
                "parameter `{name}` takes its value whole, but others share the value and its type is not `Clone`: \
                 let the parameter borrow (`&T`), or derive `Clone`"
            ))),
            Taken::Missing => Err(self.error(ErrorKind::Internal).detailed(format!("input `{name}` was not there"))),
        }
    }

    /// What the runtime lends to a `#[resource]` parameter that borrows.
    ///
    /// # Errors
    /// When the runtime has no resource of this type.
    pub fn resource<R: Any + Send + Sync>(&self, name: &'static str) -> Result<Arc<R>, Error> {
        self.runtime.resources.get::<R>().ok_or_else(|| {
            self.error(ErrorKind::MissingResource).detailed(format!(
                "parameter `{name}` asks for a resource of type `{}`, and the runtime has none: give it one with `Runtime::builder().resource(…)`",
                std::any::type_name::<R>()
            ))
        })
    }

    /// What the runtime lends to a `#[resource]` parameter that owns.
    ///
    /// # Errors
    /// When the runtime has no resource of this type.
    pub fn resource_cloned<R: Any + Send + Sync + Clone>(&self, name: &'static str) -> Result<R, Error> {
        self.resource::<R>(name).map(Arc::unwrap_or_clone)
    }

    /// Runs blocking work on the pool for it, as the body of this attempt.
    pub fn blocking<R, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static + use<R, W>
    where
        R: Send + 'static,
        W: FnOnce() -> Result<R, Failure> + Send + 'static,
    {
        blocking::run(Arc::clone(self.runtime), work)
    }
}

/// The refusal of an input to be part of a key.
fn refused(message: &str) -> KeyError {
    KeyError::new("inputs", panicked(message))
}

/// What is the user's beside the body (how a value is serialized or cloned) refuses by panicking, too.
fn panicked(message: &str) -> String {
    format!("it panicked: {message}")
}

type RunName<I> = fn(&I) -> Option<String>;
type HashInputs<I> = fn(&I, &mut KeyHasher) -> Result<bool, KeyError>;
type ShowInputs<I> = fn(&I) -> Shown;

/// What an attribute asks for beside the body: plain functions over the inputs and the output.
pub struct Shim<I, T> {
    run_name: Option<RunName<I>>,
    key: Option<HashInputs<I>>,
    codec: Option<Codec<T>>,
    show_inputs: Option<ShowInputs<I>>,
    show_output: Option<ToJson<T>>,
    all_inputs: Option<HashInputs<I>>,
    clone: Option<fn(&T) -> T>,
    repeatable: bool,
    kept: bool,
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

pin_project! {
    /// A call with its types: the one implementation of [`Job`].
    pub(crate) struct BoundCall<T, I, F, Fut> {
        inputs: I,
        shim: Shim<I, T>,
        start: F,
        #[pin]
        attempt: Option<Fut>,
        output: Option<T>,
        types: PhantomData<fn() -> T>,
    }
}

impl<T, I, F, Fut> BoundCall<T, I, F, Fut> {
    pub(crate) fn new(inputs: I, shim: Shim<I, T>, start: F) -> Self {
        Self {
            inputs,
            shim,
            start,
            attempt: None,
            output: None,
            types: PhantomData,
        }
    }
}

impl<T, I, F, Fut> Job for BoundCall<T, I, F, Fut>
where
    T: Send + Sync + 'static,
    I: Inputs,
    F: FnMut(&mut I, &Attempt<'_>) -> Result<Fut, Error> + Send + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send + 'static,
{
    fn start_inputs(self: Pin<&mut Self>) -> bool {
        let mut all_are_values = true;
        self.project()
            .inputs
            .each(&mut |_, input| all_are_values &= input.start());
        all_are_values
    }

    fn upstreams(self: Pin<&mut Self>, visit: &mut dyn FnMut(usize, Upstream<'_>)) {
        self.project()
            .inputs
            .each(&mut |index, input| input.upstreams(&mut |upstream| visit(index, upstream)));
    }

    fn poll_inputs(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut all = Poll::Ready(Ok(()));
        self.project().inputs.each(&mut |_, input| {
            if matches!(all, Poll::Ready(Err(_))) {
                return;
            }
            match input.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => all = Poll::Ready(Err(error)),
                Poll::Pending => all = Poll::Pending,
            }
        });
        all
    }

    fn run_name(&self) -> Option<String> {
        (self.shim.run_name?)(&self.inputs)
    }

    fn hash_inputs(&self, hasher: &mut KeyHasher) -> Result<bool, KeyError> {
        match self.shim.key {
            Some(key) => {
                caught(|| key(&self.inputs, hasher)).unwrap_or_else(|message| Err(refused(&message)))
            }
            None => Ok(false),
        }
    }

    fn hash_parts(&self, mut hasher: KeyHasher) -> Result<Option<KeyParts>, KeyError> {
        let Some(hash) = self.shim.all_inputs else {
            return Ok(None);
        };
        let hashed = caught(|| hash(&self.inputs, &mut hasher));
        let known = hashed.unwrap_or_else(|message| Err(refused(&message)))?;
        known.then(|| hasher.finish_parts()).transpose()
    }

    fn show_inputs(&self) -> Option<Shown> {
        let show = self.shim.show_inputs?;
        caught(|| show(&self.inputs)).ok()
    }

    fn show_output(&self) -> Option<String> {
        let (show, output) = (self.shim.show_output?, self.output.as_ref()?);
        Some(caught(|| show(output)).ok()?.ok()?.to_string())
    }

    fn is_kept(&self) -> bool {
        self.shim.kept
    }

    fn is_storable(&self) -> bool {
        self.shim.codec.is_some()
    }

    fn remember(&self) -> Option<Value> {
        let (clone, output) = (self.shim.clone?, self.output.as_ref()?);
        Some(Arc::new(caught(|| clone(output)).ok()?))
    }

    fn recall(self: Pin<&mut Self>, value: &Value) -> bool {
        let this = self.project();
        let (Some(clone), Some(value)) = (this.shim.clone, value.downcast_ref::<T>()) else {
            return false;
        };
        *this.output = caught(|| clone(value)).ok();
        this.output.is_some()
    }

    fn is_repeatable(&self) -> bool {
        self.shim.repeatable
    }

    fn begin(self: Pin<&mut Self>, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let mut this = self.project();
        // Inputs that another attempt may need are cloned.
        let begun = (this.start)(this.inputs, attempt);
        this.attempt.set(Some(begun.map_err(Failure::refused)?));
        Ok(())
    }

    fn poll_attempt(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut this = self.project();
        let Some(attempt) = this.attempt.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let outcome = ready!(attempt.poll(cx));
        this.attempt.set(None);
        Poll::Ready(outcome.map(|value| *this.output = Some(value)))
    }

    fn drop_attempt(self: Pin<&mut Self>) {
        self.project().attempt.set(None);
    }

    fn encode(&self) -> Result<Vec<u8>, BoxError> {
        match (&self.shim.codec, &self.output) {
            (Some(codec), Some(output)) => {
                caught(|| (codec.encode)(output)).map_err(|message| panicked(&message))?
            }
            _ => Err("there is nothing to encode".into()),
        }
    }

    fn decode(self: Pin<&mut Self>, bytes: &[u8]) -> Result<(), BoxError> {
        let this = self.project();
        let Some(codec) = this.shim.codec else {
            return Err("the output cannot be restored".into());
        };
        *this.output = Some(caught(|| (codec.decode)(bytes)).map_err(|message| panicked(&message))??);
        Ok(())
    }

    fn read_json(self: Pin<&mut Self>, value: serde_json::Value) -> Result<(), BoxError> {
        let this = self.project();
        let Some(codec) = this.shim.codec else {
            return Err("the output cannot be restored".into());
        };
        *this.output = Some(caught(|| (codec.from_json)(value)).map_err(|message| panicked(&message))??);
        Ok(())
    }
}

impl<T, I, F, Fut> TypedJob<T> for BoundCall<T, I, F, Fut>
where
    T: Send + Sync + 'static,
    I: Inputs,
    F: FnMut(&mut I, &Attempt<'_>) -> Result<Fut, Error> + Send + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send + 'static,
{
    fn take_output(self: Pin<&mut Self>) -> Option<T> {
        self.project().output.take()
    }

    fn erased(self: Pin<&mut Self>) -> Pin<&mut dyn Job> {
        self
    }
}
