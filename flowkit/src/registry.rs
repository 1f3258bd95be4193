//! The flows of a program, by their names: each registers itself by being annotated.
//!
//! | room | idea |
//! |---|---|
//! | `parameter` | what is known of a flow's parameters before it is called |
//! | `naming` | finding a flow by what somebody typed, and running it |

pub(crate) mod naming;
pub(crate) mod parameter;

use std::fmt;

use futures::future::BoxFuture;

use crate::context::Ambient;
use crate::definition::Definition;
use crate::flow_call::FlowCall;
use crate::journaling::replay::Resumed;
use crate::key_probe::ToJson;
use crate::parameters::{Given, ParameterError};
use crate::run::FlowRun;
pub use naming::FlowNotFound;
pub use parameter::FlowParameter;

type Start =
    Box<dyn FnOnce(Ambient, Option<Resumed>) -> BoxFuture<'static, FlowRun<serde_json::Value>> + Send>;

/// A call of any flow, whose value is shown as JSON.
pub struct AnyFlow(Start);

impl fmt::Debug for AnyFlow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyFlow")
    }
}

impl AnyFlow {
    /// A call, and how its value is shown, if it can be.
    pub fn new<T: Send + Sync + 'static>(call: FlowCall<T>, to_json: Option<ToJson<T>>) -> Self {
        Self(Box::new(move |ambient, resumed| {
            Box::pin(async move {
                let run = call.resumed(resumed).run_in(ambient).await;
                run.map(|value| {
                    let shown = to_json.and_then(|to_json| to_json(&value).ok());
                    shown.unwrap_or_default()
                })
            })
        }))
    }

    pub(crate) fn run(
        self,
        ambient: Ambient,
        resumed: Option<Resumed>,
    ) -> BoxFuture<'static, FlowRun<serde_json::Value>> {
        (self.0)(ambient, resumed)
    }
}

/// A flow that registered itself.
pub struct RegisteredFlow {
    definition: &'static Definition,
    call: fn(Given) -> Result<AnyFlow, ParameterError>,
    parameters: fn() -> Vec<FlowParameter>,
}

impl fmt::Debug for RegisteredFlow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegisteredFlow")
            .field("flow", &self.definition.name())
            .finish_non_exhaustive()
    }
}

inventory::collect!(RegisteredFlow);

impl RegisteredFlow {
    /// What the attribute registers.
    #[doc(hidden)]
    pub const fn new(
        definition: &'static Definition,
        call: fn(Given) -> Result<AnyFlow, ParameterError>,
        parameters: fn() -> Vec<FlowParameter>,
    ) -> Self {
        Self {
            definition,
            call,
            parameters,
        }
    }

    /// The flow's definition.
    pub const fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// Its parameters, in order; those that it takes as `#[resource]` are not among them.
    pub fn parameters(&self) -> Vec<FlowParameter> {
        (self.parameters)()
    }

    /// The JSON schema of its parameters, as one object. A parameter whose type does not implement schemars' `JsonSchema` has the schema `true`, which
    /// allows everything.
    #[cfg(feature = "cli")]
    pub fn schema(&self) -> serde_json::Value {
        parameter::schema_of(self.definition.name(), &self.parameters())
    }

    pub(crate) fn call(&self, given: Given) -> Result<AnyFlow, ParameterError> {
        (self.call)(given)
    }
}

/// The flows of the program that can be called by name, in the order of their names: functions of their own, without type parameters.
///
/// A crate that the program never names is not linked, and neither are its flows: `use my_flows as _;` names it.
pub fn registered_flows() -> Vec<&'static RegisteredFlow> {
    let mut flows: Vec<_> = inventory::iter::<RegisteredFlow>.into_iter().collect();
    flows.sort_by_key(|flow| {
        let place = flow.definition.place();
        (flow.definition.name(), place.package, place.module)
    });
    flows
}
