//! What is known of a flow's parameters before it is called: what values they take, and in which form.

use std::fmt;

use serde_json::Value;

use crate::error::BoxError;
use crate::key_probe::{FromJson, SchemaOf};

/// Reads a value and lets it go.
type Read = Box<dyn Fn(Value) -> Result<(), BoxError>>;

/// A parameter of a flow that registered itself.
pub struct FlowParameter {
    name: &'static str,
    /// None if the type is not `Deserialize`.
    read: Option<Read>,
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "schemas come with the feature")
    )]
    schema: Option<SchemaOf>,
    is_secret: bool,
}

impl fmt::Debug for FlowParameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlowParameter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl FlowParameter {
    /// What the attribute says of one.
    #[doc(hidden)]
    pub fn new<T: 'static>(
        name: &'static str,
        read: Option<FromJson<T>>,
        schema: Option<SchemaOf>,
        is_secret: bool,
    ) -> Self {
        let read = read.map(|read| -> Read { Box::new(move |value| read(value).map(drop)) });
        Self {
            name,
            read,
            schema,
            is_secret,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it must be given: it cannot be read from nothing, as an `Option` can.
    pub fn is_required(&self) -> bool {
        self.accepts(Value::Null).is_err()
    }

    /// Whether it can be given from outside at all: its type is `Deserialize`.
    pub const fn is_readable(&self) -> bool {
        self.read.is_some()
    }

    /// Whether it is a [`Secret`](crate::Secret), which is not to be typed where others see it.
    pub const fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether it takes this value.
    ///
    /// # Errors
    /// In the words of the parameter's own type.
    pub fn accepts(&self, value: Value) -> Result<(), BoxError> {
        match &self.read {
            Some(read) => read(value),
            None => Err("it cannot be given from outside: its type is not `Deserialize`".into()),
        }
    }

    /// The JSON schema of its type, with the definitions it refers to; `true` if the type does not implement schemars' `JsonSchema`.
    #[cfg(feature = "cli")]
    pub fn schema(&self) -> Value {
        let mut generator = schemars::SchemaGenerator::default();
        let mut schema = self.subschema(&mut generator);
        let definitions = generator.take_definitions(true);
        if let (Value::Object(schema), false) = (&mut schema, definitions.is_empty()) {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
        schema
    }

    #[cfg(feature = "cli")]
    fn subschema(&self, generator: &mut schemars::SchemaGenerator) -> Value {
        match self.schema {
            Some(schema) => schema(generator).to_value(),
            None if self.is_secret => serde_json::json!({ "writeOnly": true }),
            None => Value::Bool(true),
        }
    }
}

/// A secret is given in the form of what it holds, and never comes back.
#[cfg(feature = "cli")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for crate::Secret<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Secret_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert("writeOnly".to_owned(), true.into());
        schema
    }
}

/// The schema of all parameters of a flow, as one object.
#[cfg(feature = "cli")]
pub(super) fn schema_of(flow: &str, parameters: &[FlowParameter]) -> Value {
    let mut generator = schemars::SchemaGenerator::default();
    let mut properties = serde_json::Map::new();
    for parameter in parameters {
        properties.insert(parameter.name.to_owned(), parameter.subschema(&mut generator));
    }
    let required: Vec<_> = parameters
        .iter()
        .filter(|parameter| parameter.is_required())
        .map(FlowParameter::name)
        .collect();
    let mut schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": flow,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let definitions = generator.take_definitions(true);
    if let (Value::Object(schema), false) = (&mut schema, definitions.is_empty()) {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}
