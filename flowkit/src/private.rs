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
pub use crate::job::{Attempt, Shim};
pub use crate::key_probe::{
    CloneNo, CloneYes, Codec, CodecNo, CodecYes, FromJsonNo, FromJsonYes, HashNo, HashYes, JsonNo, JsonYes,
    KeyInput, KeyNo, KeyYes, NoProbe, Probe, SecretNo,
};
#[cfg(feature = "cli")]
pub use crate::key_probe::{SchemaNo, SchemaYes};
pub use crate::returned::{
    Fallible, MayBeValue, Returned, Unfailing, outcome, outcome_after, outcome_if, unfailing,
};
#[cfg(feature = "journal")]
pub use inventory;

pub use crate::options::{Declared, TaskOptions};
pub use crate::parameters::{Given, Shown};
#[cfg(feature = "journal")]
pub use crate::registry::{AnyFlow, FlowParameter, RegisteredFlow};

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

/// How a value of this type is stored and restored, if it can be and there may be a journal.
#[cfg(feature = "journal")]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_codec {
    ($probe:ident, $type:ty) => {{
        #[allow(unused_imports)]
        use $crate::__private::{CodecNo as _, CodecYes as _};
        (&$crate::__private::$probe::<$type>::NEW).codec()
    }};
}

/// Without a journal nobody asks.
#[cfg(not(feature = "journal"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_codec {
    ($probe:ident, $type:ty) => {
        ::core::option::Option::None
    };
}

/// How the JSON schema of a type is made, if it can be and there may be a command line.
#[cfg(feature = "cli")]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_schema {
    ($probe:ident, $type:ty) => {{
        #[allow(unused_imports)]
        use $crate::__private::{SchemaNo as _, SchemaYes as _};
        (&$crate::__private::$probe::<$type>::NEW).schema()
    }};
}

/// Without a command line nobody asks.
#[cfg(not(feature = "cli"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_schema {
    ($probe:ident, $type:ty) => {
        ::core::option::Option::None
    };
}

/// Writes a flow's parameters down, where there may be a journal.
#[cfg(feature = "journal")]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_show_inputs {
    ($shim:expr, $inputs:ty, $output_probe:ident $output:ty, $(($field:tt, $name:literal, $probe:ident $type:ty))*) => {
        $shim.show_output({
            #[allow(unused_imports)]
            use $crate::__private::{JsonNo as _, JsonYes as _};
            (&$crate::__private::$output_probe::<$output>::NEW).to_json()
        }).show_inputs(|inputs: &$inputs| {
            #[allow(unused_imports)]
            use $crate::__private::{CodecNo as _, CodecYes as _, JsonNo as _, JsonYes as _};
            #[allow(unused_mut)]
            let mut shown = $crate::__private::Shown::new();
            let _ = inputs;
            $(shown.add(
                $name,
                &inputs.$field,
                (&$crate::__private::$probe::<$type>::NEW).codec(),
                (&$crate::__private::$probe::<$type>::NEW).to_json(),
            );)*
            shown
        })
    };
}

/// Without a journal nobody asks.
#[cfg(not(feature = "journal"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_show_inputs {
    ($shim:expr, $($rest:tt)*) => {
        $shim
    };
}

/// Registers a flow, so that it can be found by its name.
#[cfg(feature = "journal")]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_register_flow {
    ($flow:ident, $output_probe:ident $output:ty, $(($name:literal, $probe:ident $type:ty))*) => {
        $crate::__private::inventory::submit! {
            $crate::__private::RegisteredFlow::new($flow::DEFINITION, |mut given| {
                #[allow(unused_imports)]
                use $crate::__private::{CodecNo as _, CodecYes as _, FromJsonNo as _, FromJsonYes as _, JsonNo as _, JsonYes as _};
                #[allow(deprecated)]
                let call = $flow($(given.take::<$type>(
                    $name,
                    (&$crate::__private::$probe::<$type>::NEW).codec(),
                    (&$crate::__private::$probe::<$type>::NEW).json_reader(),
                )?),*);
                given.finish(&[$($name),*])?;
                ::core::result::Result::Ok($crate::__private::AnyFlow::new(
                    call,
                    (&$crate::__private::$output_probe::<$output>::NEW).to_json(),
                ))
            }, || {
                #[allow(unused_imports)]
                use $crate::__private::{FromJsonNo as _, FromJsonYes as _, SecretNo as _};
                ::std::vec![$($crate::__private::FlowParameter::new::<$type>(
                    $name,
                    (&$crate::__private::$probe::<$type>::NEW).json_reader(),
                    $crate::__private::schema!($probe, $type),
                    (&$crate::__private::$probe::<$type>::NEW).is_secret(),
                )),*]
            })
        }
    };
}

/// Without a journal or a command line nobody looks for it.
#[cfg(not(feature = "journal"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __flowkit_register_flow {
    ($($rest:tt)*) => {};
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
    __flowkit_clone_fn as clone_fn, __flowkit_codec as codec, __flowkit_hash_fn as hash_fn,
    __flowkit_place as place, __flowkit_register_flow as register_flow, __flowkit_schema as schema,
    __flowkit_show_inputs as show_inputs, __flowkit_user_key as user_key,
};
