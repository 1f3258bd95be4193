//! What a run found, for people and for programs.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::load::Loaded;
use crate::record::Scenario;
use crate::transform::{GenotypeFigures, ScenarioFigures};
use crate::validate::Rejected;

/// How many genotypes of a scenario, and how many rejected records, the text shows.
const SHOWN: usize = 5;

/// What a run found. As text it is a summary; serialized it holds everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) source: PathBuf,
    pub(crate) records: usize,
    pub(crate) rejected: Vec<Rejected>,
    /// Rows that did not count, because a later one has the same plant and day.
    pub(crate) duplicates: usize,
    pub(crate) checks: Vec<Check>,
    pub(crate) fastest: Vec<Fastest>,
    pub(crate) loaded: Loaded,
}

/// The genotypes of a scenario that grew fastest, the first of them first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fastest {
    pub(crate) scenario: Scenario,
    pub(crate) genotypes: Vec<GenotypeFigures>,
}

impl Fastest {
    pub(crate) fn of(figures: &ScenarioFigures) -> Self {
        let mut genotypes: Vec<(f64, &GenotypeFigures)> = figures
            .genotypes
            .iter()
            .filter_map(|row| row.mean_growth_rate.map(|mean| (mean, row)))
            .collect();
        // The sort is stable: equally fast ones stay in the order of their names.
        genotypes.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let genotypes = genotypes
            .into_iter()
            .take(SHOWN)
            .map(|(_, row)| row.clone())
            .collect();
        Self {
            scenario: figures.scenario,
            genotypes,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_records(f)?;
        writeln!(f, "\nquality checks")?;
        let mut sorted: Vec<&Check> = self.checks.iter().collect();
        sorted.sort_by_key(|check| Reverse(check.verdict));
        for Check {
            kind,
            subject,
            measured,
            verdict,
            message,
            ..
        } in sorted
        {
            writeln!(
                f,
                "  {verdict}  {kind:<12}  {subject:<16}  {:>7.3} %  {message}",
                measured * 100.0
            )?;
        }
        self.fastest
            .iter()
            .try_for_each(|fastest| write!(f, "{fastest}"))?;
        let Loaded {
            plants_file,
            plants,
            summary_file,
            genotypes,
        } = &self.loaded;
        writeln!(f, "\nwrote       {} ({plants} plants)", plants_file.display())?;
        writeln!(f, "            {} ({genotypes} rows)", summary_file.display())
    }
}

impl Report {
    fn write_records(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, bad, duplicates) = (self.records, self.rejected.len(), self.duplicates);
        writeln!(f, "source      {}", self.source.display())?;
        writeln!(
            f,
            "records     {records} read, {bad} rejected, {duplicates} duplicates of a plant and day"
        )?;
        for record in self.rejected.iter().take(SHOWN) {
            writeln!(f, "            {record}")?;
        }
        match bad.checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "            and {more} more"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fastest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, genotypes } = self;
        writeln!(
            f,
            "\nfastest genotypes under {scenario}, growth of height per day"
        )?;
        for GenotypeFigures {
            genotype,
            plants,
            mean_growth_rate,
            sd_growth_rate,
            ..
        } in genotypes
        {
            let mean = mean_growth_rate
                .map(|mean| format!("{mean:.4}"))
                .unwrap_or_default();
            let deviation = sd_growth_rate.map(|sd| format!(" ± {sd:.4}")).unwrap_or_default();
            writeln!(f, "  {genotype:<12}  {mean}{deviation:<9}  {plants} plants")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genotype(name: &str, mean: Option<f64>) -> GenotypeFigures {
        GenotypeFigures {
            genotype: name.into(),
            scenario: Scenario::WellWatered,
            plants: 2,
            mean_growth_rate: mean,
            sd_growth_rate: None,
        }
    }

    #[test]
    fn the_fastest_come_first_equals_by_name_and_those_without_a_rate_not_at_all() {
        let rates = [
            ("a", Some(0.1)),
            ("b", None),
            ("c", Some(0.3)),
            ("d", Some(0.1)),
            ("e", Some(-0.1)),
        ];
        let figures = ScenarioFigures {
            scenario: Scenario::WellWatered,
            plants: vec![],
            genotypes: rates.map(|(name, rate)| genotype(name, rate)).into(),
            superseded: 0,
        };
        let names: Vec<String> = Fastest::of(&figures)
            .genotypes
            .into_iter()
            .map(|row| row.genotype)
            .collect();
        assert_eq!(names, ["c", "a", "d", "e"]);
    }

    #[test]
    fn a_long_list_of_rejected_records_is_cut_in_the_text_and_whole_in_the_serialized_report() {
        let rejected: Vec<Rejected> = (1..=7)
            .map(|line| Rejected {
                line,
                violations: vec![],
            })
            .collect();
        let report = Report {
            source: "p.csv".into(),
            records: 200,
            rejected,
            duplicates: 3,
            checks: vec![],
            fastest: vec![],
            loaded: Loaded {
                plants_file: "a".into(),
                plants: 1,
                summary_file: "b".into(),
                genotypes: 1,
            },
        };
        let text = report.to_string();
        assert!(text.contains("200 read, 7 rejected, 3 duplicates"), "{text}");
        assert!(
            text.contains("line 5\n") && !text.contains("line 6") && text.contains("and 2 more"),
            "{text}"
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
