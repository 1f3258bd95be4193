//! What Arrow's decoder of JSON cuts off without a word: the fraction of a number where numbers are whole, the time on a day, a part of a second. Text in which
//! that may be so is read once more, by serde, which is slower. In other text nothing is read twice.

use arrow_schema::{ArrowError, DataType, Field, FieldRef, SchemaRef};
use serde_json::{Deserializer, Number, Value};

use crate::exact;

/// How many digits a whole number has, at least, that is beyond those of 64 bits.
const LONG: usize = 19;
/// How long a day is in a text, at most: each of its characters may be escaped.
const ESCAPED_DAY: usize = 10 * "\\u0032".len();

/// The members that could be cut.
pub(crate) struct Watch {
    schema: SchemaRef,
    /// Of what is whole: numbers, days and times.
    whole: Vec<String>,
    /// Of days.
    days: Vec<String>,
    /// The fewest digits of a part of a second that there is place for.
    places: Option<usize>,
    /// Whether what is whole is in lists.
    in_lists: bool,
    /// Whether it is under names that nobody knows beforehand.
    in_maps: bool,
}

impl Watch {
    /// Of these columns, if there are such.
    pub(crate) fn of(schema: &SchemaRef) -> Option<Self> {
        let mut watch = Self {
            schema: schema.clone(),
            whole: Vec::new(),
            days: Vec::new(),
            places: None,
            in_lists: false,
            in_maps: false,
        };
        schema.fields().iter().for_each(|field| watch.note(field));
        (!watch.whole.is_empty()).then_some(watch)
    }

    fn note(&mut self, field: &Field) {
        let data_type = field.data_type();
        match data_type {
            DataType::Struct(fields) => fields.iter().for_each(|field| self.note(field)),
            DataType::RunEndEncoded(_, values) => {
                let values = values.as_ref().clone().with_name(field.name());
                self.note(&values);
            }
            DataType::Map(entries, _) => {
                let before = self.whole.len();
                self.note(entries);
                self.in_maps |= self.whole.len() > before;
            }
            _ if item_of(data_type).is_some() => {
                let before = self.whole.len();
                item_of(data_type).into_iter().for_each(|item| self.note(item));
                self.in_lists |= self.whole.len() > before;
            }
            _ if is_whole(data_type) => {
                self.whole.push(field.name().clone());
                if data_type == &DataType::Date32 {
                    self.days.push(field.name().clone());
                }
                self.places = [self.places, exact::places(data_type)]
                    .into_iter()
                    .flatten()
                    .min();
            }
            _ => {}
        }
    }

    /// Nothing, if the columns hold all that these objects say, one after the other.
    pub(crate) fn check(&self, text: &[u8]) -> Result<(), ArrowError> {
        if !self.is_suspect(text) {
            return Ok(());
        }
        for object in Deserializer::from_slice(text).into_iter::<Value>() {
            let object = object.map_err(|error| ArrowError::JsonError(error.to_string()))?;
            let cut = self
                .schema
                .fields()
                .iter()
                .find(|field| object.get(field.name()).is_some_and(|value| is_cut(value, field)));
            if let Some(field) = cut {
                let message = format!("`{}` says more than {} holds", field.name(), field.data_type());
                return Err(ArrowError::CastError(message));
            }
        }
        Ok(())
    }

    /// Whether something in a text looks as if it could be cut.
    fn is_suspect(&self, text: &[u8]) -> bool {
        let looks = |(at, pair): (usize, &[u8])| match pair {
            [digit, _] if !digit.is_ascii_digit() => false,
            [_, b'.' | b'e' | b'E'] => self.is_suspect_number(text, at + 1),
            [_, b'T' | b't' | b' '] if self.is_suspect_day(text, at) => true,
            [_, digit] if digit.is_ascii_digit() => false,
            _ => self.is_suspect_whole(text, at),
        };
        text.windows(2).enumerate().any(looks)
    }

    /// Whether the number that has a point or an exponent here is one of a member that has whole ones.
    fn is_suspect_number(&self, text: &[u8], at: usize) -> bool {
        let (before, part) = text.split_at(at);
        if exact::ends_in_seconds(before) {
            let digits = exact::digits_from(part.get(1..).unwrap_or_default());
            return self.places.is_some_and(|places| digits > places);
        }
        // The decoder does not take a text with a fraction for a whole number.
        let before = without(before, |byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
        self.may_be_at(Place::before(before), &self.whole)
    }

    /// Whether the whole number that ends here is one of a member that has whole ones, and is beyond those of 64 bits.
    fn is_suspect_whole(&self, text: &[u8], at: usize) -> bool {
        let text = text.get(..=at).unwrap_or_default();
        // Most numbers are shorter.
        let may_be_long = at.checked_sub(LONG - 1).and_then(|first| text.get(first));
        if !may_be_long.is_some_and(u8::is_ascii_digit) {
            return false;
        }
        let before = without(text, u8::is_ascii_digit);
        let digits = text.get(before.len()..).unwrap_or_default();
        let is_within = std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<i64>().is_ok());
        digits.len() >= LONG
            && !is_within
            && self.may_be_at(Place::before(without(before, |byte| *byte == b'-')), &self.whole)
    }

    /// Whether the day that ends here, and after which there is more, is one of a member that has days alone.
    fn is_suspect_day(&self, text: &[u8], at: usize) -> bool {
        if self.days.is_empty() || !text.get(at..).is_some_and(exact::goes_on_with_a_time) {
            return false;
        }
        let before = text.get(..at).unwrap_or_default();
        let first = without(before, |byte| byte.is_ascii_digit() || *byte == b'-');
        match first.strip_suffix(b"\"") {
            Some(before) => self.may_be_at(Place::before(before), &self.days),
            None => {
                let mut last = before
                    .iter()
                    .rev()
                    .take(ESCAPED_DAY)
                    .take_while(|byte| **byte != b'"');
                last.any(|byte| *byte == b'\\')
            }
        }
    }

    /// Whether a value that begins there may be one of these members.
    fn may_be_at(&self, place: Place<'_>, names: &[String]) -> bool {
        match place {
            Place::Member(name) => self.in_maps || names.iter().any(|known| known.as_bytes() == name),
            Place::Unnamed => true,
            Place::List => self.in_lists,
            Place::Elsewhere => false,
        }
    }
}

/// Where in a text a value begins, as far as that can be told from what stands right before it.
enum Place<'a> {
    /// After the name of a member.
    Member(&'a [u8]),
    /// After one in which something is escaped, which may be any.
    Unnamed,
    List,
    /// Where none does.
    Elsewhere,
}

impl<'a> Place<'a> {
    fn before(text: &'a [u8]) -> Self {
        let text = text.trim_ascii_end();
        if text.ends_with(b"[") || text.ends_with(b",") {
            return Self::List;
        }
        let before_colon = text.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        match before_colon.and_then(|name| name.strip_suffix(b"\"")) {
            Some(text) => name_at_end(text).map_or(Self::Unnamed, Self::Member),
            None => Self::Elsewhere,
        }
    }
}

/// The name at the end of a text, after its quote. One in which something is escaped may be another.
fn name_at_end(text: &[u8]) -> Option<&[u8]> {
    let quote = text.iter().rposition(|byte| *byte == b'"')?;
    let (before, name) = (text.get(..quote)?, text.get(quote + 1..)?);
    let is_plain = !before.ends_with(b"\\") && !name.contains(&b'\\');
    is_plain.then_some(name)
}

/// A text without those bytes at its end.
fn without(text: &[u8], is_one: impl Fn(&u8) -> bool) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_one(byte)).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

/// Whether numbers of a type have no fraction.
fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_temporal() && !matches!(data_type, DataType::Interval(_))
}

/// What is in the lists of a type.
fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// Whether a value says more than a type holds. Whether it is of that type at all is the decoder's to say.
fn is_cut(value: &Value, field: &Field) -> bool {
    match (field.data_type(), value) {
        (data_type, Value::Number(number)) if is_whole(data_type) => is_other(number, data_type),
        (data_type, Value::String(text)) => exact::is_cut(text, data_type),
        (DataType::Struct(fields), Value::Object(members)) => fields.iter().any(|field| {
            let value = members.get(field.name());
            value.is_some_and(|value| is_cut(value, field))
        }),
        (DataType::Map(entries, _), Value::Object(members)) => match entries.data_type() {
            DataType::Struct(of_entry) => of_entry
                .last()
                .is_some_and(|field| members.values().any(|value| is_cut(value, field))),
            _ => false,
        },
        (DataType::RunEndEncoded(_, values), value) => is_cut(value, values),
        (data_type, Value::Array(items)) => {
            item_of(data_type).is_some_and(|of_item| items.iter().any(|item| is_cut(item, of_item)))
        }
        _ => false,
    }
}

/// Whether a number would be another one as a whole number.
fn is_other(number: &Number, data_type: &DataType) -> bool {
    if number.is_i64() || number.is_u64() && data_type.is_integer() {
        return false;
    }
    let is_small = |number: f64| number.fract() == 0.0 && number.abs() < exact::LARGEST_WHOLE as f64;
    !number.as_f64().is_some_and(is_small)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{Schema, TimeUnit};

    use super::*;

    fn field(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    fn watch(fields: Vec<Field>) -> Watch {
        Watch::of(&Arc::new(Schema::new(fields))).unwrap()
    }

    #[test]
    fn only_what_could_be_cut_is_read_twice() {
        let watch = watch(vec![
            field("number", DataType::Int64),
            field("day", DataType::Date32),
            field("at", DataType::Timestamp(TimeUnit::Millisecond, None)),
            field("height", DataType::Float64),
        ]);
        for (text, suspect) in [
            (
                r#"{"number":10,"height":10.5,"at":"2013-02-04T10:30:00.123"}"#,
                false,
            ),
            (
                r#"{"height" : 1e3 , "day":"2013-02-04", "heights": [1.5, 2e0]}"#,
                false,
            ),
            (
                r#"{"note":"2013-02-04T10:30:00.50","other":"5.5","number":"10.5"}"#,
                false,
            ),
            // What stands in texts is no number, and no day but at the beginning.
            (r#"{"number":1,"note":"3f2504e0 v1.5, see: 2.5"}"#, false),
            (r#"{"number":1,"note":"06 12 34"}"#, false),
            (
                r#"{"number":1,"note":"https://a.b/v1.5?c=3.5","id":"4f89e0a-1e5"}"#,
                false,
            ),
            (
                r#"{"number":1,"note":"12345678901234567890, 12345678901234567890"}"#,
                false,
            ),
            (
                r#"{"number":9223372036854775807,"height":99999999999999999999}"#,
                false,
            ),
            (
                r#"{"number":1,"notes":["06 12","2013-02-04T10:30:00.123"]}"#,
                false,
            ),
            (r#"{"number":-9223372036854775809}"#, true),
            (r#"{"at": 99999999999999999999 }"#, true),
            (r#"{"day":"2013\u002d02-04T23:30:00"}"#, true),
            (r#"{"day":"\u0032013-02-04T23:30:00"}"#, true),
            (r#"{"d\u0061y":"2013-02-04T23:30:00"}"#, true),
            (r#"{"number":10.5}"#, true),
            (r#"{"number" : -1e0}"#, true),
            (r#"{"n\u0075mber":10.5}"#, true),
            (r#"{"a\"number":10.5}"#, true),
            (r#"{"day":"2013-02-04T23:30:00"}"#, true),
            (r#"{"day":"2013-02-04 23:30:00"}"#, true),
            (r#"{"at":"2013-02-04T10:30:00.1234"}"#, true),
            (r#"{"at":1360000000.5}"#, true),
        ] {
            assert_eq!(watch.is_suspect(text.as_bytes()), suspect, "{text}");
        }
        assert!(Watch::of(&Arc::new(Schema::new(vec![field("height", DataType::Float64)]))).is_none());
    }

    #[test]
    fn what_is_cut_is_found_at_any_depth_and_what_is_whole_is_none() {
        let number = || Arc::new(field("number", DataType::Int32));
        let entry = vec![field("key", DataType::Utf8), field("value", DataType::UInt64)];
        let watch = watch(vec![
            field("whole", DataType::UInt64),
            field("second", DataType::Timestamp(TimeUnit::Second, None)),
            field("list", DataType::List(number())),
            field("struct", DataType::Struct([number()].into_iter().collect())),
            field(
                "map",
                DataType::Map(Arc::new(field("entries", DataType::Struct(entry.into()))), false),
            ),
        ]);
        for (text, is_cut) in [
            (r#"{"whole":10.0} {"whole":1e3,"other":[1.5]}"#, false),
            (r#"{"whole":18446744073709551615,"list":[1.0]}"#, false),
            (
                r#"{"second":"2013-02-04T10:30:00.000","struct":{"number":-2e0,"b":0.5}}"#,
                false,
            ),
            (r#"{"map":{"a":1.0},"whole":null}"#, false),
            (r#"{"whole":1} {"whole":10.5}"#, true),
            (r#"{"whole":9007199254740993.0}"#, true),
            (r#"{"second":-9223372036854775808}"#, false),
            (r#"{"second":99999999999999999999}"#, true),
            (r#"{"list":[1,2.5]}"#, true),
            (r#"{"list":[1, -99999999999999999999]}"#, true),
            (r#"{"struct":{"number":0.5}}"#, true),
            (r#"{"map":{"a":1.5}}"#, true),
            (r#"{"second":1360000000.5}"#, true),
            (r#"{"second":"2013-02-04T10:30:00.5"}"#, true),
        ] {
            assert_eq!(watch.check(text.as_bytes()).is_err(), is_cut, "{text}");
        }
    }
}
