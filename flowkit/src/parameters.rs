//! The parameters of a flow as they are written down and given from outside: for a journal, and for who names a flow and its parameters as text.

use std::collections::BTreeMap;
use std::fmt;

use flowkit_cache::codec;
use flowkit_journal::record::Parameters;

use crate::error::BoxError;
use crate::input::Input;
use crate::key_probe::{Codec, FromJson, ToJson};

/// The inputs of a flow, written down.
#[derive(Debug, Default)]
pub struct Shown {
    json: serde_json::Map<String, serde_json::Value>,
    /// None of what cannot be stored: a flow that takes such a parameter is not restored by the rest alone.
    stored: Vec<(String, Option<Vec<u8>>)>,
}

impl Shown {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes an input down, as far as its type can be.
    pub fn add<T>(
        &mut self,
        name: &'static str,
        input: &Input<T>,
        codec: Option<Codec<T>>,
        to_json: Option<ToJson<T>>,
    ) {
        let value = input.peek();
        if let Some(value) = value {
            let json = to_json.and_then(|to_json| to_json(value).ok());
            self.json.insert(name.to_owned(), json.unwrap_or_default());
        }
        let stored = match value.and_then(|value| Some((codec?.encode)(value))) {
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(error)) => {
                tracing::debug!(target: "flowkit", parameter = name, %error, "a parameter is not recorded: its flow cannot be resumed by its id alone");
                None
            }
            // A secret, or a type that is not both `Serialize` and `Deserialize`.
            None => None,
        };
        self.stored.push((name.to_owned(), stored));
    }

    /// What is recorded of them.
    pub(crate) fn record(self) -> Parameters {
        Parameters {
            json: serde_json::to_string(&self.json).ok(),
            bytes: codec::encode(&self.stored).unwrap_or_default(),
        }
    }
}

/// Whether both read alike as JSON. Whatever order lists are in: a set has another one each time, and nothing says which of them are sets.
pub(crate) fn read_alike(one: &Parameters, other: &Parameters) -> bool {
    let read = |parameters: &Parameters| {
        let json = parameters.json.as_deref()?;
        serde_json::from_str::<serde_json::Value>(json)
            .ok()
            .map(without_order)
    };
    one.json == other.json || read(one).is_some_and(|one| Some(one) == read(other))
}

fn without_order(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(values) => {
            let mut values: Vec<_> = values.into_iter().map(without_order).collect();
            values.sort_by_cached_key(Value::to_string);
            Value::Array(values)
        }
        Value::Object(values) => {
            let values = values
                .into_iter()
                .map(|(name, value)| (name, without_order(value)));
            Value::Object(values.collect())
        }
        other => other,
    }
}

/// The parameters that a flow is given from outside.
#[derive(Debug)]
pub struct Given(Source);

#[derive(Debug)]
enum Source {
    /// As a journal has them, and as somebody gives some of them again.
    Stored(
        BTreeMap<String, Option<Vec<u8>>>,
        serde_json::Map<String, serde_json::Value>,
    ),
    /// As people write them.
    Json(serde_json::Map<String, serde_json::Value>),
}

/// A parameter that was not given as the flow takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterError {
    /// Its name; empty if it is about all of them.
    pub parameter: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parameter.is_empty() {
            return formatter.write_str(&self.reason);
        }
        write!(formatter, "parameter `{}`: {}", self.parameter, self.reason)
    }
}

impl std::error::Error for ParameterError {}

impl Given {
    /// What a journal recorded, and in place of some of it what somebody gives again.
    ///
    /// # Errors
    /// When the parameters were not recorded, or cannot be read.
    pub(crate) fn recorded(
        parameters: Option<&Parameters>,
        again: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, ParameterError> {
        let about_all = |reason: String| ParameterError {
            parameter: String::new(),
            reason,
        };
        if parameters.is_some_and(Parameters::is_left_out) {
            let reason = "the run's parameters were not recorded, since they are too large: resume it with `resume_call`, and give them again";
            return Err(about_all(reason.to_owned()));
        }
        let bytes = parameters.map_or(&[][..], |parameters| &parameters.bytes);
        if bytes.is_empty() {
            let reason =
                "the run's parameters were not recorded: resume it with `resume_call`, and give them again";
            return Err(about_all(reason.to_owned()));
        }
        let stored: Vec<(String, Option<Vec<u8>>)> = codec::decode(bytes)
            .map_err(|error| about_all(format!("the recorded parameters cannot be read: {error}")))?;
        Ok(Self(Source::Stored(stored.into_iter().collect(), again)))
    }

    /// What somebody wrote.
    pub(crate) fn json(parameters: serde_json::Map<String, serde_json::Value>) -> Self {
        Self(Source::Json(parameters))
    }

    /// Takes one out.
    ///
    /// # Errors
    /// When it is not there, or not what the flow takes.
    pub fn take<T>(
        &mut self,
        name: &'static str,
        codec: Option<Codec<T>>,
        from_json: Option<FromJson<T>>,
    ) -> Result<T, ParameterError> {
        let error = |reason: String| ParameterError {
            parameter: name.to_owned(),
            reason,
        };
        let wrong = |reason: BoxError| error(reason.to_string());
        let from_json = || {
            from_json.ok_or_else(|| {
                error("it cannot be given from outside: its type is not `Deserialize`".to_owned())
            })
        };
        match &mut self.0 {
            Source::Stored(stored, again) => {
                let recorded = stored.remove(name);
                if let Some(value) = again.remove(name) {
                    return from_json()?(value).map_err(wrong);
                }
                let recorded = recorded
                    .ok_or_else(|| error("it was not recorded: the flow has gained it since".to_owned()))?;
                let bytes = recorded.ok_or_else(|| {
                    error(
                        "it was not recorded, since it cannot be stored (it is a `Secret`, or its type is not both `Serialize` and `Deserialize`): resume the run with \
                         `resume_call`, and give the parameters again"
                            .to_owned(),
                    )
                })?;
                let codec = codec.ok_or_else(|| error("its type can no longer be stored".to_owned()))?;
                (codec.decode)(&bytes).map_err(wrong)
            }
            Source::Json(given) => match given.remove(name) {
                Some(value) => from_json()?(value).map_err(wrong),
                // What may be left out can be read from nothing.
                None => from_json()?(serde_json::Value::Null).map_err(|_| error("it is missing".to_owned())),
            },
        }
    }

    /// Sees to it that nothing was given that the flow does not take.
    ///
    /// # Errors
    /// With the name of what is too much.
    pub fn finish(self, known: &[&str]) -> Result<(), ParameterError> {
        let left = match self.0 {
            Source::Stored(stored, again) => stored
                .into_keys()
                .chain(again.into_iter().map(|(name, _)| name))
                .next(),
            Source::Json(given) => given.into_iter().next().map(|(name, _)| name),
        };
        match left {
            None => Ok(()),
            Some(parameter) => Err(ParameterError {
                parameter,
                reason: match known {
                    [] => "the flow takes no parameters".to_owned(),
                    known => format!("the flow has none of this name; it takes {}", known.join(", ")),
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: Codec<f64> = Codec {
        encode: |number| Ok(codec::encode(number)?),
        decode: |bytes| Ok(codec::decode(bytes)?),
        from_json: |value| Ok(serde_json::from_value(value)?),
    };

    #[test]
    fn what_is_given_again_stands_in_place_of_what_was_recorded_and_the_rest_is_as_it_was() {
        let mut shown = Shown::new();
        shown.add("share", &Input::value(f64::NAN), Some(NUMBER), None);
        shown.add("limit", &Input::value(2.5), Some(NUMBER), None);
        shown.add("password", &Input::value(1.0), None, None);
        let recorded = shown.record();
        let again = [("limit", 3.5), ("password", 1.0)].map(|(name, value)| (name.to_owned(), value.into()));
        let mut given = Given::recorded(Some(&recorded), again.into_iter().collect()).unwrap();
        let mut take = |name| given.take(name, Some(NUMBER), Some(NUMBER.from_json)).unwrap();
        assert!(take("share").is_nan(), "JSON has no such number");
        assert_eq!([take("limit"), take("password")], [3.5, 1.0]);
        given.finish(&[]).unwrap();
        let mut alone = Given::recorded(Some(&recorded), serde_json::Map::new()).unwrap();
        let error = alone.take("password", Some(NUMBER), None).unwrap_err();
        assert!(error.reason.contains("it is a `Secret`"), "{error}");
    }

    #[test]
    fn parameters_read_alike_whatever_order_a_set_in_them_has() {
        let of = |json: &str| Parameters {
            json: Some(json.to_owned()),
            bytes: Vec::new(),
        };
        let one = of(r#"{"colours": ["red", {"b": [2, 1]}], "n": 1}"#);
        assert!(read_alike(
            &one,
            &of(r#"{"n": 1, "colours": [{"b": [1, 2]}, "red"]}"#)
        ));
        assert!(!read_alike(
            &one,
            &of(r#"{"n": 2, "colours": [{"b": [1, 2]}, "red"]}"#)
        ));
    }

    #[test]
    fn parameters_that_were_too_large_to_be_recorded_are_not_restored_and_say_why() {
        let note = Parameters::left_out(5_000_000_000);
        let error = Given::recorded(Some(&note), serde_json::Map::new()).unwrap_err();
        assert!(error.reason.contains("they are too large"), "{error}");
        let own = Parameters {
            json: Some("{\"n\":1}".to_owned()),
            bytes: Vec::new(),
        };
        assert!(
            !own.is_left_out(),
            "of a secret nothing is stored, which is something else"
        );
    }
}
