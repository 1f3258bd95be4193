//! A season of plants, from a file of daily measurements to the growth of each plant and genotype:
//!
//! ```text
//! identify → extract → validate → quality checks → transform (WW, WD) → load
//! ```
//!
//! `cargo run --release --example plant_phenotyping` runs it on a small season that it generates;
//! `-- --source FILE --destination DIR` on a file of yours. Each stage is a function in a file of its own.

mod args;
mod check;
mod extract;
mod load;
mod quality;
mod record;
mod replace;
mod report;
mod season;
mod transform;
mod validate;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use args::{Args, Command};
use record::Scenario;
use report::{Fastest, Report};

type BoxError = Box<dyn Error + Send + Sync>;

/// Read the measurements in `source`, and put what they say about growth into the directory `destination`.
fn pipeline(source: &Path, destination: &Path) -> Result<Report, BoxError> {
    let source_id = extract::identify(source)?;
    let records = extract::extract(&source_id)?;
    let validated = validate::validate(source, &records)?;

    let measurements = &validated.measurements;
    let checks = [
        quality::completeness(&records),
        quality::uniqueness(measurements),
        quality::ranges(measurements),
        quality::consistency(measurements),
    ];
    let checks = quality::judge(source, checks.concat())?;

    let figures = Scenario::ALL.map(|scenario| transform::transform(measurements, scenario));
    let loaded = load::load(&figures, destination)?;

    Ok(Report {
        source: source.to_owned(),
        records: records.len(),
        rejected: validated.rejected,
        duplicates: figures.iter().map(|scenario| scenario.superseded).sum(),
        checks,
        fastest: figures.iter().map(Fastest::of).collect(),
        loaded,
    })
}

/// Run the pipeline on the files that the command line names.
fn run(args: &Args) -> Result<Report, BoxError> {
    if args.graph.is_some() {
        return Err("--graph: only a flow run has a graph, and this is a plain chain of calls".into());
    }
    let source = args.source_or_season();
    if args.source.is_none() {
        season::write_season(&source)?;
    }
    let report = pipeline(&source, &args.destination)?;
    if let Some(file) = &args.report {
        replace::replace_files(&[(file.clone(), serde_json::to_vec_pretty(&report)?)])?;
    }
    Ok(report)
}

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return complain(2, &format!("{error} (--help shows the options)")),
    };
    let text = match command {
        Command::Help => args::HELP.to_owned(),
        Command::Run(args) => match run(&args) {
            Ok(report) => report.to_string(),
            Err(error) => return complain(1, &with_causes(&*error)),
        },
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(1, &format!("cannot show the report: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Say on one line what went wrong.
fn complain(code: u8, message: &str) -> ExitCode {
    // Where not even this can be written, the exit code says it.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(code)
}

/// An error and what caused it, on one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}
