//! A call without its types: what the engine asks of it. One typed struct implements it for every task and flow.
//!
//! A program has as many of that struct as it has tasks, so it has little code of its own: what depends on the types of the inputs or of the output alone
//! is in `inputs` and `output`, and what depends on none is what can be asked of any `dyn Job`.

mod attempt;
mod inputs;
mod output;
mod shim;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flowkit_cache::{KeyError, KeyHasher, KeyParts};
use pin_project_lite::pin_project;

pub use self::attempt::Attempt;
pub(crate) use self::inputs::AnyInputs;
use self::inputs::BoundInputs;
pub(crate) use self::output::AnyOutput;
use self::output::Output;
pub use self::shim::Shim;
use crate::engine::memo::Value;
use crate::error::{BoxError, Error, ErrorKind, Failure};
use crate::input::{Inputs, Upstream};
use crate::panics::{caught, dropped, dropped_by};
use crate::parameters::Shown;

/// What the engine asks of a call, whatever its types.
pub(crate) trait Job: Send {
    fn inputs(&self) -> &dyn AnyInputs;
    fn inputs_mut(self: Pin<&mut Self>) -> &mut dyn AnyInputs;
    fn output(&self) -> &dyn AnyOutput;
    fn output_mut(self: Pin<&mut Self>) -> &mut dyn AnyOutput;
    /// Whether the value is kept for later lives of its flow run, if it can be.
    fn is_kept(&self) -> bool;
    /// Whether the inputs can be given to more than one attempt.
    fn is_repeatable(&self) -> bool;
    /// Begins an attempt. A panic on the way, of an input that is cloned for it, is for the caller to catch.
    fn begin(self: Pin<&mut Self>, attempt: &Attempt<'_>) -> Result<(), Failure>;
    /// Polls the attempt. The value stays inside. A panic of the body is for the caller to catch, who then drops the attempt.
    fn poll_attempt(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;
    /// Drops the attempt where it stands.
    fn drop_attempt(self: Pin<&mut Self>);
}

/// What is the same for all calls. A panic of the user's code on the way (an input that is cloned or shown) is for the caller to catch.
impl dyn Job + '_ {
    /// Submits the calls that were passed as inputs. Whether all inputs are values, which nobody need wait for.
    pub(crate) fn start_inputs(self: Pin<&mut Self>) -> bool {
        self.inputs_mut().start()
    }

    /// Names the runs that inputs come from, with the index of the parameter.
    pub(crate) fn upstreams(self: Pin<&mut Self>, visit: &mut dyn FnMut(usize, Upstream<'_>)) {
        self.inputs_mut().upstreams(visit);
    }

    /// Ready once all inputs are there, or with the first error of an upstream.
    pub(crate) fn poll_inputs(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inputs_mut().poll_ready(cx)
    }

    /// The name that the inputs give the run, if the attribute asks for one. A panic on the way is for the caller to catch.
    pub(crate) fn run_name(&self) -> Option<String> {
        self.inputs().run_name()
    }

    /// Whether the value can be stored and restored.
    pub(crate) fn is_storable(&self) -> bool {
        self.output().is_storable()
    }
}

/// The same, where a panic of the user's code (how a value is serialized, cloned or dropped) is a refusal.
impl dyn Job + '_ {
    /// Adds the inputs to a key; false means that this call is not to be cached.
    pub(crate) fn hash_inputs(&self, hasher: &mut KeyHasher) -> Result<bool, KeyError> {
        caught(|| self.inputs().hash(hasher)).unwrap_or_else(refuse_key)
    }

    /// A key of what the task is beside its definition (type arguments), and one of each input; none if one of them has none.
    pub(crate) fn hash_parts(&self, hasher: KeyHasher) -> Result<Option<KeyParts>, KeyError> {
        caught(|| self.inputs().hash_parts(hasher)).unwrap_or_else(refuse_key)
    }

    /// The inputs, written down, if the attribute says how.
    pub(crate) fn show_inputs(&self) -> Option<Shown> {
        caught(|| self.inputs().show()).ok()?
    }

    /// The value as JSON, if it has such a form.
    pub(crate) fn show_output(&self) -> Option<String> {
        caught(|| self.output().show()).ok()?
    }

    /// A copy of the value, if it can be cloned.
    pub(crate) fn remember(&self) -> Option<Value> {
        caught(|| self.output().remember()).ok()?
    }

    /// Puts such a copy in place of a value that an attempt returns; false if it is not this job's.
    pub(crate) fn recall(self: Pin<&mut Self>, value: &Value) -> bool {
        caught(|| self.output_mut().recall(value)).unwrap_or(false)
    }

    /// Drops the attempt where it stands, whether that panics or not.
    pub(crate) fn end_attempt(self: Pin<&mut Self>) {
        dropped_by("what the body of a run held", move || self.drop_attempt());
    }

    /// The encoded value, for the cache.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, BoxError> {
        caught(|| self.output().encode()).unwrap_or_else(refuse)
    }

    /// Puts a value from the cache in place of one that an attempt returns.
    pub(crate) fn decode(self: Pin<&mut Self>, bytes: &[u8]) -> Result<(), BoxError> {
        caught(|| self.output_mut().decode(bytes)).unwrap_or_else(refuse)
    }

    /// The same with a value that somebody wrote.
    pub(crate) fn read_json(self: Pin<&mut Self>, value: serde_json::Value) -> Result<(), BoxError> {
        caught(|| self.output_mut().read_json(value)).unwrap_or_else(refuse)
    }
}

fn panicked(message: &str) -> String {
    format!("it panicked: {message}")
}

fn refuse<V>(message: String) -> Result<V, BoxError> {
    Err(panicked(&message).into())
}

/// The refusal of an input to be part of a key.
fn refuse_key<V>(message: String) -> Result<V, KeyError> {
    Err(KeyError::new("inputs", panicked(&message)))
}

/// A call, of whatever types.
pub(crate) type BoxedJob = Pin<Box<dyn Job>>;

/// How a run ended: with its job, which has the value, or with its error.
pub(crate) type Ended = Result<BoxedJob, Error>;

/// Marks what gives values of this very type, and not of one that could stand in for it, such as a function that takes references of any lifetime for
/// one that takes those of a certain: the value is found by its type.
pub(crate) type Exactly<T> = fn(T) -> T;

/// Gives back the job of a run that is over, with its value and nothing else: what it was given is to be gone when others hear of its end. `took_inputs` says
/// that it is already. A job without a value is dropped.
pub(crate) fn give_back(mut job: BoxedJob, ended: Result<(), Error>, took_inputs: bool) -> Ended {
    match ended {
        Ok(()) => {
            if !took_inputs {
                job.as_mut().inputs_mut().spend();
            }
            Ok(job)
        }
        Err(error) => {
            dropped("what a run was given, or its body held,", job);
            Err(error)
        }
    }
}

/// The value of a run that completed, which is of the type that the call was made for.
///
/// # Errors
/// The run's own, or that there is no value, which is a bug of the engine.
pub(crate) fn value_of<T: 'static>(ended: Ended) -> Result<T, Error> {
    take_value(ended?.as_mut().output_mut())
}

/// The same of its output alone.
///
/// # Errors
/// When there is no value, or one of another type.
pub(crate) fn take_value<T: 'static>(output: &mut dyn AnyOutput) -> Result<T, Error> {
    let output = output.as_any().downcast_mut::<Output<T>>();
    output
        .and_then(|output| output.value.take())
        .ok_or_else(no_output)
}

pub(crate) fn no_output() -> Error {
    Error::about_runtime(ErrorKind::Internal, "a run completed without a value of its type")
}

pin_project! {
    /// A call with its types: the one implementation of [`Job`].
    pub(crate) struct BoundCall<T, I, F, Fut> {
        inputs: BoundInputs<I>,
        output: Output<T>,
        start: F,
        #[pin]
        attempt: Option<Fut>,
        repeatable: bool,
        kept: bool,
    }
}

impl<T, I, F, Fut> BoundCall<T, I, F, Fut> {
    pub(crate) fn new(inputs: I, shim: Shim<I, T>, start: F) -> Self {
        Self {
            inputs: BoundInputs {
                values: inputs,
                run_name: shim.run_name,
                key: shim.key,
                all: shim.all_inputs,
                show: shim.show_inputs,
            },
            output: Output {
                value: None,
                codec: shim.codec,
                show: shim.show_output,
                clone: shim.clone,
            },
            start,
            attempt: None,
            repeatable: shim.repeatable,
            kept: shim.kept,
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
    fn inputs(&self) -> &dyn AnyInputs {
        &self.inputs
    }

    fn inputs_mut(self: Pin<&mut Self>) -> &mut dyn AnyInputs {
        self.project().inputs
    }

    fn output(&self) -> &dyn AnyOutput {
        &self.output
    }

    fn output_mut(self: Pin<&mut Self>) -> &mut dyn AnyOutput {
        self.project().output
    }

    fn is_kept(&self) -> bool {
        self.kept
    }

    fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    fn begin(self: Pin<&mut Self>, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let mut this = self.project();
        // Inputs that another attempt may need are cloned.
        let begun = (this.start)(&mut this.inputs.values, attempt);
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
        Poll::Ready(outcome.map(|value| this.output.value = Some(value)))
    }

    fn drop_attempt(self: Pin<&mut Self>) {
        self.project().attempt.set(None);
    }
}
