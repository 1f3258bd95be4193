//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use lexopt::prelude::*;
use thiserror::Error;

use crate::load::{PLANTS_FILE, SUMMARY_FILE};

/// Where the generated season, and without `--destination` the results, are put.
pub(crate) const WORK_DIR: &str = "target/plant_phenotyping";

pub(crate) const HELP: &str = "\
How fast did the plants grow? Reads daily measurements, checks them, and writes
DIR/plants.csv and DIR/summary.csv.

Usage: cargo run --release --example plant_phenotyping -- [OPTIONS]

Options:
  --source FILE       measurements to read, as CSV
                      [default: a small season generated in target/plant_phenotyping]
  --destination DIR   where to put the results [default: target/plant_phenotyping]

Built with --features etl, the source may also be
  a pattern           'season/*.csv'
  of another kind     FILE.csv.gz, FILE.jsonl, FILE.parquet, parquet:FILE
  in a bucket         s3://BUCKET/KEY (or gs://, az://; a pattern, or PREFIX/)
  at an address       https://HOST/FILE.csv, http://...
  a table             sqlite:FILE?table=NAME, postgres://...?table=NAME, mysql://...
and the destination
  Parquet             parquet:DIR
  a bucket            s3://BUCKET/PREFIX (or gs://, az://), as Parquet
  a database          sqlite:FILE, postgres://..., mysql://...
The environment lets one into a bucket: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION and, unless it is Amazon's, AWS_ENDPOINT_URL.

More options:
  --report FILE       write the record of the run, as JSON
  --graph FILE        draw the graph of the run: .mmd (Mermaid), .dot or .json
  -h, --help          show this
";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Run(Args),
}

/// The files of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// A generated season without one.
    pub(crate) source: Option<PathBuf>,
    pub(crate) destination: PathBuf,
    pub(crate) report: Option<PathBuf>,
    pub(crate) graph: Option<PathBuf>,
}

/// What is wrong with the command line.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Unexpected(#[from] lexopt::Error),
    #[error("{option} is given twice")]
    Twice { option: &'static str },
    #[error("{option} is given an empty name")]
    Empty { option: &'static str },
    #[error("{what} would be written over {} ({over})", file.display())]
    Overwrites {
        what: &'static str,
        over: &'static str,
        file: PathBuf,
    },
}

/// Read `arguments`, those of the process without its own name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut source, mut destination, mut report, mut graph) = (None, None, None, None);
    while let Some(argument) = parser.next()? {
        let (option, place) = match argument {
            Long("source") => ("--source", &mut source),
            Long("destination") => ("--destination", &mut destination),
            Long("report") => ("--report", &mut report),
            Long("graph") => ("--graph", &mut graph),
            Short('h') | Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        };
        let value = PathBuf::from(parser.value()?);
        if value.as_os_str().is_empty() {
            return Err(UsageError::Empty { option });
        }
        if place.replace(value).is_some() {
            return Err(UsageError::Twice { option });
        }
    }
    let destination = destination.unwrap_or_else(|| PathBuf::from(WORK_DIR));
    let args = Args {
        source,
        destination,
        report,
        graph,
    };
    args.check_that_nothing_is_written_twice()?;
    Ok(Command::Run(args))
}

impl Args {
    /// The source, which is the generated season without a file of one's own.
    pub(crate) fn source_or_season(&self) -> PathBuf {
        self.source
            .clone()
            .unwrap_or_else(|| Path::new(WORK_DIR).join("season.csv"))
    }

    /// No output may land on the source or on another output.
    fn check_that_nothing_is_written_twice(&self) -> Result<(), UsageError> {
        let mut taken = vec![("the source", self.source_or_season())];
        let results = [PLANTS_FILE, SUMMARY_FILE].map(|name| (name, Some(self.destination.join(name))));
        let reports = [("--report", self.report.clone()), ("--graph", self.graph.clone())];
        for (what, file) in results.into_iter().chain(reports) {
            let Some(file) = file else { continue };
            if let Some((over, _)) = taken.iter().find(|(_, other)| same_file(other, &file)) {
                return Err(UsageError::Overwrites { what, over, file });
            }
            taken.push((what, file));
        }
        Ok(())
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let resolve = |path: &Path| {
        path.canonicalize()
            .or_else(|_| absolute(path))
            .unwrap_or_else(|_| path.to_owned())
    };
    resolve(one) == resolve(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_a_generated_season_is_read() {
        let Ok(Command::Run(args)) = read("") else {
            panic!("not a run")
        };
        assert_eq!(
            args.source_or_season(),
            Path::new("target/plant_phenotyping/season.csv")
        );
        assert_eq!(args.destination, Path::new(WORK_DIR));
    }

    #[test]
    fn every_option_takes_its_file() {
        let all = "--source in.csv --destination=out --report r.json --graph g.dot";
        let expected = Args {
            source: Some("in.csv".into()),
            destination: "out".into(),
            report: Some("r.json".into()),
            graph: Some("g.dot".into()),
        };
        assert_eq!(read(all), Ok(Command::Run(expected)));
        assert_eq!(read("--source in.csv --help"), Ok(Command::Help));
    }

    #[test]
    fn a_wrong_command_line_is_told_what_is_wrong() {
        assert_eq!(read("--sauce x").unwrap_err(), "invalid option '--sauce'");
        assert_eq!(read("in.csv").unwrap_err(), "unexpected argument \"in.csv\"");
        assert_eq!(
            read("--source").unwrap_err(),
            "missing argument for option '--source'"
        );
        assert_eq!(
            read("--source a --source b").unwrap_err(),
            "--source is given twice"
        );
        assert_eq!(read("--report=").unwrap_err(), "--report is given an empty name");
    }

    #[test]
    fn nothing_is_written_over_the_source_or_over_another_output() {
        let over = |line: &str| read(line).unwrap_err();
        assert_eq!(
            over("--source d/plants.csv --destination d"),
            "plants.csv would be written over d/plants.csv (the source)"
        );
        assert_eq!(
            over("--source s --report ./s"),
            "--report would be written over ./s (the source)"
        );
        assert_eq!(
            over("--report r --graph r"),
            "--graph would be written over r (--report)"
        );
        assert_eq!(
            over("--destination d --graph d/summary.csv"),
            "--graph would be written over d/summary.csv (summary.csv)"
        );
    }
}
