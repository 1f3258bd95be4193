//! A small season of plants that grow from a seed, for a run without a file of one's own.
//!
//! As in real life, values are missing, plants are measured twice on one day, a few heights are far too small, and a few
//! records are wrong.

use std::fs;
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::record::{Column, Scenario};
use crate::replace::{WriteError, replace_files};

const SEED: u64 = 20_240_401;
const FIRST_DAY: Date = date(2024, 4, 1);
const DAYS: usize = 28;
const GENOTYPES: u64 = 8;
const REPETITIONS: u64 = 4;

/// Records that the validation has to find: a fraction of the season that says where, and what is wrong there.
const WRONG: [(f64, &[(Column, &str)]); 5] = [
    (0.11, &[(Column::PlantHeight, "tall")]),
    (0.32, &[(Column::LeafArea, "-0.12")]),
    (0.55, &[(Column::Scenario, "WX")]),
    (0.71, &[(Column::Day, "2024-02-30")]),
    (
        0.93,
        &[
            (Column::GenotypeAlias, ""),
            (Column::ThermalTime, "NaN"),
            (Column::Biovolume, "heavy"),
        ],
    ),
];

/// Write the season to `path`, unless it is there already: then the file stays as it is.
pub(crate) fn write_season(path: &Path) -> Result<(), WriteError> {
    let season = season(SEED);
    if fs::read(path).is_ok_and(|present| present == season.as_bytes()) {
        return Ok(());
    }
    replace_files(&[(path.to_owned(), season.into_bytes())])
}

/// The text of a season's file. The same seed gives the same text.
fn season(seed: u64) -> String {
    let mut chance = Chance(seed);
    let warmth: Vec<f64> = (0..DAYS).map(|_| chance.between(1.1, 1.5)).collect();
    let mut rows = Vec::new();
    for pot in 0..GENOTYPES * REPETITIONS * Scenario::ALL.len() as u64 {
        rows.extend(plant(pot, &warmth, &mut chance));
    }
    for (place, changes) in WRONG {
        let index = (place * rows.len() as f64) as usize;
        for (column, value) in changes {
            if let Some(field) = rows.get_mut(index).and_then(|row| row.get_mut(*column as usize)) {
                (*value).clone_into(field);
            }
        }
    }
    let header = Column::ALL.map(Column::name).join(",");
    let lines = rows.iter().map(|row| row.join(","));
    std::iter::once(header)
        .chain(lines)
        .map(|line| line + "\n")
        .collect()
}

type Row = [String; Column::ALL.len()];

/// The rows of one plant: a logistic curve of its own, one row a day, and now and then a second look at a day.
fn plant(pot: u64, warmth: &[f64], chance: &mut Chance) -> Vec<Row> {
    let genotype = pot % GENOTYPES;
    let repetition = pot / GENOTYPES % REPETITIONS + 1;
    let scenario = if pot < GENOTYPES * REPETITIONS {
        Scenario::WellWatered
    } else {
        Scenario::WaterDeficit
    };
    let thirst = if scenario == Scenario::WaterDeficit {
        0.82
    } else {
        1.0
    };
    let speed = thirst * (0.13 + 0.006 * genotype as f64) * chance.between(0.95, 1.05);
    let curve = |day: f64| 1.0 / (1.0 + (-speed * (day - 20.0)).exp());

    let (line, position) = (pot / 16 + 1, pot % 16 + 1);
    let tiny = chance.happens(0.05).then(|| chance.index(DAYS));
    let again = chance.happens(0.2).then(|| chance.index(DAYS));
    let mut row = |day: usize| {
        let size = curve(day as f64);
        let thermal: f64 = warmth.iter().take(day + 1).sum();
        let height = if tiny == Some(day) {
            3.45
        } else {
            1900.0 * thirst * size * chance.between(0.97, 1.03)
        };
        let leaf_area = 0.6 * thirst * size * chance.between(0.96, 1.04);
        let biovolume = 500.0 * thirst * size * chance.between(0.9, 1.1);
        [
            format!("season_{line}_{position}_{scenario}"),
            "season".to_owned(),
            FIRST_DAY.saturating_add((day as i64).days()).to_string(),
            (pot + 1).to_string(),
            scenario.to_string(),
            format!("genotype_{}", genotype + 1),
            repetition.to_string(),
            line.to_string(),
            position.to_string(),
            chance.mostly(0.98, format!("{thermal:.4}")),
            chance.mostly(0.985, format!("{height:.2}")),
            chance.mostly(0.985, format!("{leaf_area:.6}")),
            chance.mostly(0.93, format!("{biovolume:.3}")),
            format!("{repetition}_{scenario}"),
        ]
    };
    // The second look stands at the end, as if somebody had gone back to the plant.
    (0..DAYS).chain(again).map(&mut row).collect()
}

/// SplitMix64: small, and the same numbers for the same seed on every machine and in every version.
struct Chance(u64);

impl Chance {
    /// From 0 up to 1, which it never is.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.share()
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    fn index(&mut self, len: usize) -> usize {
        (self.share() * len as f64) as usize
    }

    /// `value`, or now and then nothing.
    fn mostly(&mut self, probability: f64, value: String) -> String {
        if self.happens(probability) {
            value
        } else {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::extract::{extract, identify};
    use crate::quality::{completeness, consistency, ranges, uniqueness};
    use crate::validate::validate;

    #[test]
    fn a_seed_gives_one_season_and_another_seed_another() {
        assert_eq!(season(1), season(1));
        assert_ne!(season(1), season(2));
    }

    #[test]
    fn a_season_that_is_there_already_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("season.csv");
        write_season(&path).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        write_season(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), long_ago);
        fs::write(&path, "something else").unwrap();
        write_season(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), season(SEED));
    }

    #[test]
    fn the_season_has_every_fault_and_can_be_used_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("season.csv");
        write_season(&path).unwrap();
        let records = extract(&identify(&path).unwrap()).unwrap();
        let validated = validate(&path, &records).unwrap();
        assert_eq!(validated.rejected.len(), WRONG.len());
        let violations: Vec<usize> = validated
            .rejected
            .iter()
            .map(|row| row.violations.len())
            .collect();
        assert_eq!(violations, WRONG.map(|(_, changes)| changes.len()));

        let good = &validated.measurements;
        let checks = [
            completeness(&records),
            uniqueness(good),
            ranges(good),
            consistency(good),
        ]
        .concat();
        let verdict = |subject: &str, nth: usize| {
            checks
                .iter()
                .filter(|check| check.subject == subject)
                .nth(nth)
                .unwrap()
                .verdict
        };
        assert_eq!(verdict("Ref, Day", 0), Verdict::Warn);
        assert_eq!(
            verdict("plantHeight", 1),
            Verdict::Warn,
            "some heights are too small"
        );
        assert_eq!(verdict("Ref", 0), Verdict::Pass);
        assert!(
            checks.iter().all(|check| check.verdict != Verdict::Fail),
            "{checks:?}"
        );
        assert!(
            good.iter().any(|row| row.height.is_none()) && good.iter().any(|row| row.thermal_time.is_none())
        );
    }
}
