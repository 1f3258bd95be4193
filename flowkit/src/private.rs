//! What the attributes expand to. Not for use by hand: it changes with the macros.

use std::future::Future;

pub use flowkit_cache::{KeyError, KeyHasher};
pub use serde;

pub use crate::call::TaskCall;
pub use crate::definition::{CachePolicy, Definition, Place};
pub use crate::error::{BoxError, Error, Failure};
pub use crate::flow_call::FlowCall;
pub use crate::hook::{HookFn, HookFuture, HookRun, Hooks};
pub use crate::input::{Input, Inputs, IntoInput, Lend, Lent};
pub use crate::job::{Attempt, Fallible, Shim, outcome, outcome_after, outcome_if};
pub use crate::key_probe::{CloneNo, CloneYes, HashNo, HashYes, KeyNo, KeyYes, Probe};
pub use crate::options::{Declared, TaskOptions};

use crate::job::BoundCall;

/// A call of a task.
pub fn task<T, I, F, Fut>(
    definition: &'static Definition,
    inputs: I,
    shim: Shim<I, T>,
    start: F,
) -> TaskCall<T>
where
    T: Send + Sync + 'static,
    I: Inputs,
    F: FnMut(&mut I, &Attempt<'_>) -> Result<Fut, Error> + Send + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send + 'static,
{
    TaskCall::new(definition, Box::pin(BoundCall::new(inputs, shim, start)))
}

/// A call of a flow.
pub fn flow<T, I, F, Fut>(
    definition: &'static Definition,
    inputs: I,
    shim: Shim<I, T>,
    start: F,
) -> FlowCall<T>
where
    T: Send + Sync + 'static,
    I: Inputs,
    F: FnMut(&mut I, &Attempt<'_>) -> Result<Fut, Error> + Send + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send + 'static,
{
    FlowCall::new(definition, Box::pin(BoundCall::new(inputs, shim, start)))
}

/// Calls a hook that an attribute names.
pub fn call_hook<M>(hook: impl crate::hook::Hook<M>, run: HookRun) -> HookFuture {
    hook.call(run)
}

/// Where the function stands that this is expanded in.
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_place {
    () => {
        $crate::__private::Place {
            package: ::core::env!("CARGO_PKG_NAME"),
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: ::core::line!(),
        }
    };
}

/// How a value of this type is cloned, if it can be.
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_clone_fn {
    ($type:ty) => {{
        use $crate::__private::{CloneNo as _, CloneYes as _};
        (&$crate::__private::Probe::<$type>::NEW).clone_fn()
    }};
}

/// How a value of this type is added to a key, if it can be.
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_hash_fn {
    ($type:ty) => {{
        use $crate::__private::{HashNo as _, HashYes as _};
        (&$crate::__private::Probe::<$type>::NEW).hash_fn()
    }};
}

/// Adds the value of a `cache_key` to a key; `None` says not to cache.
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_user_key {
    ($hasher:expr, $value:expr) => {{
        use $crate::__private::{KeyNo as _, KeyYes as _};
        let value = $value;
        (&$crate::__private::Probe::NEW.of(&value)).hash_key(&value, $hasher)
    }};
}

pub use crate::{
    __flowkit_clone_fn as clone_fn, __flowkit_hash_fn as hash_fn, __flowkit_place as place,
    __flowkit_user_key as user_key,
};
