//! Validate: from raw records to measurements, by a typed schema and its constraints.
//!
//! A record that breaks them is set aside and reported with everything that is wrong with it; the others go on. When
//! more than [`MAX_REJECTED_SHARE`] of them are bad, the file is, and the run fails.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::extract::quoted;
use crate::record::{Column, Measurement, RawRecord, Scenario};

/// The share of rejected records that a file may have.
pub(crate) const MAX_REJECTED_SHARE: f64 = 0.05;

/// What became of the records of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Validated {
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) rejected: Vec<Rejected>,
}

/// A record that was set aside, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejected {
    pub(crate) line: u64,
    pub(crate) violations: Vec<Violation>,
}

/// One thing that is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Violation {
    pub(crate) field: Column,
    /// What the file has there.
    pub(crate) value: String,
    pub(crate) reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        for (index, violation) in self.violations.iter().enumerate() {
            write!(f, "{} {violation}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, reason } = self;
        if value.is_empty() {
            write!(f, "{field} {reason}")
        } else {
            write!(f, "{field} {} {reason}", quoted(value))
        }
    }
}

/// Why the records of a file are not used at all.
#[derive(Debug, Error)]
pub(crate) enum ValidateError {
    #[error(
        "{}: {rejected} of {records} records are invalid, more than {:.0} %; the first at {first}",
        file.display(),
        MAX_REJECTED_SHARE * 100.0
    )]
    TooManyRejected {
        file: PathBuf,
        records: usize,
        rejected: usize,
        first: Rejected,
    },
}

/// Check every one of `records`, which come from `file`.
pub(crate) fn validate(file: &Path, records: &[RawRecord]) -> Result<Validated, ValidateError> {
    let mut measurements = Vec::with_capacity(records.len());
    let mut rejected = Vec::new();
    for record in records {
        match check(record) {
            Ok(measurement) => measurements.push(measurement),
            Err(violations) => rejected.push(Rejected {
                line: record.line,
                violations,
            }),
        }
    }
    match rejected.first() {
        Some(first) if rejected.len() as f64 / records.len() as f64 > MAX_REJECTED_SHARE => {
            Err(ValidateError::TooManyRejected {
                file: file.to_owned(),
                records: records.len(),
                rejected: rejected.len(),
                first: first.clone(),
            })
        }
        _ => Ok(Validated {
            measurements,
            rejected,
        }),
    }
}

/// One record against the schema: a measurement, or all that is wrong with it.
fn check(record: &RawRecord) -> Result<Measurement, Vec<Violation>> {
    let mut fields = Fields {
        record,
        violations: Vec::new(),
    };
    let plant = fields.text(Column::Ref);
    let experiment = fields.text(Column::ExperimentAlias);
    let day = fields.day(Column::Day);
    let pot = fields.text(Column::PotAlias);
    let scenario = fields.scenario(Column::Scenario);
    let genotype = fields.text(Column::GenotypeAlias);
    let repetition = fields.count(Column::Repetition);
    let line = fields.count(Column::Line);
    let position = fields.count(Column::Position);
    let thermal_time = fields.measured(Column::ThermalTime, not_negative);
    let height = fields.measured(Column::PlantHeight, positive);
    let leaf_area = fields.measured(Column::LeafArea, not_negative);
    let biovolume = fields.measured(Column::Biovolume, not_negative);
    let repetition_scenario = fields.text(Column::Repsce);

    // Nothing is missing exactly when there was no violation.
    let measurement = || {
        Some(Measurement {
            source_line: record.line,
            plant: plant?,
            experiment: experiment?,
            day: day?,
            pot: pot?,
            scenario: scenario?,
            genotype: genotype?,
            repetition: repetition?,
            line: line?,
            position: position?,
            thermal_time: thermal_time?,
            height: height?,
            leaf_area: leaf_area?,
            biovolume: biovolume?,
            repetition_scenario: repetition_scenario?,
        })
    };
    measurement().ok_or(fields.violations)
}

/// Reads the fields of one record. Each method gives the value, or `None` and notes why there is none.
struct Fields<'a> {
    record: &'a RawRecord,
    violations: Vec<Violation>,
}

impl Fields<'_> {
    fn value<T>(&mut self, column: Column, read: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        let text = self.record.field(column);
        read(text)
            .map_err(|reason| {
                self.violations.push(Violation {
                    field: column,
                    value: text.to_owned(),
                    reason: reason.to_owned(),
                });
            })
            .ok()
    }

    fn required<T>(
        &mut self,
        column: Column,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.value(column, |text| {
            if text.is_empty() {
                Err("is missing")
            } else {
                read(text)
            }
        })
    }

    fn text(&mut self, column: Column) -> Option<String> {
        self.required(column, |text| {
            if text.trim() == text {
                Ok(text.to_owned())
            } else {
                Err("has spaces around it")
            }
        })
    }

    fn day(&mut self, column: Column) -> Option<Date> {
        self.required(column, |text| {
            // The parser also takes `20240401` and times of day; only one spelling of a day is a day here.
            let day: Option<Date> = text.parse().ok();
            day.filter(|day| day.to_string() == text)
                .ok_or("is not a day such as 2024-04-01")
        })
    }

    fn scenario(&mut self, column: Column) -> Option<Scenario> {
        self.required(column, |text| {
            Scenario::ALL
                .into_iter()
                .find(|scenario| scenario.name() == text)
                .ok_or("is neither WW nor WD")
        })
    }

    fn count(&mut self, column: Column) -> Option<u32> {
        self.required(column, |text| match text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err("is not a whole number above 0"),
        })
    }

    /// A measured value, which may be absent: then it is `Some(None)`.
    fn measured(
        &mut self,
        column: Column,
        limit: fn(f64) -> Result<f64, &'static str>,
    ) -> Option<Option<f64>> {
        self.value(column, |text| {
            if text.is_empty() {
                return Ok(None);
            }
            let number: Option<f64> = text.parse().ok().filter(|number: &f64| number.is_finite());
            limit(number.ok_or("is not a number")?).map(Some)
        })
    }
}

fn not_negative(number: f64) -> Result<f64, &'static str> {
    if number >= 0.0 {
        Ok(number)
    } else {
        Err("is below 0")
    }
}

fn positive(number: f64) -> Result<f64, &'static str> {
    if number > 0.0 {
        Ok(number)
    } else {
        Err("is not above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{measurement, raw_with};

    fn complaints(changed: &[(Column, &'static str)]) -> Vec<String> {
        check(&raw_with(changed))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_valid_record_becomes_a_measurement() {
        assert_eq!(check(&raw_with(&[])).unwrap(), measurement());
    }

    #[test]
    fn what_was_measured_may_be_missing_and_nothing_else_may() {
        let gaps = check(&raw_with(&Column::MEASURED.map(|column| (column, "")))).unwrap();
        assert_eq!(
            (gaps.thermal_time, gaps.height, gaps.leaf_area, gaps.biovolume),
            (None, None, None, None)
        );
        for column in Column::ALL
            .into_iter()
            .filter(|column| !Column::MEASURED.contains(column))
        {
            assert_eq!(complaints(&[(column, "")]), [format!("{column} is missing")]);
        }
    }

    #[test]
    fn every_violation_of_a_record_is_reported_not_only_the_first() {
        let changed = [
            (Column::Day, "2024-02-30"),
            (Column::Scenario, "WX"),
            (Column::Line, "0"),
            (Column::PlantHeight, "tall"),
            (Column::LeafArea, "-0.1"),
        ];
        assert_eq!(
            complaints(&changed),
            [
                "Day `2024-02-30` is not a day such as 2024-04-01",
                "scenario `WX` is neither WW nor WD",
                "Line `0` is not a whole number above 0",
                "plantHeight `tall` is not a number",
                "leafArea `-0.1` is below 0",
            ]
        );
    }

    #[test]
    fn a_number_that_is_none_or_not_finite_is_refused() {
        for text in ["NaN", "inf", "-inf", "1e999", "NA", " 1", "1,5", "0x10"] {
            assert_eq!(
                complaints(&[(Column::Biovolume, text)]),
                [format!("biovolume `{text}` is not a number")]
            );
        }
        assert_eq!(
            check(&raw_with(&[(Column::Biovolume, "1.5e2")]))
                .unwrap()
                .biovolume,
            Some(150.0)
        );
    }

    #[test]
    fn a_height_is_above_zero_because_its_logarithm_is_taken() {
        assert_eq!(
            complaints(&[(Column::PlantHeight, "0")]),
            ["plantHeight `0` is not above 0"]
        );
        assert_eq!(
            complaints(&[(Column::PlantHeight, "-0.0")]),
            ["plantHeight `-0.0` is not above 0"]
        );
        assert_eq!(
            check(&raw_with(&[(Column::LeafArea, "0")])).unwrap().leaf_area,
            Some(0.0)
        );
    }

    #[test]
    fn a_day_is_spelled_in_one_way() {
        for text in [
            "20240401",
            "2024-04-01T10:00",
            "2024-4-1",
            "01.04.2024",
            "2024-04-01 ",
        ] {
            assert_eq!(complaints(&[(Column::Day, text)]).len(), 1, "{text}");
        }
    }

    #[test]
    fn bad_records_do_not_stop_the_rest_until_there_are_too_many() {
        let mut records: Vec<RawRecord> = (0..95).map(|_| raw_with(&[])).collect();
        records.extend((0..5).map(|_| raw_with(&[(Column::PlantHeight, "tall")])));
        let validated = validate(Path::new("p.csv"), &records).unwrap();
        assert_eq!((validated.measurements.len(), validated.rejected.len()), (95, 5));
        assert_eq!(
            validated.rejected[0].to_string(),
            "line 2: plantHeight `tall` is not a number"
        );

        records.push(raw_with(&[(Column::PlantHeight, "tall"), (Column::Scenario, "")]));
        assert_eq!(
            validate(Path::new("p.csv"), &records).unwrap_err().to_string(),
            "p.csv: 6 of 101 records are invalid, more than 5 %; the first at line 2: plantHeight `tall` is not a number"
        );
    }
}
