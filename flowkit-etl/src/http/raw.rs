//! Parts of a JSON text as they stand in it: a number that is read and written again may be another one.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

/// What may be between values.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A value in a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// All of a text.
    ///
    /// # Errors
    /// When it is no JSON.
    pub(crate) fn new(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str::<IgnoredAny>(text)?;
        Ok(Self(text.trim_matches(SPACE)))
    }

    /// As it stands there.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    /// The value itself, if it can be in memory.
    pub(crate) fn value(self) -> Option<Value> {
        serde_json::from_str(self.0).ok()
    }

    /// What a JSON pointer names: `/data/items`.
    pub(crate) fn at(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let names = pointer.strip_prefix('/')?.split('/');
        let mut names = names.map(|name| name.replace("~1", "/").replace("~0", "~"));
        names.try_fold(self, |value, name| match value.elements() {
            Some(mut elements) => elements.nth(index(&name)?),
            None => value.member(&name),
        })
    }

    /// Its elements, if it is a list.
    pub(crate) fn elements(self) -> Option<impl Iterator<Item = Self> + Clone> {
        let mut rest = self.0.strip_prefix('[')?;
        Some(std::iter::from_fn(move || {
            let (element, after) = taken::<IgnoredAny>(rest)?.1;
            rest = after;
            Some(element)
        }))
    }

    /// Its member of this name, if it is an object that has one. Of several the last counts.
    fn member(self, name: &str) -> Option<Self> {
        let (mut rest, mut found) = (self.0.strip_prefix('{')?, None);
        while let Some((key, (_, after))) = taken::<String>(rest) {
            let (value, after) = taken::<IgnoredAny>(after)?.1;
            if key == name {
                found = Some(value);
            }
            rest = after;
        }
        found
    }
}

/// The next value of what is in a list or an object, and what comes after it; nothing at the end.
fn taken<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, (Raw<'a>, &'a str))> {
    let text = text.trim_start_matches(SPACE).trim_start_matches([',', ':']);
    let text = text.trim_start_matches(SPACE);
    let mut values = Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    let (raw, after) = text.split_at_checked(values.byte_offset())?;
    Some((value, (Raw(raw), after)))
}

/// What a pointer's name says of a list.
fn index(name: &str) -> Option<usize> {
    let is_index = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| is_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_named_is_found_as_it_stands() {
        let text = " {\"a\" : [ 1.50 , {\"}\\\"\":2e0}, [ ], null,\"]\"\n] ,\"a/~\":{\"\":true}, \"\\u0062\":1,\"b\":2} ";
        let raw = Raw::new(text).unwrap();
        let at = |pointer: &str| raw.at(pointer).map(Raw::text);
        let elements: Vec<_> = raw.at("/a").unwrap().elements().unwrap().map(Raw::text).collect();
        assert_eq!(elements, ["1.50", "{\"}\\\"\":2e0}", "[ ]", "null", "\"]\""]);
        assert_eq!(at(""), Some(text.trim()));
        assert_eq!(at("/a/1/}\""), Some("2e0"));
        assert_eq!(at("/a~1~0/"), Some("true"));
        assert_eq!(at("/b"), Some("2"));
        for absent in ["a", "/c", "/a/5", "/a/00", "/a/+1", "/b/0", "/a/4/0"] {
            assert_eq!(at(absent), None, "{absent}");
        }
        for wrong in ["", "[1,]", "{\"a\":1}}", "[1 2]"] {
            assert!(Raw::new(wrong).is_err(), "{wrong}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\{}\\[\\],:]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[ab~/\"{}]{0,2}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_is_found_where_serde_finds_it(json in json(), pretty: bool, pointer in "(/([ab]|~0|~1|[0-3])?){0,3}") {
            let text = if pretty { format!("{json:#}") } else { json.to_string() };
            let raw = Raw::new(&text).unwrap();
            let found = raw.at(&pointer).and_then(Raw::value);
            prop_assert_eq!(found.as_ref(), json.pointer(&pointer));
            let elements: Option<Vec<Value>> = raw.elements().map(|elements| elements.filter_map(Raw::value).collect());
            prop_assert_eq!(elements.as_ref(), json.as_array());
        }
    }
}
