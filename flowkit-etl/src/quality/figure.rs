//! Which rows of a batch are good, check by check.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType, Schema};
use arrow_select::take::take;
use hashbrown::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::quality::check::Subject;
use crate::quality::compared::Common;
use crate::quality::keys::{KeySet, Keys, column_at};

/// A check of rows, as it stands after those that were seen.
pub(crate) struct Figure {
    subject: Subject,
    /// Where the columns stand that it looks at.
    at: Vec<usize>,
    /// As what two columns are compared.
    common: Common,
    keys: Option<Keys>,
    seen: KeySet,
}

impl Figure {
    pub(crate) fn new(subject: Subject, schema: &Schema) -> Result<Self> {
        let names: Vec<&String> = match &subject {
            Subject::Complete(column)
            | Subject::Within(column, ..)
            | Subject::OneOf(column, _)
            | Subject::Matching(column, _) => vec![column],
            Subject::Compared(left, _, right) => vec![left, right],
            Subject::Unique(columns) | Subject::References(columns, _) => columns.iter().collect(),
            _ => Vec::new(),
        };
        let at = names
            .iter()
            .map(|name| column_at(schema, name))
            .collect::<Result<Vec<_>>>()?;
        let types: Vec<&DataType> = at.iter().map(|at| schema.field(*at).data_type()).collect();
        let mut common = Common::Same;
        let can_be_checked = match (&subject, types.as_slice()) {
            (Subject::Within(..), [only]) => may_be_numbers(only),
            (Subject::OneOf(..) | Subject::Matching(..), [only]) => can_cast_types(only, &DataType::Utf8),
            (Subject::Compared(..), [left, right]) => match Common::of(left, right) {
                Some(found) => {
                    common = found;
                    true
                }
                None => false,
            },
            _ => true,
        };
        if !can_be_checked {
            let types: Vec<String> = types.iter().map(ToString::to_string).collect();
            let message = format!("columns of {} cannot be checked in this way", types.join(" and "));
            return Err(Error::new(ErrorKind::Options, message));
        }
        let keys = match &subject {
            Subject::Unique(columns) | Subject::References(columns, _) => Some(Keys::new(schema, columns)?),
            _ => None,
        };
        if let (Subject::References(_, referred), Some(keys)) = (&subject, &keys)
            && referred.types() != keys.types(schema)
        {
            let message =
                "the keys that are referred to are of other types: cast them, or no row would be found";
            return Err(Error::new(ErrorKind::Schema, message));
        }
        Ok(Self {
            subject,
            at,
            common,
            keys,
            seen: KeySet::default(),
        })
    }

    /// True for good rows, false for bad ones, nothing for those that do not count.
    pub(crate) fn good(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let column = |place: usize| -> Result<&ArrayRef> {
            let column = self.at.get(place).map(|at| batch.column(*at));
            column.ok_or_else(|| Error::new(ErrorKind::Options, "a check lacks a column"))
        };
        match &self.subject {
            Subject::Complete(_) => Ok(there(column(0)?)),
            Subject::Within(_, min, max) => {
                let numbers = cast(column(0)?, &DataType::Float64).map_err(broken)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                let is_good = |number: f64| number >= *min && number <= *max;
                let good = BooleanArray::from_unary(numbers, is_good);
                Ok(with_unreadable_bad(good, &[column(0)?]))
            }
            Subject::OneOf(_, values) => texts(column(0)?, |texts| {
                each_once_in_a_row(texts, |text| values.contains(text))
            }),
            Subject::Matching(_, regex) => texts(column(0)?, |texts| {
                each_once_in_a_row(texts, remembering(|text| regex.is_match(text)))
            }),
            Subject::Compared(_, comparison, _) => self.common.compare(column(0)?, *comparison, column(1)?),
            Subject::Rule(rule) => rule(batch),
            Subject::Unique(_) => {
                let (seen, mut good) = (&mut self.seen, Vec::with_capacity(batch.num_rows()));
                if let Some(keys) = &mut self.keys {
                    keys.each(batch, |_, key| good.push(seen.insert(key)))?;
                }
                Ok(BooleanArray::from(good))
            }
            Subject::References(_, referred) => {
                let mut good = Vec::with_capacity(batch.num_rows());
                if let Some(keys) = &mut self.keys {
                    let is_whole = keys.whole(batch);
                    let refers = |row, key| is_whole(row).then(|| referred.contains(key));
                    keys.each(batch, |row, key| good.push(refers(row, key)))?;
                }
                Ok(BooleanArray::from(good))
            }
            Subject::Rows | Subject::Age(..) | Subject::Drift(_) => {
                Ok(BooleanArray::new_null(batch.num_rows()))
            }
        }
    }
}

/// True where there is a value.
fn there(column: &ArrayRef) -> BooleanArray {
    match column.logical_nulls() {
        Some(nulls) => BooleanArray::new(nulls.into_inner(), None),
        None => BooleanArray::from(vec![true; column.len()]),
    }
}

/// What `judge` finds of the values of a column as texts. Of a dictionary, it is asked of each entry once.
fn texts(column: &ArrayRef, judge: impl Fn(&StringArray) -> BooleanArray) -> Result<BooleanArray> {
    let entries = column.as_any_dictionary_opt();
    let values = entries.map_or(column, |dictionary| dictionary.values());
    let values = cast(values, &DataType::Utf8).map_err(broken)?;
    let good = judge(values.as_string());
    match entries {
        Some(dictionary) => {
            let good = take(&good, dictionary.keys(), None).map_err(broken)?;
            Ok(good.as_boolean().clone())
        }
        None => Ok(good),
    }
}

/// Texts come sorted, or so many times each, more often than not: one that is equal to that before it is not looked at again.
fn each_once_in_a_row<'a>(texts: &'a StringArray, mut is_good: impl FnMut(&'a str) -> bool) -> BooleanArray {
    let mut last: Option<(&str, bool)> = None;
    BooleanArray::from_unary(texts, |text| match last {
        Some((before, good)) if before == text => good,
        _ => {
            let good = is_good(text);
            last = Some((text, good));
            good
        }
    })
}

/// How many texts are remembered: more different ones in one batch are no few that come again.
const REMEMBERED: usize = 256;

/// Remembers what was said of some texts.
fn remembering<'a>(is_good: impl Fn(&str) -> bool) -> impl FnMut(&'a str) -> bool {
    let mut said: HashMap<&str, bool> = HashMap::new();
    move |text| match said.len() < REMEMBERED {
        true => *said.entry(text).or_insert_with(|| is_good(text)),
        false => said.get(text).copied().unwrap_or_else(|| is_good(text)),
    }
}

/// Whether values of a type are numbers, or texts that may be.
fn may_be_numbers(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, of) => may_be_numbers(of),
        DataType::Null => true,
        other => other.is_numeric() || other.is_string(),
    }
}

/// The same, with rows that have a value of which nothing could be said as bad ones: it is there, and is not what it was to be.
pub(crate) fn with_unreadable_bad(good: BooleanArray, of: &[&ArrayRef]) -> BooleanArray {
    let there = of.iter().filter_map(Array::logical_nulls);
    let there = there.reduce(|some, others| (some.inner() & others.inner()).into());
    let missing = match &there {
        Some(there) => there.null_count(),
        None => 0,
    };
    if good.null_count() == missing {
        return good;
    }
    let (values, said) = good.into_parts();
    let values = match said {
        Some(said) => &values & said.inner(),
        None => values,
    };
    BooleanArray::new(values, there)
}

pub(crate) fn broken(error: ArrowError) -> Error {
    Error::new(ErrorKind::Schema, "a column cannot be checked in this way").because(error)
}
