//! A flow's parameters, out of the texts that somebody typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

use super::grammar;
use super::screen::Screen;
use super::secrets;
use super::trouble::Trouble;
use crate::registry::{FlowParameter, RegisteredFlow};

/// What stands for a secret in the help.
pub(super) const SECRET: &str = "SECRET";

/// A flow to be run.
pub(super) struct Wanted {
    pub(super) flow: &'static RegisteredFlow,
    pub(super) parameters: Map<String, Value>,
    pub(super) data_dir: PathBuf,
}

/// Reads what was typed after `run`. `--json` and `--data-dir` may stand there too, unless the flow has parameters of these names.
pub(super) fn read(
    program: &str,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
    data_dir: PathBuf,
) -> Result<Wanted, Trouble> {
    let (name, typed) = matches
        .subcommand()
        .ok_or_else(|| Trouble::usage("say which flow to run: `list` tells what there is"))?;
    let flow = RegisteredFlow::find(name).map_err(|error| {
        let advice = "`list` tells what there is";
        Trouble::usage(format!("flow `{name}`: {error}; {advice}"))
    })?;
    let typed: Vec<OsString> = typed
        .get_many::<OsString>("")
        .map(|typed| typed.cloned().collect())
        .unwrap_or_default();
    let known = flow.parameters();
    let matches = command(flow, &known)
        .bin_name(format!("{program} run {}", flow.definition().name()))
        .no_binary_name(true)
        .try_get_matches_from(typed)?;
    screen.json |= has(&matches, "json") && matches.get_flag("json");
    let typed_dir = if has(&matches, "data-dir") {
        matches.get_one::<PathBuf>("data-dir").cloned()
    } else {
        None
    };
    Ok(Wanted {
        flow,
        parameters: values(&known, &matches, screen)?,
        data_dir: typed_dir.unwrap_or(data_dir),
    })
}

/// The values that were given.
fn values(
    known: &[FlowParameter],
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Map<String, Value>, Trouble> {
    let mut values = Map::new();
    for parameter in known {
        let typed = matches.get_many::<String>(&id(parameter)).into_iter().flatten();
        let mut texts: Vec<&str> = typed.map(String::as_str).collect();
        let secret = secrets::read(parameter, matches)?;
        if parameter.is_secret() && !texts.is_empty() {
            screen.tell(&secrets::warning(&long(parameter)));
        }
        texts.extend(secret.as_deref());
        if !texts.is_empty() {
            values.insert(parameter.name().to_owned(), value(parameter, &texts)?);
        }
    }
    Ok(values)
}

fn has(matches: &ArgMatches, id: &str) -> bool {
    matches.ids().any(|known| known == id)
}

/// By which clap knows a parameter, apart from our own options.
fn id(parameter: &FlowParameter) -> String {
    format!("parameter {}", parameter.name())
}

/// How a parameter is typed.
pub(super) fn long(parameter: &FlowParameter) -> String {
    let name = parameter.name();
    if name.starts_with('_') {
        return name.to_owned();
    }
    name.replace('_', "-")
}

/// The grammar of one flow's parameters.
fn command(flow: &RegisteredFlow, parameters: &[FlowParameter]) -> Command {
    let definition = flow.definition();
    let taken = |option: &str| {
        parameters
            .iter()
            .any(|parameter| long(parameter) == option || parameter.name() == option)
    };
    let mut command = Command::new(definition.name())
        .about(definition.description())
        .disable_help_flag(taken("help"))
        .disable_version_flag(true);
    for own in [grammar::json(), grammar::data_dir()] {
        if !taken(own.get_id().as_str()) {
            command = command.arg(own);
        }
    }
    parameters.iter().fold(command, |command, parameter| {
        if parameter.is_secret() {
            secrets::add(command, parameter, arg(parameter), taken)
        } else {
            command.arg(arg(parameter))
        }
    })
}

fn arg(parameter: &FlowParameter) -> Arg {
    let schema = parameter.schema();
    let kind = Kind::of(&schema);
    let long = long(parameter);
    let mut arg = Arg::new(id(parameter))
        .value_name(if parameter.is_secret() {
            SECRET.to_owned()
        } else {
            kind.name()
        })
        .required(parameter.is_required() && parameter.is_readable())
        .allow_negative_numbers(!matches!(kind, Kind::Text))
        .action(ArgAction::Append)
        .num_args(1);
    if long != parameter.name() {
        arg = arg.alias(parameter.name());
    }
    if matches!(kind, Kind::Boolean) {
        arg = arg.num_args(0..=1).default_missing_value("true");
    }
    if let Some(described) = schema.get("description").and_then(Value::as_str) {
        arg = arg.help(described.to_owned());
    }
    arg.long(long)
}

/// What sort of value a schema allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// One of these texts.
    OneOf(Vec<String>),
    Integer,
    Number,
    Boolean,
    /// A list of these.
    List(Box<Self>),
    Object,
    /// Nobody said.
    Unknown,
}

impl Kind {
    pub(super) fn of(schema: &Value) -> Self {
        Self::within(schema, schema, 0)
    }

    /// The sort that a part of a schema allows. References lead into the whole; a chain of them is followed only so far.
    fn within(whole: &Value, part: &Value, depth: u32) -> Self {
        if depth > 8 {
            return Self::Unknown;
        }
        let reference = part.get("$ref").and_then(Value::as_str);
        if let Some(target) = reference.and_then(|to| whole.pointer(to.trim_start_matches('#'))) {
            return Self::within(whole, target, depth + 1);
        }
        if let Some(texts) = texts_of(part) {
            return Self::OneOf(texts);
        }
        for one_of in ["anyOf", "oneOf"] {
            let choices = part.get(one_of).and_then(Value::as_array);
            let kinds = choices.into_iter().flatten().filter(|choice| !is_null(choice));
            let kinds: Vec<_> = kinds
                .map(|choice| Self::within(whole, choice, depth + 1))
                .collect();
            if let [kind] = kinds.as_slice() {
                return kind.clone();
            }
        }
        let types = part.get("type");
        let has = |wanted: &str| match types {
            Some(Value::String(name)) => name == wanted,
            Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
            _ => false,
        };
        match () {
            () if has("string") => Self::Text,
            () if has("integer") => Self::Integer,
            () if has("number") => Self::Number,
            () if has("boolean") => Self::Boolean,
            () if has("array") => {
                let items = part.get("items").unwrap_or(&Value::Bool(true));
                Self::List(Box::new(Self::within(whole, items, depth + 1)))
            }
            () if has("object") => Self::Object,
            () => Self::Unknown,
        }
    }

    /// What stands for a value in the help.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text => "TEXT".to_owned(),
            Self::OneOf(texts) => texts.join("|"),
            Self::Integer => "INTEGER".to_owned(),
            Self::Number => "NUMBER".to_owned(),
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::List(kind) => format!("{}…", kind.name()),
            Self::Object => "JSON".to_owned(),
            Self::Unknown => "VALUE".to_owned(),
        }
    }

    /// The value that a text stands for: what it most likely is first.
    fn readings(&self, text: &str) -> Vec<Value> {
        let plain = Value::String(text.to_owned());
        let json = serde_json::from_str::<Value>(text).ok();
        match self {
            Self::Text | Self::OneOf(_) => std::iter::once(plain).chain(json).collect(),
            _ => json.into_iter().chain([plain]).collect(),
        }
    }
}

/// The texts of an enum without contents.
fn texts_of(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().filter(|value| !value.is_null()).map(text).collect();
    }
    match schema.get("oneOf") {
        Some(Value::Array(choices)) => choices
            .iter()
            .map(|choice| choice.get("const").and_then(text))
            .collect(),
        _ => None,
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

/// The value of a parameter: the first reading that its type takes.
fn value(parameter: &FlowParameter, texts: &[&str]) -> Result<Value, Trouble> {
    let kind = Kind::of(&parameter.schema());
    let readings = match (&kind, texts) {
        (Kind::List(items), texts) => {
            let each = texts
                .iter()
                .filter_map(|text| items.readings(text).into_iter().next());
            let listed = Value::Array(each.collect());
            let whole = match texts {
                [text] => serde_json::from_str::<Value>(text).ok().filter(Value::is_array),
                _ => None,
            };
            whole.into_iter().chain([listed]).collect()
        }
        (kind, [text]) => kind.readings(text),
        _ => {
            let name = parameter.name();
            return Err(Trouble::usage(format!(
                "parameter `{name}`: it is given more than once"
            )));
        }
    };
    let mut refused = None;
    for reading in readings {
        match parameter.accepts(reading.clone()) {
            Ok(()) => return Ok(reading),
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    let reason = refused.map_or_else(|| "it has no value".to_owned(), |error| error.to_string());
    Err(Trouble::usage(format!(
        "parameter `{}`: {reason}",
        parameter.name()
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sort_of_a_value_is_read_out_of_its_schema() {
        for (schema, kind) in [
            (json!({"type": "string"}), Kind::Text),
            (
                json!({"type": ["integer", "null"], "format": "uint32"}),
                Kind::Integer,
            ),
            (json!(true), Kind::Unknown),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                Kind::List(Box::new(Kind::Text)),
            ),
            (
                json!({"$ref": "#/$defs/Mode", "$defs": {"Mode": {"type": "string", "enum": ["fast", "slow"]}}}),
                Kind::OneOf(vec!["fast".into(), "slow".into()]),
            ),
            (
                json!({"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}], "$defs": {"Mode": {"oneOf": [{"const": "a"}, {"const": "b"}]}}}),
                Kind::OneOf(vec!["a".into(), "b".into()]),
            ),
            (json!({"$ref": "#"}), Kind::Unknown),
        ] {
            assert_eq!(Kind::of(&schema), kind, "{schema}");
        }
    }

    #[test]
    fn a_text_parameter_takes_a_number_for_a_text_and_the_others_take_json() {
        assert_eq!(Kind::Text.readings("12").first(), Some(&json!("12")));
        assert_eq!(Kind::Integer.readings("12").first(), Some(&json!(12)));
        assert_eq!(Kind::Unknown.readings("[1, 2]").first(), Some(&json!([1, 2])));
        assert_eq!(Kind::Unknown.readings("north").first(), Some(&json!("north")));
    }
}
