//! The stages as tasks, and the flow that connects them. What each stage does stands in a file of its own.

use std::path::Path;

use flowkit::prelude::*;

use crate::check::Check;
use crate::extract::{ExtractError, SourceId};
use crate::load::{LoadError, Loaded};
#[cfg(feature = "etl")]
use crate::place::Ends;
use crate::place::Place;
use crate::quality::QualityError;
use crate::record::{RawRecord, Scenario};
use crate::report::{Fastest, Report};
use crate::transform::ScenarioFigures;
use crate::validate::{ValidateError, Validated};

/// What the file is: its path, size and content. It is the key of `extract`, so a changed file is never served stale.
#[task]
fn identify(source: &Path) -> Result<SourceId, ExtractError> {
    crate::extract::identify(source)
}

/// Read the records.
#[task(
    cache,
    cache_expiration = "1h",
    retries = 3,
    retry_delay = "200ms",
    retry_backoff = 2.0,
    retry_jitter = 0.2,
    retry_if = ExtractError::is_transient
)]
fn extract(source: &SourceId) -> Result<Vec<RawRecord>, ExtractError> {
    crate::extract::extract(source)
}

/// Read the records of something else than a file. What it has is not known beforehand, so that nothing is cached.
#[task(retries = 3, retry_delay = "200ms", retry_backoff = 2.0, retry_if = flowkit_etl::Error::is_transient)]
#[cfg(feature = "etl")]
async fn query(source: &Place, #[resource] ends: &Ends) -> Result<Vec<RawRecord>, flowkit_etl::Error> {
    crate::ends::extract(source, ends).await
}

/// Check every record against the schema; set aside those that do not fit, with all that is wrong with them.
#[task]
fn validate(source: &Path, records: &[RawRecord]) -> Result<Validated, ValidateError> {
    crate::validate::validate(source, records)
}

/// How many values there are at all.
#[task]
fn completeness(records: &[RawRecord]) -> Vec<Check> {
    crate::quality::completeness(records)
}

/// Whether each plant was measured once a day.
#[task]
fn uniqueness(validated: &Validated) -> Vec<Check> {
    crate::quality::uniqueness(&validated.measurements)
}

/// Whether values lie where they can.
#[task]
fn ranges(validated: &Validated) -> Vec<Check> {
    crate::quality::ranges(&validated.measurements)
}

/// Whether columns agree with each other.
#[task]
fn consistency(validated: &Validated) -> Vec<Check> {
    crate::quality::consistency(&validated.measurements)
}

/// Fail if a check that the results depend on did not pass.
#[task]
async fn judge(source: &Path, checks: Vec<Vec<Check>>) -> Result<Vec<Check>, QualityError> {
    crate::quality::judge(source, checks.concat())
}

/// The growth of each plant and genotype under one scenario.
#[task(run_name = "transform-{scenario:?}")]
fn transform(validated: &Validated, scenario: Scenario) -> ScenarioFigures {
    crate::transform::transform(&validated.measurements, scenario)
}

/// Write both files, or neither.
#[task]
fn load(figures: &[ScenarioFigures], destination: &Path) -> Result<Loaded, LoadError> {
    crate::load::load(figures, destination)
}

/// Put the figures into tables or data sets. The run is the name of the load, so that one that is tried again or resumed does not load twice.
#[task(retries = 3, retry_delay = "200ms", retry_backoff = 2.0, retry_if = flowkit_etl::Error::is_transient)]
#[cfg(feature = "etl")]
async fn store(
    figures: &[ScenarioFigures],
    destination: &Place,
    run: &str,
    #[resource] ends: &Ends,
) -> Result<Loaded, flowkit_etl::Error> {
    crate::ends::load(figures, destination, &flowkit_etl::sink::LoadId::new(run)?, ends).await
}

/// The records of a place.
fn records_of(source: &Place) -> TaskHandle<Vec<RawRecord>> {
    match source.path() {
        Some(path) => extract(identify(path)).submit(),
        #[cfg(feature = "etl")]
        None => query(source).submit(),
        #[cfg(not(feature = "etl"))]
        None => extract(identify(source.shown())).submit(),
    }
}

/// Read the measurements in `source`, and put what they say about growth into `destination`.
#[flow(name = "plant_phenotyping_pipeline")]
pub(crate) async fn pipeline(source: Place, destination: Place) -> Result<Report> {
    let records = records_of(&source);
    let source = source.shown();
    let validated = validate(&source, &records).submit();
    let checks = all([
        completeness(&records).submit(),
        uniqueness(&validated).submit(),
        ranges(&validated).submit(),
        consistency(&validated).submit(),
    ]);
    let checks = judge(&source, checks).submit();
    let figures = Scenario::ALL.map(|scenario| transform(&validated, scenario).wait_for([&checks]).submit());
    let loaded = match destination.path() {
        Some(directory) => load(all(&figures), directory).await?,
        #[cfg(feature = "etl")]
        None => {
            let run = current_run()
                .ok_or("called outside a run")?
                .flow_run_id()
                .to_string();
            store(all(&figures), &destination, run).await?
        }
        #[cfg(not(feature = "etl"))]
        None => load(all(&figures), destination.shown()).await?,
    };

    let figures = all(&figures).await?;
    Ok(Report {
        records: records.shared().await?.len(),
        rejected: validated.shared().await?.rejected.clone(),
        duplicates: figures.iter().map(|scenario| scenario.superseded).sum(),
        checks: checks.await?,
        fastest: figures.iter().map(Fastest::of).collect(),
        source,
        loaded,
    })
}
