//! One measurement of one plant on one day: its columns, as the file spells it and as the program understands it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A column of the measurements file. Serialized under the name that the file's header gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Column {
    #[serde(rename = "Ref")]
    Ref,
    ExperimentAlias,
    #[serde(rename = "Day")]
    Day,
    PotAlias,
    Scenario,
    GenotypeAlias,
    Repetition,
    #[serde(rename = "Line")]
    Line,
    #[serde(rename = "Position")]
    Position,
    ThermalTime,
    PlantHeight,
    LeafArea,
    Biovolume,
    #[serde(rename = "Repsce")]
    Repsce,
}

impl Column {
    /// Every column, in the order in which a [`RawRecord`] holds its fields and a generated season writes them.
    pub(crate) const ALL: [Self; 14] = [
        Self::Ref,
        Self::ExperimentAlias,
        Self::Day,
        Self::PotAlias,
        Self::Scenario,
        Self::GenotypeAlias,
        Self::Repetition,
        Self::Line,
        Self::Position,
        Self::ThermalTime,
        Self::PlantHeight,
        Self::LeafArea,
        Self::Biovolume,
        Self::Repsce,
    ];

    /// The columns of what was measured: only these may be empty.
    pub(crate) const MEASURED: [Self; 4] = [
        Self::ThermalTime,
        Self::PlantHeight,
        Self::LeafArea,
        Self::Biovolume,
    ];

    /// The name in the file's header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ref => "Ref",
            Self::ExperimentAlias => "experimentAlias",
            Self::Day => "Day",
            Self::PotAlias => "potAlias",
            Self::Scenario => "scenario",
            Self::GenotypeAlias => "genotypeAlias",
            Self::Repetition => "repetition",
            Self::Line => "Line",
            Self::Position => "Position",
            Self::ThermalTime => "thermalTime",
            Self::PlantHeight => "plantHeight",
            Self::LeafArea => "leafArea",
            Self::Biovolume => "biovolume",
            Self::Repsce => "Repsce",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A record as it stands in the file, unchecked, in the order of [`Column::ALL`] whatever the order in the file.
///
/// The fields lie in one string, so that tens of thousands of records are restored from a cache with one allocation each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawRecord {
    /// The line of the file on which the record begins; the header's is 1.
    pub(crate) line: u64,
    text: String,
    ends: [usize; Column::ALL.len()],
}

impl RawRecord {
    /// The record of line `line` whose field of each column is what `field` says.
    pub(crate) fn new<'a>(line: u64, mut field: impl FnMut(Column) -> &'a str) -> Self {
        let mut text = String::new();
        let ends = Column::ALL.map(|column| {
            text.push_str(field(column));
            text.len()
        });
        Self { line, text, ends }
    }

    /// The field of `column`; empty when the value is missing.
    pub(crate) fn field(&self, column: Column) -> &str {
        let index = column as usize;
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// How a plant is watered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Scenario {
    /// Water deficit.
    #[serde(rename = "WD")]
    WaterDeficit,
    /// Well watered.
    #[serde(rename = "WW")]
    WellWatered,
}

impl Scenario {
    /// Both scenarios, sorted by their names.
    pub(crate) const ALL: [Self; 2] = [Self::WaterDeficit, Self::WellWatered];

    /// The name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WaterDeficit => "WD",
            Self::WellWatered => "WW",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A record that keeps to the schema and its constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// The line of the file on which the record begins.
    pub(crate) source_line: u64,
    /// `Ref`: the plant's identity in the greenhouse.
    pub(crate) plant: String,
    pub(crate) experiment: String,
    pub(crate) day: Date,
    pub(crate) pot: String,
    pub(crate) scenario: Scenario,
    pub(crate) genotype: String,
    pub(crate) repetition: u32,
    /// `Line` and `Position`: the plant's place.
    pub(crate) line: u32,
    pub(crate) position: u32,
    /// Accumulated since sowing; not below 0.
    pub(crate) thermal_time: Option<f64>,
    /// Millimetres, above 0.
    pub(crate) height: Option<f64>,
    /// Square metres, not below 0.
    pub(crate) leaf_area: Option<f64>,
    /// Grams, not below 0.
    pub(crate) biovolume: Option<f64>,
    /// `Repsce`: repetition and scenario.
    pub(crate) repetition_scenario: String,
}

/// What was measured of each plant, by day. Of several rows with one plant and day, the last in the file counts.
pub(crate) fn by_plant_and_day<'a>(
    measurements: impl IntoIterator<Item = &'a Measurement>,
) -> BTreeMap<&'a str, BTreeMap<Date, &'a Measurement>> {
    let mut plants: BTreeMap<&str, BTreeMap<Date, &Measurement>> = BTreeMap::new();
    for measurement in measurements {
        plants
            .entry(&measurement.plant)
            .or_default()
            .insert(measurement.day, measurement);
    }
    plants
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A valid measurement of plant `x_1_1_WW` on 1 April, for tests to change.
    pub(crate) fn measurement() -> Measurement {
        Measurement {
            source_line: 2,
            plant: "x_1_1_WW".into(),
            experiment: "x".into(),
            day: jiff::civil::date(2024, 4, 1),
            pot: "1".into(),
            scenario: Scenario::WellWatered,
            genotype: "A".into(),
            repetition: 1,
            line: 1,
            position: 1,
            thermal_time: Some(1.5),
            height: Some(100.0),
            leaf_area: Some(0.02),
            biovolume: Some(1.0),
            repetition_scenario: "1_WW".into(),
        }
    }

    /// The fields of that measurement, with those of `changed` in their place.
    pub(crate) fn raw_with(changed: &[(Column, &'static str)]) -> RawRecord {
        let valid = [
            "x_1_1_WW",
            "x",
            "2024-04-01",
            "1",
            "WW",
            "A",
            "1",
            "1",
            "1",
            "1.5",
            "100",
            "0.02",
            "1",
            "1_WW",
        ];
        RawRecord::new(2, |column| {
            let change = changed.iter().find(|(name, _)| *name == column);
            change.map_or(valid[column as usize], |(_, text)| text)
        })
    }

    #[test]
    fn a_column_is_serialized_under_its_name_in_the_header() {
        for column in Column::ALL {
            assert_eq!(serde_json::to_value(column).unwrap(), column.name());
        }
        for scenario in Scenario::ALL {
            assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.name());
        }
    }

    #[test]
    fn a_raw_record_gives_back_each_field_even_an_empty_one() {
        let names = RawRecord::new(7, Column::name);
        for column in Column::ALL {
            assert_eq!(names.field(column), column.name());
        }
        let gaps = raw_with(&[(Column::Ref, ""), (Column::LeafArea, ""), (Column::Repsce, "")]);
        assert_eq!(gaps.field(Column::Ref), "");
        assert_eq!(gaps.field(Column::ExperimentAlias), "x");
        assert_eq!(gaps.field(Column::LeafArea), "");
        assert_eq!(gaps.field(Column::Biovolume), "1");
        assert_eq!(gaps.field(Column::Repsce), "");
    }

    #[test]
    fn of_two_rows_of_one_plant_and_day_the_last_in_the_file_counts() {
        let first = measurement();
        let mut again = measurement();
        again.source_line = 9;
        again.height = None;
        let rows = [first, again];
        let plants = by_plant_and_day(&rows);
        let days = &plants["x_1_1_WW"];
        assert_eq!(days.len(), 1);
        assert_eq!(days[&jiff::civil::date(2024, 4, 1)].source_line, 9);
    }
}
