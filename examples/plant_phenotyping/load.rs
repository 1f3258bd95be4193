//! Load: the figures into `plants.csv` and `summary.csv`, both or neither.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::replace::{WriteError, replace_files};
use crate::transform::{GenotypeFigures, PlantFigures, ScenarioFigures};

/// The file of the plants' figures, in the destination.
pub(crate) const PLANTS_FILE: &str = "plants.csv";
/// The file of the genotypes' figures, in the destination.
pub(crate) const SUMMARY_FILE: &str = "summary.csv";

const PLANTS_HEADER: [&str; 5] = ["ref", "genotype", "scenario", "growth_rate", "max_leaf_area"];
const SUMMARY_HEADER: [&str; 5] = [
    "genotype",
    "scenario",
    "plants",
    "mean_growth_rate",
    "sd_growth_rate",
];

/// What was written where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) plants_file: PathBuf,
    /// Rows without the header.
    pub(crate) plants: usize,
    pub(crate) summary_file: PathBuf,
    /// Rows without the header.
    pub(crate) genotypes: usize,
}

/// Why nothing was loaded. The former files, if any, are as they were.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    #[error("cannot put the figures into the form of CSV")]
    Render(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Write the figures of all scenarios into the directory `destination`, which is made if it does not exist.
pub(crate) fn load(figures: &[ScenarioFigures], destination: &Path) -> Result<Loaded, LoadError> {
    let mut plants: Vec<&PlantFigures> = figures.iter().flat_map(|scenario| &scenario.plants).collect();
    plants.sort_by_key(|row| (&row.plant, row.scenario));
    let mut genotypes: Vec<&GenotypeFigures> =
        figures.iter().flat_map(|scenario| &scenario.genotypes).collect();
    genotypes.sort_by_key(|row| (&row.genotype, row.scenario));

    let plants_file = destination.join(PLANTS_FILE);
    let summary_file = destination.join(SUMMARY_FILE);
    replace_files(&[
        (plants_file.clone(), csv_of(PLANTS_HEADER, &plants)?),
        (summary_file.clone(), csv_of(SUMMARY_HEADER, &genotypes)?),
    ])?;
    Ok(Loaded {
        plants_file,
        plants: plants.len(),
        summary_file,
        genotypes: genotypes.len(),
    })
}

/// Numbers are written with the fewest digits that read back as the same number, undefined ones as empty fields.
fn csv_of(header: [&str; 5], rows: &[impl Serialize]) -> Result<Vec<u8>, LoadError> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer
        .write_record(header)
        .map_err(|error| LoadError::Render(error.into()))?;
    for row in rows {
        writer
            .serialize(row)
            .map_err(|error| LoadError::Render(error.into()))?;
    }
    writer
        .into_inner()
        .map_err(|error| LoadError::Render(error.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Scenario;
    use std::fs;

    fn figures(scenario: Scenario, plant: &str, rate: Option<f64>) -> ScenarioFigures {
        ScenarioFigures {
            scenario,
            plants: vec![PlantFigures {
                plant: plant.into(),
                genotype: "A".into(),
                scenario,
                growth_rate: rate,
                max_leaf_area: Some(0.1),
            }],
            genotypes: vec![GenotypeFigures {
                genotype: "A".into(),
                scenario,
                plants: usize::from(rate.is_some()),
                mean_growth_rate: rate,
                sd_growth_rate: None,
            }],
            superseded: 0,
        }
    }

    fn both() -> [ScenarioFigures; 2] {
        [
            figures(Scenario::WellWatered, "a, \"1\"", None),
            figures(Scenario::WaterDeficit, "b", Some(0.1 + 0.2)),
        ]
    }

    #[test]
    fn rows_are_sorted_numbers_keep_every_digit_and_undefined_figures_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = load(&both(), dir.path()).unwrap();
        assert_eq!((loaded.plants, loaded.genotypes), (2, 2));
        assert_eq!(
            fs::read_to_string(loaded.plants_file).unwrap(),
            "ref,genotype,scenario,growth_rate,max_leaf_area\n\
             \"a, \"\"1\"\"\",A,WW,,0.1\nb,A,WD,0.30000000000000004,0.1\n"
        );
        assert_eq!(
            fs::read_to_string(loaded.summary_file).unwrap(),
            "genotype,scenario,plants,mean_growth_rate,sd_growth_rate\nA,WD,1,0.30000000000000004,\nA,WW,0,,\n"
        );
    }

    #[test]
    fn every_written_number_reads_back_as_the_same_bits() {
        for rate in [1.0 / 3.0, -1e-17, 5e-324, f64::MAX, 1e16, 123_456_789.123_456_79] {
            let row = figures(Scenario::WellWatered, "a", Some(rate)).plants;
            let text = String::from_utf8(csv_of(PLANTS_HEADER, &row).unwrap()).unwrap();
            let written = text.lines().nth(1).unwrap().split(',').nth(3).unwrap();
            assert_eq!(
                written.parse::<f64>().unwrap().to_bits(),
                rate.to_bits(),
                "{written}"
            );
        }
    }

    #[test]
    fn a_header_stands_in_a_file_without_rows() {
        let none: [PlantFigures; 0] = [];
        assert_eq!(
            csv_of(PLANTS_HEADER, &none).unwrap(),
            b"ref,genotype,scenario,growth_rate,max_leaf_area\n"
        );
    }

    #[test]
    fn a_load_that_fails_leaves_the_former_files_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PLANTS_FILE), "former").unwrap();
        fs::create_dir(dir.path().join(SUMMARY_FILE)).unwrap();
        let error = load(&both(), dir.path()).unwrap_err();
        assert!(error.to_string().ends_with(SUMMARY_FILE), "{error}");
        assert_eq!(
            fs::read_to_string(dir.path().join(PLANTS_FILE)).unwrap(),
            "former"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
