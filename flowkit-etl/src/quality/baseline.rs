//! How the values of a column were distributed, and how far others are distributed otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
use futures::StreamExt;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::quality::figure::broken;
use crate::quality::keys::column_at;
use crate::stream::BatchStream;

/// How many values of a column of numbers are looked at to find where its tenths begin.
const SAMPLE: usize = 20_000;
/// How many values of a column of texts are told apart; the rest are others.
const MOST_VALUES: usize = 1000;
/// A number that is one in so many of them is a group of its own.
const TIED: usize = 20;
/// What differs from a number by this part of it is not told apart from it there.
const SAME: f64 = 1e-12;
/// No bound is farther from 0: what is, and what is infinite, is in the outermost groups.
const FARTHEST: f64 = 1e300;
/// The share that an empty group counts as, so that the index stays finite.
const EMPTY: f64 = 1e-4;

/// How the values of a column are distributed: a column of numbers over the tenths of its values, any other over its values as texts. A number that is one in twenty of all is a group of its own, and
/// NaN counts as missing. It serializes, to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    column: String,
    groups: Groups,
    /// The share of each group, and last that of missing values.
    shares: Vec<f64>,
}

/// Into what values are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Groups {
    /// Numbers below the first bound, from it to below the second, and so on.
    Bounds(Vec<f64>),
    /// Texts, each with its place; others are one group behind them.
    Values(BTreeMap<String, usize>),
}

impl Baseline {
    /// Records how a column of a stream is distributed. Where the tenths of numbers begin is estimated from 20,000 of them, drawn evenly, which is the same each time.
    ///
    /// # Errors
    /// The stream's error, or that there is no such column, or that it has no rows.
    pub async fn record(mut stream: BatchStream, column: impl Into<String>) -> Result<Self> {
        let column = column.into();
        let at = column_at(stream.schema(), &column)?;
        let mut recording = Recording::new(stream.schema().field(at).data_type());
        while let Some(batch) = stream.next().await {
            recording.observe(&batch?, at)?;
        }
        recording.finish(column)
    }

    /// The column that it is of.
    pub fn column(&self) -> &str {
        &self.column
    }
}

/// A baseline in the making.
struct Recording {
    is_number: bool,
    random: fastrand::Rng,
    sample: Vec<f64>,
    values: HashMap<String, u64>,
    others: u64,
    present: u64,
    missing: u64,
}

impl Recording {
    fn new(data_type: &DataType) -> Self {
        Self {
            is_number: data_type.is_numeric(),
            // Of a fixed seed, so that the same data have the same baseline.
            random: fastrand::Rng::with_seed(0),
            sample: Vec::new(),
            values: HashMap::new(),
            others: 0,
            present: 0,
            missing: 0,
        }
    }

    fn observe(&mut self, batch: &RecordBatch, at: usize) -> Result<()> {
        if self.is_number {
            let numbers = cast(batch.column(at), &DataType::Float64).map_err(broken)?;
            for number in numbers.as_primitive::<Float64Type>() {
                self.observe_number(number);
            }
            return Ok(());
        }
        let texts = cast(batch.column(at), &DataType::Utf8).map_err(broken)?;
        let texts: &StringArray = texts.as_string();
        for text in texts {
            match text {
                None => self.missing += 1,
                Some(text) => self.observe_text(text),
            }
        }
        Ok(())
    }

    fn observe_number(&mut self, number: Option<f64>) {
        let Some(number) = number.filter(|number| !number.is_nan()) else {
            self.missing += 1;
            return;
        };
        self.present += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(number);
        } else if let Ok(place) = usize::try_from(self.random.u64(..self.present))
            && let Some(place) = self.sample.get_mut(place)
        {
            *place = number;
        }
    }

    fn observe_text(&mut self, text: &str) {
        self.present += 1;
        let is_full = self.values.len() >= MOST_VALUES;
        match self.values.get_mut(text) {
            Some(count) => *count += 1,
            None if is_full => self.others += 1,
            None => drop(self.values.insert(text.to_owned(), 1)),
        }
    }

    fn finish(mut self, column: String) -> Result<Baseline> {
        let rows = self.present + self.missing;
        if rows == 0 {
            let message = format!("`{column}` has no rows to be a baseline");
            return Err(Error::new(ErrorKind::Quality, message));
        }
        let (groups, counts) = if self.is_number {
            self.sample.sort_by(f64::total_cmp);
            let bounds = bounds_of(&self.sample);
            let mut counts = vec![0.0; bounds.len() + 1];
            for number in &self.sample {
                if let Some(count) = counts.get_mut(group_of(&bounds, *number)) {
                    *count += self.present as f64 / self.sample.len() as f64;
                }
            }
            (Groups::Bounds(bounds), counts)
        } else {
            let values: BTreeMap<String, u64> = self.values.into_iter().collect();
            let mut counts: Vec<f64> = values.values().map(|count| *count as f64).collect();
            counts.push(self.others as f64);
            let places = values
                .into_keys()
                .enumerate()
                .map(|(place, value)| (value, place));
            (Groups::Values(places.collect()), counts)
        };
        let shares = counts
            .into_iter()
            .chain([self.missing as f64])
            .map(|count| count / rows as f64);
        Ok(Baseline {
            column,
            groups,
            shares: shares.collect(),
        })
    }
}

/// Where the tenths of numbers begin, and where the numbers begin and end of which there are many: what is above or below them would else be in one group with them.
///
/// All bounds survive JSON, which has no infinity and may lose the last bit of a number: such a one is far from any number of which there are many.
fn bounds_of(sorted: &[f64]) -> Vec<f64> {
    let tied = sorted
        .chunk_by(|one, other| one == other)
        .filter(|tie| tie.len() > 1 && tie.len() * TIED >= sorted.len());
    let around = |number: f64| {
        let (number, margin) = (
            number.clamp(-FARTHEST, FARTHEST),
            (number.abs().min(FARTHEST) * SAME).max(f64::MIN_POSITIVE),
        );
        [number - margin, number + margin]
    };
    let ties: Vec<[f64; 2]> = tied.filter_map(|tie| tie.first().copied().map(around)).collect();
    let is_tied = |number: &f64| ties.iter().any(|[begin, end]| begin <= number && number < end);
    let tenths = (1..10)
        .filter_map(|tenth| sorted.get(sorted.len() * tenth / 10).copied())
        .filter(|number| !is_tied(number));
    let bounds = tenths.chain(ties.iter().flatten().copied());
    let mut bounds: Vec<f64> = bounds.map(|bound| bound.clamp(-FARTHEST, FARTHEST)).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds
}

fn group_of(bounds: &[f64], number: f64) -> usize {
    bounds.partition_point(|bound| *bound <= number)
}

/// How values that pass are distributed over the groups of a baseline.
pub(crate) struct Distribution {
    baseline: Arc<Baseline>,
    /// The places of the baseline's texts, to be found fast.
    places: HashMap<String, usize>,
    at: usize,
    counts: Vec<u64>,
}

impl Distribution {
    pub(crate) fn new(baseline: Arc<Baseline>, schema: &Schema) -> Result<Self> {
        let at = column_at(schema, &baseline.column)?;
        let is_number = schema.field(at).data_type().is_numeric();
        if is_number != matches!(baseline.groups, Groups::Bounds(_)) {
            let message = format!(
                "`{}` is of another type than when its baseline was recorded",
                baseline.column
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
        let places = match &baseline.groups {
            Groups::Bounds(_) => HashMap::new(),
            Groups::Values(places) => places
                .iter()
                .map(|(text, place)| (text.clone(), *place))
                .collect(),
        };
        Ok(Self {
            at,
            places,
            counts: vec![0; baseline.shares.len()],
            baseline,
        })
    }

    pub(crate) fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = batch.column(self.at);
        let missing = self.counts.len() - 1;
        let mut count = |group: Option<usize>| {
            if let Some(count) = self.counts.get_mut(group.unwrap_or(missing)) {
                *count += 1;
            }
        };
        match &self.baseline.groups {
            Groups::Bounds(bounds) => {
                let numbers = cast(column, &DataType::Float64).map_err(broken)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                numbers
                    .iter()
                    .map(|number| number.filter(|number| !number.is_nan()))
                    .for_each(|number| count(number.map(|number| group_of(bounds, number))));
            }
            Groups::Values(_) => {
                let texts = cast(column, &DataType::Utf8).map_err(broken)?;
                let texts: &StringArray = texts.as_string();
                let places = &self.places;
                let place = |text: &str| places.get(text).copied().unwrap_or(places.len());
                texts.iter().for_each(|text| count(text.map(place)));
            }
        }
        Ok(())
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The population stability index: 0 where nothing differs. Nothing where there are no rows.
    pub(crate) fn stability_index(&self) -> Option<f64> {
        let rows = self.counted();
        if rows == 0 {
            return None;
        }
        let groups = self
            .baseline
            .shares
            .iter()
            .zip(&self.counts)
            .map(|(share, count)| {
                let (before, now) = (*share, *count as f64 / rows as f64);
                if before == now {
                    return 0.0;
                }
                let (before, now) = (before.max(EMPTY), now.max(EMPTY));
                (now - before) * (now / before).ln()
            });
        Some(groups.sum())
    }
}
