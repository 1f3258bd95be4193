//! Pipelines in the classic shape: stages that extract, transform and load, wired beforehand and run as one flow.
//!
//! ```
//! use flowkit::prelude::*;
//! use flowkit_etl::pipeline::{Pipeline, Stage};
//! use flowkit_etl::sink::{FileSink, LoadId};
//! use flowkit_etl::source::ParquetSource;
//! use serde::{Deserialize, Serialize};
//! # use flowkit_etl::BatchStream;
//! # use flowkit_etl::sink::Sink as _;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Measured {
//!     plant: String,
//!     height: f64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let (raw, kept) = (directory.path().join("raw.parquet"), directory.path().join("tall.parquet"));
//! # let rows = [("a", 1.5), ("b", 2.5)].map(|(plant, height)| Measured { plant: plant.into(), height });
//! # FileSink::new(&raw).load(&LoadId::new("1")?, BatchStream::from_rows(rows.into())?).await?;
//! let extract = Stage::extract("extract", ParquetSource::new(raw));
//! let tall = Stage::rows("tall", |rows: Vec<Measured>| Ok(rows.into_iter().filter(|row| row.height > 2.0).collect::<Vec<_>>()));
//! let load = Stage::load("load", FileSink::new(kept), LoadId::new("2013-02-04")?);
//!
//! let report = Pipeline::of("plants", extract >> tall >> load)?.run().await?;
//! assert_eq!(report.stage("extract").unwrap().rows, 2);
//! assert_eq!(report.stage("load").unwrap().rows, 1);
//! # Ok(())
//! # }
//! ```

mod chain;
mod run;
mod stage;
mod workplace;

pub use self::chain::Chain;
pub use self::stage::Stage;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use flowkit::FlowCall;
use serde::{Deserialize, Serialize};

use self::chain::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Loaded;

/// Stages, wired, and what they go by together.
///
/// Each stage is a task run of its own: what it made is put into a Parquet file, from where the next takes it, in bounded memory. So a stage that fails is tried again by itself
/// ([`Stage::options`]), and when a pipeline, or a flow that runs one, is tried again or resumed, it goes on after the stages that were complete. Of these one runs again only if its rows are
/// needed and no longer there, for which see [`work_dir`](Self::work_dir). Stages that do not wait for each other run beside each other.
/// What its stages do is code, of which a run that died has nothing: resume it by [`resume_call`](flowkit::Runtime::resume_call) with the pipeline put together as before, not by [`OnStart::Resume`](flowkit::OnStart::Resume).
/// Where stages follow each other so closely that this file is too much, put their functions into one, or write a `#[task]`.
#[derive(Clone)]
pub struct Pipeline {
    name: String,
    nodes: Vec<Node>,
    work: Option<PathBuf>,
}

/// What came of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineReport {
    /// Each stage's part, in the order in which they were wired.
    pub stages: Vec<StageReport>,
}

/// What came of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage.
    pub stage: String,
    /// Rows that it passed on; of a load, those that it had.
    pub rows: u64,
    /// Of a load, what its sink says.
    pub loaded: Option<Loaded>,
}

impl PipelineReport {
    /// The part of a stage.
    pub fn stage(&self, name: &str) -> Option<&StageReport> {
        self.stages.iter().find(|report| report.stage == name)
    }
}

impl Pipeline {
    /// No stages yet, by this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            nodes: Vec::new(),
            work: None,
        }
    }

    /// Stages that are wired already: `extract >> transform >> load`.
    ///
    /// # Errors
    /// When they cannot be run: two of one name, one that needs rows and gets none, one that waits for itself. The error says which.
    pub fn of(name: impl Into<String>, stages: impl Into<Chain>) -> Result<Self> {
        let mut pipeline = Self::new(name);
        pipeline.nodes = stages.into().nodes;
        pipeline.check()?;
        Ok(pipeline)
    }

    /// With one stage more, which takes what the stages wired last made.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn stage(mut self, stage: Stage) -> Result<Self> {
        let chain = Chain::ending(std::mem::take(&mut self.nodes));
        self.nodes = chain.then(stage).nodes;
        self.check()?;
        Ok(self)
    }

    /// The directory for what passes from stage to stage. Each run has one of its own in it, which nobody but its user can read, and which is removed when the run has succeeded.
    ///
    /// If the run fails or its process dies, what passed is kept in a directory of yours, so that a run that is tried again or resumed finds it. Without one it is in that of the system
    /// for temporary files, and is removed when the run fails, too: then the stages whose rows are still needed run once more. What a process leaves there that is killed is removed a day
    /// later, by the next run of a pipeline.
    #[must_use]
    pub fn work_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.work = Some(directory.into());
        self
    }

    /// The pipeline as a flow: await it, run it on a runtime, or call it in a flow of yours, of which it is then a part.
    pub fn run(self) -> FlowCall<PipelineReport> {
        let name: Arc<str> = self.name.as_str().into();
        run::pipeline(run::Wired(Arc::new(self))).named(name)
    }

    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Options, message));
        let mut order: Vec<usize> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let name = node.stage.name();
            crate::sink::LoadId::new(name)?;
            if self
                .nodes
                .iter()
                .take(index)
                .any(|other| other.stage.name() == name)
            {
                return refuse(format!("two stages are called `{name}`"));
            }
            let with_rows = node.inputs.iter().filter_map(|input| self.nodes.get(*input));
            let with_rows = with_rows.filter(|input| input.stage.passes_rows()).count();
            if node.stage.reads_itself() && with_rows > 0 {
                return refuse(format!(
                    "the stage `{name}` reads a source, and would pass over the rows of the stage before it: wire it beside that one, or have it wait by `after`"
                ));
            }
            if node.stage.takes_rows() && with_rows == 0 {
                return refuse(format!(
                    "the stage `{name}` takes rows, and no stage before it makes any"
                ));
            }
            for other in &node.stage.after {
                if self.index(other).is_none() {
                    return refuse(format!(
                        "the stage `{name}` is to run after `{other}`, and there is no such stage"
                    ));
                }
            }
        }
        while order.len() < self.nodes.len() {
            let free = (0..self.nodes.len()).find(|index| {
                !order.contains(index) && self.before(*index).iter().all(|before| order.contains(before))
            });
            match free {
                Some(free) => order.push(free),
                None => {
                    return refuse(format!(
                        "the stages of `{}` wait for each other in a circle",
                        self.name
                    ));
                }
            }
        }
        Ok(())
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.stage.name() == name)
    }

    /// The stages that a stage waits for.
    fn before(&self, index: usize) -> Vec<usize> {
        let Some(node) = self.nodes.get(index) else {
            return Vec::new();
        };
        let after = node.stage.after.iter().filter_map(|name| self.index(name));
        node.inputs.iter().copied().chain(after).collect()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<&str> = self.nodes.iter().map(|node| node.stage.name()).collect();
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("stages", &stages)
            .finish_non_exhaustive()
    }
}
