//! Transform: how fast each plant grew, and each genotype under each scenario.
//!
//! The scenarios have nothing to do with each other, so each is computed by a call of its own. All sums run in the order
//! of the plants' names: the same measurements give the same bits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{Measurement, Scenario, by_plant_and_day};

/// What came out for one scenario, sorted by plant and by genotype.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScenarioFigures {
    pub(crate) scenario: Scenario,
    pub(crate) plants: Vec<PlantFigures>,
    pub(crate) genotypes: Vec<GenotypeFigures>,
    /// Rows that did not count, because a later one has the same plant and day.
    pub(crate) superseded: usize,
}

/// A row of `plants.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlantFigures {
    #[serde(rename = "ref")]
    pub(crate) plant: String,
    pub(crate) genotype: String,
    pub(crate) scenario: Scenario,
    /// (ln last height − ln first height) / days between; undefined with fewer than two heights.
    pub(crate) growth_rate: Option<f64>,
    /// Square metres; undefined without a leaf area.
    pub(crate) max_leaf_area: Option<f64>,
}

/// A row of `summary.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenotypeFigures {
    pub(crate) genotype: String,
    pub(crate) scenario: Scenario,
    /// Plants with a growth rate.
    pub(crate) plants: usize,
    /// Undefined without such a plant.
    pub(crate) mean_growth_rate: Option<f64>,
    /// Sample standard deviation (n − 1); undefined with fewer than two such plants.
    pub(crate) sd_growth_rate: Option<f64>,
}

/// The figures of the plants under `scenario`.
pub(crate) fn transform(measurements: &[Measurement], scenario: Scenario) -> ScenarioFigures {
    let of_scenario = || measurements.iter().filter(|row| row.scenario == scenario);
    let by_plant = by_plant_and_day(of_scenario());
    let counted: usize = by_plant.values().map(BTreeMap::len).sum();
    let plants: Vec<PlantFigures> = by_plant
        .values()
        .filter_map(|days| plant_figures(&days.values().copied().collect::<Vec<_>>()))
        .collect();
    let genotypes = genotype_figures(scenario, &plants);
    ScenarioFigures {
        scenario,
        plants,
        genotypes,
        superseded: of_scenario().count() - counted,
    }
}

/// The figures of one plant, from its rows by day; none without a row.
fn plant_figures(rows: &[&Measurement]) -> Option<PlantFigures> {
    let plant = rows.first()?;
    let mut heights = rows
        .iter()
        .filter_map(|row| row.height.map(|height| (row.day, height)));
    let growth_rate =
        heights
            .next()
            .zip(heights.next_back())
            .map(|((first_day, first), (last_day, last))| {
                let days = last_day.duration_since(first_day).as_hours() / 24;
                (last.ln() - first.ln()) / days as f64
            });
    Some(PlantFigures {
        plant: plant.plant.clone(),
        genotype: plant.genotype.clone(),
        scenario: plant.scenario,
        growth_rate,
        max_leaf_area: rows.iter().filter_map(|row| row.leaf_area).reduce(f64::max),
    })
}

fn genotype_figures(scenario: Scenario, plants: &[PlantFigures]) -> Vec<GenotypeFigures> {
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for plant in plants {
        rates
            .entry(&plant.genotype)
            .or_default()
            .extend(plant.growth_rate);
    }
    let figures = rates.into_iter().map(|(genotype, rates)| GenotypeFigures {
        genotype: genotype.to_owned(),
        scenario,
        plants: rates.len(),
        mean_growth_rate: mean(&rates),
        sd_growth_rate: sample_sd(&rates),
    });
    figures.collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// In two passes: the difference of two big sums would lose the digits that a small deviation consists of.
fn sample_sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::measurement;
    use jiff::civil::date;

    fn row(plant: &str, day: i8, height: Option<f64>, leaf_area: Option<f64>) -> Measurement {
        Measurement {
            plant: plant.into(),
            day: date(2024, 4, day),
            height,
            leaf_area,
            ..measurement()
        }
    }

    fn of(rows: &[Measurement]) -> ScenarioFigures {
        transform(rows, Scenario::WellWatered)
    }

    #[test]
    fn a_plant_that_grows_e_fold_in_ten_days_grows_a_tenth_a_day() {
        let e = std::f64::consts::E;
        let figures = of(&[
            row("p", 1, Some(100.0), None),
            row("p", 11, Some(100.0 * e), None),
        ]);
        let rate = figures.plants[0].growth_rate.unwrap();
        assert!((rate - 0.1).abs() < 1e-15, "{rate}");
    }

    #[test]
    fn the_first_and_last_day_with_a_height_count_whatever_the_order_in_the_file() {
        let rows = [
            row("p", 9, None, None),
            row("p", 8, Some(400.0), None),
            row("p", 5, Some(7000.0), None),
            row("p", 4, Some(100.0), None),
            row("p", 1, None, None),
        ];
        assert_eq!(
            of(&rows).plants[0].growth_rate,
            Some((400f64.ln() - 100f64.ln()) / 4.0)
        );
    }

    #[test]
    fn the_days_between_are_counted_across_the_end_of_a_month() {
        let mut rows = [row("p", 1, Some(100.0), None), row("p", 1, Some(200.0), None)];
        rows[0].day = date(2024, 2, 28);
        rows[1].day = date(2024, 3, 1);
        assert_eq!(
            of(&rows).plants[0].growth_rate,
            Some((200f64.ln() - 100f64.ln()) / 2.0)
        );
    }

    #[test]
    fn a_later_row_of_a_day_replaces_the_earlier_one_as_a_whole() {
        let rows = [
            row("p", 1, Some(100.0), Some(0.5)),
            row("p", 2, Some(200.0), Some(0.9)),
            row("p", 2, None, Some(0.3)),
        ];
        let figures = of(&rows);
        assert_eq!(figures.superseded, 1);
        assert_eq!(
            (figures.plants[0].growth_rate, figures.plants[0].max_leaf_area),
            (None, Some(0.5))
        );
    }

    #[test]
    fn figures_without_enough_values_are_undefined_and_their_rows_stay() {
        let figures = of(&[row("p", 1, Some(100.0), None), row("p", 2, None, None)]);
        assert_eq!(
            (figures.plants[0].growth_rate, figures.plants[0].max_leaf_area),
            (None, None)
        );
        let genotype = &figures.genotypes[0];
        assert_eq!(
            (
                genotype.plants,
                genotype.mean_growth_rate,
                genotype.sd_growth_rate
            ),
            (0, None, None)
        );
    }

    #[test]
    fn a_genotype_with_one_plant_has_a_mean_and_no_deviation() {
        let figures = of(&[row("p", 1, Some(100.0), None), row("p", 2, Some(200.0), None)]);
        let genotype = &figures.genotypes[0];
        assert_eq!(genotype.mean_growth_rate, figures.plants[0].growth_rate);
        assert_eq!(genotype.sd_growth_rate, None);
    }

    #[test]
    fn the_deviation_is_the_samples_and_keeps_its_digits_beside_a_large_mean() {
        assert_eq!(
            sample_sd(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]),
            Some((32f64 / 7.0).sqrt())
        );
        assert_eq!(sample_sd(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), Some(1.0));
    }

    #[test]
    fn only_the_plants_of_the_scenario_are_computed() {
        let mut other = row("q", 1, Some(100.0), None);
        other.scenario = Scenario::WaterDeficit;
        let rows = [row("p", 1, None, None), other];
        assert_eq!(of(&rows).plants.len(), 1);
        assert_eq!(transform(&rows, Scenario::WaterDeficit).plants[0].plant, "q");
    }

    #[test]
    fn the_order_of_the_plants_in_the_file_does_not_change_a_bit() {
        let mut rows: Vec<Measurement> = (0..50)
            .flat_map(|n| {
                let plant = format!("p{n}");
                [
                    row(&plant, 1, Some(100.0 + f64::from(n)), None),
                    row(&plant, 9, Some(300.0 + f64::from(n * n)), None),
                ]
            })
            .collect();
        let ahead = of(&rows);
        rows.reverse();
        assert_eq!(ahead, of(&rows));
    }
}
