//! A season of plants, from a file of daily measurements to the growth of each plant and genotype:
//!
//! ```text
//! identify → extract → validate → quality checks → transform (WW, WD) → load
//! ```
//!
//! `cargo run --release --example plant_phenotyping` runs it on a small season that it generates;
//! `-- --source FILE --destination DIR` on a file of yours. The stages are tasks in `pipeline.rs`, over
//! plain functions in a file each. With `--features etl`, both ends may be databases, Parquet or buckets, and the source may be
//! of another kind or at an address. On a second run `extract` is served from the cache.

mod args;
mod check;
#[cfg(feature = "etl")]
mod ends;
mod extract;
mod load;
mod pipeline;
mod place;
mod quality;
mod record;
mod replace;
mod report;
mod season;
mod transform;
mod validate;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use flowkit::Runtime;
use flowkit_examples::{Progress, interrupted};

use args::{Args, Command};
use place::Ends;
use report::Report;

type BoxError = Box<dyn Error + Send + Sync>;

/// Run the pipeline on the files that the command line names.
async fn run(args: &Args) -> Result<Report, BoxError> {
    let file = args.source_or_season();
    if args.source.is_none() {
        season::write_season(&file)?;
    }
    let (source, from) = place::read_source(&file.to_string_lossy())?;
    let (destination, to) = place::read_destination(&args.destination.to_string_lossy())?;
    let runtime = Runtime::builder()
        .default_data_dir()
        .resource(Ends::of(from, to))
        .observe(Progress::default())
        .build()
        .await?;
    let cancel = tokio::spawn(cancel_when_interrupted(runtime.clone()));
    let run = runtime.run(pipeline::pipeline(source, destination)).await;
    cancel.abort();
    runtime.shutdown(Duration::from_secs(5)).await;
    if let Some(file) = &args.report {
        replace::replace_files(&[(file.clone(), run.to_json().into_bytes())])?;
    }
    if let Some(file) = &args.graph {
        let graph = match file.extension().and_then(|extension| extension.to_str()) {
            Some("dot") => run.graph().to_dot(),
            Some("json") => run.graph().to_json(),
            _ => run.graph().to_mermaid(),
        };
        replace::replace_files(&[(file.clone(), graph.into_bytes())])?;
    }
    // The stage that failed says why; those after it only that they did not run.
    run.into_result().map_err(|error| error.root().clone().into())
}

/// The first ctrl-c or SIGTERM cancels what runs, which ends at its next await and is reported; a second one ends the program at once.
async fn cancel_when_interrupted(runtime: Runtime) {
    if interrupted().await.is_ok() {
        tokio::spawn(async move { runtime.shutdown(Duration::ZERO).await });
        if interrupted().await.is_ok() {
            std::process::exit(130);
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return complain(2, &format!("{error} (--help shows the options)")),
    };
    let text = match command {
        Command::Help => args::HELP.to_owned(),
        Command::Run(args) => match run(&args).await {
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
