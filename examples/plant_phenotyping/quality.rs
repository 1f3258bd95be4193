//! Quality checks: is what arrived good enough to compute with?
//!
//! Every check measures one share, from 0 (all bad) to 1 (all good), and holds it against its own [`Threshold`]. What a
//! check finds stays in the data: a warning tells the reader, a failure stops the run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use thiserror::Error;

use crate::check::{Check, Kind, Tally, Threshold, Verdict};
use crate::record::{Column, Measurement, RawRecord, by_plant_and_day};

/// Values that every record has to have.
const REQUIRED: Threshold = Threshold {
    pass_from: 1.0,
    fail_below: 0.95,
};
/// Values that a camera may fail to give.
const MEASURED: Threshold = Threshold {
    pass_from: 0.95,
    fail_below: 0.80,
};
/// One row for each plant and day.
const UNIQUE: Threshold = Threshold {
    pass_from: 1.0,
    fail_below: 0.90,
};
/// Values that such a plant can have.
const PLAUSIBLE: Threshold = Threshold {
    pass_from: 1.0,
    fail_below: 0.95,
};
/// Statements of a row that agree with each other.
const CONSISTENT: Threshold = Threshold {
    pass_from: 1.0,
    fail_below: 0.99,
};
/// Statements without which a plant's figures would mean nothing.
const INDISPENSABLE: Threshold = Threshold {
    pass_from: 1.0,
    fail_below: 1.0,
};

/// What a maize plant of six weeks can measure: thermal time (days at 20 °C), height (mm), leaf area (m²), biovolume (g).
const RANGES: [(Column, f64, f64); 4] = [
    (Column::ThermalTime, 0.0, 200.0),
    (Column::PlantHeight, 10.0, 5000.0),
    (Column::LeafArea, 0.001, 2.0),
    (Column::Biovolume, 0.0, 5000.0),
];

/// A height of less than this share of the one before is a mistake of the measurement, not a plant that shrank.
const SMALLEST_STEP: f64 = 0.5;

/// Why the data is not used: the checks that failed.
#[derive(Debug, Error)]
pub(crate) enum QualityError {
    #[error("{}: {} of {checks} quality checks failed: {}", file.display(), failed.len(), failed.join("; "))]
    Failed {
        file: PathBuf,
        checks: usize,
        failed: Vec<String>,
    },
}

/// All the checks of `file`, unless one of them failed.
pub(crate) fn judge(file: &Path, checks: Vec<Check>) -> Result<Vec<Check>, QualityError> {
    let failures = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    let failed: Vec<String> = failures.map(Check::complaint).collect();
    if failed.is_empty() {
        Ok(checks)
    } else {
        Err(QualityError::Failed {
            file: file.to_owned(),
            checks: checks.len(),
            failed,
        })
    }
}

/// Whether the values are there: each column that may have gaps, and the others together.
pub(crate) fn completeness(records: &[RawRecord]) -> Vec<Check> {
    let mut required = Tally::default();
    let mut measured = Column::MEASURED.map(|column| (column, Tally::default()));
    for record in records {
        for column in Column::ALL
            .into_iter()
            .filter(|column| !Column::MEASURED.contains(column))
        {
            required.count(record.line, !record.field(column).is_empty());
        }
        for (column, tally) in &mut measured {
            tally.count(record.line, !record.field(*column).is_empty());
        }
    }
    let mut checks = vec![required.check(Kind::Completeness, "required columns", REQUIRED, "values missing")];
    checks.extend(
        measured.map(|(column, tally)| {
            tally.check(Kind::Completeness, column.name(), MEASURED, "values missing")
        }),
    );
    checks
}

/// Whether each plant was measured once a day.
pub(crate) fn uniqueness(measurements: &[Measurement]) -> Vec<Check> {
    let mut seen: BTreeSet<(&str, Date)> = BTreeSet::new();
    let mut tally = Tally::default();
    for row in measurements {
        tally.count(row.source_line, seen.insert((&row.plant, row.day)));
    }
    vec![tally.check(
        Kind::Uniqueness,
        "Ref, Day",
        UNIQUE,
        "rows repeat the plant and day of an earlier one",
    )]
}

/// Whether the values are such as a plant can have.
pub(crate) fn ranges(measurements: &[Measurement]) -> Vec<Check> {
    let check = |(column, least, most): (Column, f64, f64)| {
        let mut tally = Tally::default();
        for row in measurements {
            let value = match column {
                Column::ThermalTime => row.thermal_time,
                Column::PlantHeight => row.height,
                Column::LeafArea => row.leaf_area,
                Column::Biovolume => row.biovolume,
                _ => None,
            };
            if let Some(value) = value {
                tally.count(row.source_line, (least..=most).contains(&value));
            }
        }
        tally.check(
            Kind::Range,
            column.name(),
            PLAUSIBLE,
            &format!("values outside {least} to {most}"),
        )
    };
    RANGES.map(check).into()
}

/// Whether what the rows say about one thing fits together, within each row and from day to day of each plant.
pub(crate) fn consistency(measurements: &[Measurement]) -> Vec<Check> {
    let (rows, days) = (consistent_rows(measurements), consistent_days(measurements));
    rows.into_iter().chain(days).collect()
}

fn consistent_rows(measurements: &[Measurement]) -> [Check; 3] {
    let mut names = Tally::default();
    let mut repetitions = Tally::default();
    let mut identities = Tally::default();
    let mut first_row: BTreeMap<&str, &Measurement> = BTreeMap::new();
    for row in measurements {
        let place = format!(
            "{}_{}_{}_{}",
            row.experiment, row.line, row.position, row.scenario
        );
        names.count(row.source_line, row.plant == place);
        repetitions.count(
            row.source_line,
            row.repetition_scenario == format!("{}_{}", row.repetition, row.scenario),
        );
        let first = first_row.entry(&row.plant).or_insert(row);
        let same = (&row.genotype, row.scenario, &row.pot) == (&first.genotype, first.scenario, &first.pot);
        identities.count(row.source_line, same);
    }
    [
        names.check(
            Kind::Consistency,
            "Ref",
            CONSISTENT,
            "rows whose Ref is not experiment, Line, Position and scenario",
        ),
        repetitions.check(
            Kind::Consistency,
            "Repsce",
            CONSISTENT,
            "rows whose Repsce is not repetition and scenario",
        ),
        identities.check(
            Kind::Consistency,
            "identity",
            INDISPENSABLE,
            "rows of another genotype, scenario or pot than their plant's first",
        ),
    ]
}

fn consistent_days(measurements: &[Measurement]) -> [Check; 2] {
    let mut thermal = Tally::default();
    let mut heights = Tally::default();
    for days in by_plant_and_day(measurements).values() {
        let rows = || days.values().copied();
        steps(
            rows(),
            |row| row.thermal_time,
            |before, after| after >= before,
            &mut thermal,
        );
        steps(
            rows(),
            |row| row.height,
            |before, after| after >= before * SMALLEST_STEP,
            &mut heights,
        );
    }
    [
        thermal.check(
            Kind::Consistency,
            "thermalTime",
            CONSISTENT,
            "steps from day to day go down",
        ),
        heights.check(
            Kind::Consistency,
            "plantHeight",
            CONSISTENT,
            "steps from day to day lose more than half",
        ),
    ]
}

/// Count in `tally` whether each step from one value to the next of a plant is `good`. Missing values are passed over.
fn steps<'a>(
    rows: impl Iterator<Item = &'a Measurement>,
    value: fn(&Measurement) -> Option<f64>,
    good: fn(f64, f64) -> bool,
    tally: &mut Tally,
) {
    let mut before = None;
    for (line, after) in rows.filter_map(|row| value(row).map(|value| (row.source_line, value))) {
        if let Some(before) = before.replace(after) {
            tally.count(line, good(before, after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Scenario;
    use crate::record::tests::{measurement, raw_with};

    fn days(heights: &[Option<f64>]) -> Vec<Measurement> {
        let first = measurement();
        let row = |(index, height): (usize, &Option<f64>)| Measurement {
            source_line: index as u64 + 2,
            day: first.day.saturating_add(jiff::Span::new().days(index as i64)),
            height: *height,
            ..first.clone()
        };
        heights.iter().enumerate().map(row).collect()
    }

    fn found<'a>(checks: &'a [Check], subject: &str) -> &'a Check {
        checks.iter().find(|check| check.subject == subject).unwrap()
    }

    #[test]
    fn completeness_is_the_share_of_values_that_are_there() {
        let gap = raw_with(&[(Column::PlantHeight, "")]);
        let checks = completeness(&[raw_with(&[]), gap.clone(), raw_with(&[]), raw_with(&[])]);
        let height = found(&checks, "plantHeight");
        assert_eq!((height.measured, height.verdict), (0.75, Verdict::Fail));
        assert_eq!(height.message, "1 of 4 values missing, the first in line 2");
        assert_eq!(found(&checks, "leafArea").verdict, Verdict::Pass);

        let nine_tenths: Vec<_> = (0..10)
            .map(|n| if n == 0 { gap.clone() } else { raw_with(&[]) })
            .collect();
        assert_eq!(
            found(&completeness(&nine_tenths), "plantHeight").verdict,
            Verdict::Warn
        );
    }

    #[test]
    fn a_missing_value_of_a_required_column_warns() {
        let mut records = vec![raw_with(&[]); 9];
        records.push(raw_with(&[(Column::Day, "")]));
        let checks = completeness(&records);
        let required = found(&checks, "required columns");
        assert_eq!((required.measured, required.verdict), (0.99, Verdict::Warn));
    }

    #[test]
    fn a_second_row_of_one_plant_and_day_is_not_unique() {
        let mut rows = days(&[Some(100.0); 19]);
        assert_eq!(uniqueness(&rows)[0].verdict, Verdict::Pass);
        rows.push(Measurement {
            source_line: 21,
            ..rows[3].clone()
        });
        let check = &uniqueness(&rows)[0];
        assert_eq!((check.measured, check.verdict), (0.95, Verdict::Warn));
        assert!(
            check.message.ends_with("the first in line 21"),
            "{}",
            check.message
        );
    }

    #[test]
    fn a_height_at_the_edge_is_plausible_and_one_beyond_it_is_not() {
        let edges = days(&[Some(10.0), Some(5000.0), None]);
        let height = |rows: &[Measurement]| found(&ranges(rows), "plantHeight").clone();
        assert_eq!(
            (height(&edges).measured, height(&edges).verdict),
            (1.0, Verdict::Pass)
        );
        let mut heights = vec![Some(100.0); 98];
        heights.extend([Some(9.9), Some(5000.1)]);
        assert_eq!(
            (height(&days(&heights)).measured, height(&days(&heights)).verdict),
            (0.98, Verdict::Warn)
        );
        assert_eq!(
            height(&days(&heights)).message,
            "2 of 100 values outside 10 to 5000, the first in line 100"
        );
    }

    #[test]
    fn a_plant_that_loses_more_than_half_its_height_in_a_step_is_inconsistent() {
        let check = |heights: &[Option<f64>]| found(&consistency(&days(heights)), "plantHeight").clone();
        assert_eq!(check(&[Some(100.0), None, Some(50.0)]).measured, 1.0);
        let loss = check(&[Some(100.0), None, Some(49.0), Some(60.0)]);
        assert_eq!(
            (loss.measured, loss.message.as_str()),
            (
                0.5,
                "1 of 2 steps from day to day lose more than half, the first in line 4"
            )
        );
    }

    #[test]
    fn thermal_time_that_goes_down_is_inconsistent_whatever_the_order_in_the_file() {
        let mut rows = days(&[None, None, None]);
        for (row, time) in rows.iter_mut().zip([1.0, 3.0, 2.0]) {
            row.thermal_time = Some(time);
        }
        rows.reverse();
        assert_eq!(found(&consistency(&rows), "thermalTime").measured, 0.5);
    }

    #[test]
    fn a_row_that_contradicts_itself_is_inconsistent() {
        let mut row = measurement();
        row.scenario = Scenario::WaterDeficit;
        let checks = consistency(&[row]);
        assert_eq!(found(&checks, "Ref").measured, 0.0);
        assert_eq!(found(&checks, "Repsce").measured, 0.0);
        assert_eq!(found(&checks, "identity").measured, 1.0);
    }

    #[test]
    fn one_row_of_another_genotype_fails_because_the_plants_figures_would_mean_nothing() {
        let mut rows = days(&vec![Some(100.0); 1000]);
        rows[500].genotype = "B".into();
        assert_eq!(found(&consistency(&rows), "identity").verdict, Verdict::Fail);
    }

    #[test]
    fn checks_without_anything_to_look_at_pass() {
        assert!(
            consistency(&[])
                .iter()
                .chain(&ranges(&[]))
                .all(|check| check.verdict == Verdict::Pass)
        );
    }

    #[test]
    fn a_failed_check_stops_the_run_and_says_what_was_measured() {
        let checks = completeness(&[raw_with(&[]), raw_with(&[(Column::LeafArea, "")])]);
        assert_eq!(
            judge(Path::new("p.csv"), checks).unwrap_err().to_string(),
            "p.csv: 1 of 5 quality checks failed: completeness of leafArea is 50.00 %, below 80 % \
             (1 of 2 values missing, the first in line 2)"
        );
        assert_eq!(
            judge(Path::new("p.csv"), completeness(&[raw_with(&[])]))
                .unwrap()
                .len(),
            5
        );
    }
}
