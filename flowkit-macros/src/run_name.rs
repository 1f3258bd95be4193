//! The template of a run's name: text with parameters in braces, as `format!` takes it.

use proc_macro2::Span;
use syn::{Error, LitStr, Result};

use crate::diagnose::list;

/// A template, and the parameters it names.
pub(crate) struct Template {
    pub(crate) text: LitStr,
    /// Each once.
    pub(crate) fields: Vec<String>,
}

/// Reads a template and checks its fields against the parameters.
pub(crate) fn parse(text: LitStr, parameters: &[String]) -> Result<Template> {
    let span = text.span();
    let value = text.value();
    if value.trim().is_empty() {
        return Err(Error::new(
            span,
            "a run's name cannot be empty: leave `run_name` out to call it like the function",
        ));
    }
    let mut fields = Vec::new();
    let mut rest = value.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (brace, after) = rest.split_at(at + 1);
        if after.starts_with(brace.chars().next_back().unwrap_or('{')) {
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
        if brace.ends_with('}') {
            return Err(unclosed(span, "a `}` that nothing opened"));
        }
        let Some(end) = after.find('}') else {
            return Err(unclosed(span, "a `{` that nothing closes"));
        };
        let (field, tail) = after.split_at(end);
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        for name in std::iter::once(name.trim()).chain(arguments_of(format)) {
            check(name, parameters, span)?;
            if !fields.iter().any(|known| known == name) {
                fields.push(name.to_owned());
            }
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    Ok(Template { text, fields })
}

/// The parameters that a format such as `>width$.precision$` takes its numbers from.
fn arguments_of(format: &str) -> impl Iterator<Item = &str> {
    let part_of_a_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let before_each_dollar = format.rsplit('$').skip(1);
    before_each_dollar.map(move |text| {
        text.rsplit(|letter| !part_of_a_name(letter))
            .next()
            .unwrap_or_default()
    })
}

fn unclosed(span: Span, what: &str) -> Error {
    Error::new(
        span,
        format!("the name has {what}; write `{{{{` or `}}}}` for a brace of its own"),
    )
}

fn check(name: &str, parameters: &[String], span: Span) -> Result<()> {
    if parameters
        .iter()
        .any(|parameter| parameter == name && name != "self")
    {
        return Ok(());
    }
    let known = list(
        parameters
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "self"),
    );
    let message = if name.is_empty() {
        format!("a field of the name is a parameter in braces; parameters: {known}")
    } else {
        format!("no parameter is called `{name}`; parameters: {known}")
    };
    Err(Error::new(span, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> std::result::Result<Vec<String>, String> {
        let text = LitStr::new(text, Span::call_site());
        parse(text, &["source".to_owned(), "n".to_owned()])
            .map(|template| template.fields)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_found_with_and_without_a_format() {
        assert_eq!(
            fields("extract-{source}-{n:>3}-{source}").unwrap(),
            ["source", "n"]
        );
        assert_eq!(fields("{source:?} {source:>n$}").unwrap(), ["source", "n"]);
        assert_eq!(fields("{{not a field}}").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn mistakes_name_the_parameters() {
        assert!(fields("{sauce}").unwrap_err().contains("`source`, `n`"));
        assert!(
            fields("{}")
                .unwrap_err()
                .contains("in braces; parameters: `source`, `n`")
        );
        assert!(fields("{source:width$}").unwrap_err().contains("`width`"));
        assert!(fields(" ").unwrap_err().contains("empty"));
        assert!(fields("{source").unwrap_err().contains("nothing closes"));
        assert!(fields("source}").unwrap_err().contains("nothing opened"));
    }
}
