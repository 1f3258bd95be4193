//! What may be passed where a task has a parameter: a value, a reference, a handle, a call, a group, an outcome.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use flowkit_cache::{KeyError, KeyHasher};
use serde::Serialize;

use crate::call::TaskCall;
use crate::completion::Given;
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::flow_call::FlowCall;
use crate::gather::Gathering;
use crate::handle::{Awaiting, TaskHandle};
use crate::ids::TaskRunId;

/// A value that can be passed to a task parameter of type `T`.
///
/// A parameter takes a `T`; a `&T`, which is cloned; an [`Arc<T>`], which is shared; the [`TaskHandle<T>`] of an
/// upstream, or a reference to it; a [`TaskCall<T>`] that is not started yet, which is then submitted; for a `Vec`,
/// a fan-out ([`Mapped`](crate::Mapped)) or a group ([`all`](crate::all)); for a `Result<T, Error>`, the outcome of an upstream that may fail
/// ([`allow_failure`](crate::allow_failure)). A parameter that is written `&str`, `&[T]` or `&Path` takes what a `String`, `Vec<T>` or
/// `PathBuf` takes, and those borrowed types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed to a task parameter of type `{T}`",
    label = "expected `{T}`, or a handle of a task that returns it",
    note = "a parameter takes a `{T}`, a `&{T}`, an `Arc<{T}>`, a `TaskHandle<{T}>` of an upstream task, or a `TaskCall<{T}>` that is not started yet",
    note = "a parameter of type `Vec<_>` takes a fan-out (`&Mapped<_>`) or a group of handles (`all([…])`) too"
)]
pub trait IntoInput<T>: Sized {
    /// The input, not yet resolved.
    fn into_input(self) -> Input<T>;
}

/// One input of a call: a value, or what will give one.
pub struct Input<T>(Source<T>);

enum Source<T> {
    Owned(T),
    Shared(Arc<T>),
    Handle(TaskHandle<T>),
    Awaited(Awaiting<T>),
    Call(TaskCall<T>),
    /// In a box, since it is large, and every input would be as large as it.
    Flow(Box<FlowCall<T>>),
    Gather(Box<dyn Gathering<T>>),
    /// Given to the last attempt.
    Spent,
}

impl<T> fmt::Debug for Input<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Source::Owned(_) => "Input::Owned",
            Source::Shared(_) => "Input::Shared",
            Source::Handle(_) | Source::Awaited(_) => "Input::Handle",
            Source::Call(_) | Source::Flow(_) => "Input::Call",
            Source::Gather(_) => "Input::Gather",
            Source::Spent => "Input::Spent",
        })
    }
}

impl<T> Input<T> {
    /// An input that is there already.
    pub fn value(value: T) -> Self {
        Self(Source::Owned(value))
    }

    /// An input that others share.
    pub fn shared(value: Arc<T>) -> Self {
        Self(Source::Shared(value))
    }

    pub(crate) fn flow(call: FlowCall<T>) -> Self {
        Self(Source::Flow(Box::new(call)))
    }

    pub(crate) fn gathered(gathering: impl Gathering<T> + 'static) -> Self {
        Self(Source::Gather(Box::new(gathering)))
    }

    /// The value; none before the inputs are resolved or after the last attempt took it.
    pub fn peek(&self) -> Option<&T> {
        match &self.0 {
            Source::Owned(value) => Some(value),
            Source::Shared(value) => Some(value),
            _ => None,
        }
    }

    /// Adds the parameter's name and value to a key.
    ///
    /// # Errors
    /// When the value refuses to be serialized.
    pub fn hash(&self, name: &str, hasher: &mut KeyHasher) -> Result<(), KeyError>
    where
        T: Serialize,
    {
        match self.peek() {
            Some(value) => hasher.value(name, value),
            None => Ok(()),
        }
    }

    /// Adds the parameter's name and bytes to a key, at hashing speed.
    ///
    /// # Errors
    /// None today; the same shape as [`hash`](Self::hash).
    pub fn hash_bytes(&self, name: &str, hasher: &mut KeyHasher) -> Result<(), KeyError>
    where
        T: AsRef<[u8]>,
    {
        if let Some(value) = self.peek() {
            hasher.bytes(name, value.as_ref());
        }
        Ok(())
    }

    /// The value for an attempt that borrows it; the last attempt is given it whole.
    pub(crate) fn lend(&mut self, last: bool) -> Option<Lent<T>> {
        match std::mem::replace(&mut self.0, Source::Spent) {
            Source::Owned(value) if last => Some(Lent::Owned(value)),
            Source::Owned(value) => {
                let value = Arc::new(value);
                self.0 = Source::Shared(Arc::clone(&value));
                Some(Lent::Shared(value))
            }
            Source::Shared(value) => {
                if !last {
                    self.0 = Source::Shared(Arc::clone(&value));
                }
                Some(Lent::Shared(value))
            }
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// The value for an attempt that owns it: the last attempt takes it, earlier ones clone it.
    pub(crate) fn take(&mut self, last: bool, clone: Option<fn(&T) -> T>) -> Taken<T> {
        match std::mem::replace(&mut self.0, Source::Spent) {
            Source::Owned(value) if last => Taken::Value(value),
            Source::Shared(value) if last => match (Arc::try_unwrap(value), clone) {
                (Ok(value), _) => Taken::Value(value),
                (Err(shared), Some(clone)) => Taken::Value(clone(&shared)),
                (Err(shared), None) => {
                    self.0 = Source::Shared(shared);
                    Taken::IsShared
                }
            },
            other => {
                self.0 = other;
                match (self.peek(), clone) {
                    (Some(value), Some(clone)) => Taken::Value(clone(value)),
                    (Some(_), None) => Taken::IsShared,
                    (None, _) => Taken::Missing,
                }
            }
        }
    }
}

/// What became of asking for a value of one's own.
pub(crate) enum Taken<T> {
    Value(T),
    /// Others hold it and it cannot be cloned.
    IsShared,
    Missing,
}

/// A value lent to one attempt.
#[derive(Debug)]
pub enum Lent<T> {
    /// The attempt is the last that needs it.
    Owned(T),
    /// Others read it too.
    Shared(Arc<T>),
}

impl<T> std::ops::Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Owned(value) => value,
            Self::Shared(value) => value,
        }
    }
}

/// A run that an input comes from.
#[derive(Clone, Copy)]
pub(crate) struct Upstream<'a> {
    pub(crate) id: TaskRunId,
    pub(crate) scope: &'a Arc<Scope>,
}

impl Upstream<'_> {
    /// Notes that how it ends is known: it was passed on.
    pub(crate) fn observe(&self) {
        self.scope.observe(self.id.place());
    }
}

/// An input without its type: what the engine does with it before a body runs.
pub(crate) trait Pending {
    /// Submits a call that was passed as an input. Whether the input is a value, which nobody need wait for.
    fn start(&mut self) -> bool;
    /// Names the runs it comes from.
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>));
    /// Ready once the value is there, or the error of the upstream that has none.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
    /// Drops the value: no attempt needs it any more.
    fn spend(&mut self);
}

impl<T: Send + Sync + 'static> Pending for Input<T> {
    fn start(&mut self) -> bool {
        match &mut self.0 {
            // By far the most are values: they are not moved out and back.
            Source::Owned(_) | Source::Shared(_) => return true,
            Source::Gather(gathering) => gathering.start(),
            Source::Call(_) | Source::Flow(_) => {}
            Source::Handle(_) | Source::Awaited(_) | Source::Spent => return false,
        }
        self.0 = match std::mem::replace(&mut self.0, Source::Spent) {
            Source::Call(call) => Source::Handle(call.submit()),
            Source::Flow(call) => Source::Handle(call.submit()),
            other => other,
        };
        false
    }

    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        match &self.0 {
            Source::Handle(handle) => visit(handle.upstream()),
            Source::Awaited(awaiting) => visit(awaiting.upstream()),
            Source::Gather(gathering) => gathering.upstreams(visit),
            _ => {}
        }
    }

    fn spend(&mut self) {
        self.0 = Source::Spent;
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.0 {
                Source::Owned(_) | Source::Shared(_) | Source::Spent => return Poll::Ready(Ok(())),
                Source::Call(_) | Source::Flow(_) => {
                    self.start();
                }
                Source::Handle(handle) => self.0 = Source::Awaited(handle.clone().awaiting()),
                Source::Awaited(awaiting) => {
                    let outcome = std::task::ready!(awaiting.poll_taken(cx));
                    self.0 = match outcome? {
                        Given::Whole(value) => Source::Owned(value),
                        Given::Shared(value) => Source::Shared(value),
                    };
                }
                Source::Gather(gathering) => {
                    let outcome = std::task::ready!(gathering.poll_gathered(cx));
                    self.0 = Source::Owned(outcome?);
                }
            }
        }
    }
}

/// The inputs of a call: a tuple of them.
pub trait Inputs: Send + 'static {
    #[doc(hidden)]
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn AnyInput));
}

/// An input of any type.
#[doc(hidden)]
#[expect(private_bounds, reason = "only inputs are inputs")]
pub trait AnyInput: Pending {}

impl<T: Send + Sync + 'static> AnyInput for Input<T> {}

macro_rules! inputs {
    ($($name:ident),*) => {
        impl<$($name: Send + Sync + 'static),*> Inputs for ($(Input<$name>,)*) {
            #[allow(non_snake_case, unused_variables, unused_mut, unused_assignments)]
            fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn AnyInput)) {
                let ($($name,)*) = self;
                let mut index = 0;
                $(visit(index, $name); index += 1;)*
            }
        }
    };
}

inputs!();
inputs!(A);
inputs!(A, B);
inputs!(A, B, C);
inputs!(A, B, C, D);
inputs!(A, B, C, D, E);
inputs!(A, B, C, D, E, F);
inputs!(A, B, C, D, E, F, G);
inputs!(A, B, C, D, E, F, G, H);
inputs!(A, B, C, D, E, F, G, H, I);
inputs!(A, B, C, D, E, F, G, H, I, J);
inputs!(A, B, C, D, E, F, G, H, I, J, K);
inputs!(A, B, C, D, E, F, G, H, I, J, K, L);

/// How a parameter that borrows is kept: `&U` is lent from a stored `U::Owned`.
pub trait Lend {
    /// What is stored.
    type Owned;
    /// The borrowed form of it.
    fn lend(owned: &Self::Owned) -> &Self;
}

impl<T> Lend for T {
    type Owned = T;
    fn lend(owned: &T) -> &T {
        owned
    }
}

impl<T> Lend for [T] {
    type Owned = Vec<T>;
    fn lend(owned: &Vec<T>) -> &[T] {
        owned
    }
}

impl Lend for str {
    type Owned = String;
    fn lend(owned: &String) -> &Self {
        owned
    }
}

impl Lend for Path {
    type Owned = PathBuf;
    fn lend(owned: &PathBuf) -> &Self {
        owned
    }
}

impl Lend for OsStr {
    type Owned = OsString;
    fn lend(owned: &OsString) -> &Self {
        owned
    }
}

impl Lend for CStr {
    type Owned = CString;
    fn lend(owned: &CString) -> &Self {
        owned
    }
}

impl<T> IntoInput<T> for T {
    fn into_input(self) -> Input<T> {
        Input::value(self)
    }
}

impl<T: Clone> IntoInput<T> for &T {
    fn into_input(self) -> Input<T> {
        Input::value(self.clone())
    }
}

impl<T> IntoInput<T> for Arc<T> {
    fn into_input(self) -> Input<T> {
        Input::shared(self)
    }
}

impl<T> IntoInput<T> for &Arc<T> {
    fn into_input(self) -> Input<T> {
        Input::shared(Arc::clone(self))
    }
}

impl IntoInput<String> for &str {
    fn into_input(self) -> Input<String> {
        Input::value(self.to_owned())
    }
}

impl<T: Clone> IntoInput<Vec<T>> for &[T] {
    fn into_input(self) -> Input<Vec<T>> {
        Input::value(self.to_vec())
    }
}

impl IntoInput<PathBuf> for &Path {
    fn into_input(self) -> Input<PathBuf> {
        Input::value(self.to_owned())
    }
}

impl<T> IntoInput<T> for TaskHandle<T> {
    fn into_input(self) -> Input<T> {
        Input(Source::Handle(self))
    }
}

impl<T> IntoInput<T> for &TaskHandle<T> {
    fn into_input(self) -> Input<T> {
        Input(Source::Handle(self.clone()))
    }
}

impl<T> IntoInput<T> for TaskCall<T> {
    fn into_input(self) -> Input<T> {
        Input(Source::Call(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_is_given_the_value_and_earlier_ones_share_it() {
        let mut input = Input::value(String::from("a"));
        assert!(matches!(input.lend(false), Some(Lent::Shared(value)) if *value == "a"));
        assert!(matches!(input.take(true, None), Taken::Value(value) if value == "a"));
        assert!(matches!(input.take(true, None), Taken::Missing), "it is spent");
    }

    #[test]
    fn a_shared_value_is_cloned_only_where_it_can_be() {
        let other = Arc::new(5);
        let mut input = Input::shared(Arc::clone(&other));
        assert!(matches!(input.take(true, None), Taken::IsShared));
        assert!(matches!(input.take(true, Some(Clone::clone)), Taken::Value(5)));
    }
}
