//! A stage of a pipeline.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowkit::TaskOptions;
use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::rows::{batch_of, rows_of, schema_of};
use crate::sink::{LoadId, Sink};
use crate::source::Source;
use crate::stream::BatchStream;

type OverStream = Arc<dyn Fn(BatchStream) -> Result<BatchStream> + Send + Sync>;
type Transform = Arc<dyn Fn(BatchStream) -> BoxFuture<'static, Result<BatchStream>> + Send + Sync>;
type Action = Arc<dyn Fn() -> BoxFuture<'static, Result<u64>> + Send + Sync>;

/// One step of a [`Pipeline`](crate::pipeline::Pipeline), which runs as a task of its own, by the stage's name.
#[derive(Clone)]
pub struct Stage {
    name: Arc<str>,
    pub(super) work: Work,
    /// What its rows pass through before they go on, or before they are loaded.
    pub(super) checks: Vec<OverStream>,
    pub(super) after: Vec<String>,
    pub(super) options: TaskOptions,
}

/// What a stage does.
#[derive(Clone)]
pub(super) enum Work {
    Extract(Arc<dyn Source>),
    Transform(Transform),
    Load(Arc<dyn Sink>, LoadId),
    Act(Action),
}

impl Stage {
    fn new(name: &str, work: Work) -> Self {
        Self {
            name: name.into(),
            work,
            checks: Vec::new(),
            after: Vec::new(),
            options: TaskOptions::new(),
        }
    }

    /// Reads all of a source.
    pub fn extract(name: &str, source: impl Source + 'static) -> Self {
        Self::new(name, Work::Extract(Arc::new(source)))
    }

    /// Passes rows through a function over their stream.
    pub fn transform(
        name: &str,
        each: impl Fn(BatchStream) -> Result<BatchStream> + Send + Sync + 'static,
    ) -> Self {
        Self::transform_async(name, move |batches| std::future::ready(each(batches)))
    }

    /// Passes rows through a function over their stream that has to wait before it knows the columns of what it makes: one that asks a service, or reads a table to join with.
    pub fn transform_async<F>(name: &str, each: impl Fn(BatchStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<BatchStream>> + Send + 'static,
    {
        let each = move |batches: BatchStream| each(batches).boxed();
        Self::new(name, Work::Transform(Arc::new(each)))
    }

    /// Passes rows through a query in SQL, which the function makes of their stream.
    ///
    /// ```
    /// use flowkit_etl::pipeline::Stage;
    /// use flowkit_etl::query::Query;
    ///
    /// let text = "SELECT plant, max(height) AS height FROM measured GROUP BY plant";
    /// let tallest = Stage::query("tallest", move |rows| Query::new(text).table("measured", rows));
    /// # assert_eq!(tallest.name(), "tallest");
    /// ```
    #[cfg(feature = "query")]
    pub fn query(
        name: &str,
        of: impl Fn(BatchStream) -> crate::query::Query + Send + Sync + 'static,
    ) -> Self {
        Self::transform_async(name, move |batches| of(batches).run())
    }

    /// Passes rows through a function over their batches, one after the other. It is called with a batch without rows first, from which the columns of what it makes are known.
    pub fn batches(
        name: &str,
        each: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> Self {
        let each = Arc::new(each);
        Self::transform(name, move |batches| {
            let schema = each(RecordBatch::new_empty(batches.schema().clone()))?.schema();
            let each = Arc::clone(&each);
            Ok(batches.map_batches(schema, move |batch| each(batch)))
        })
    }

    /// Passes typed rows through a function, a batch of them after the other.
    pub fn rows<A, B>(name: &str, each: impl Fn(Vec<A>) -> Result<Vec<B>> + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
    {
        let each = Arc::new(each);
        Self::transform(name, move |batches| {
            let (schema, each) = (schema_of::<B>()?, Arc::clone(&each));
            let of_batches = schema.clone();
            Ok(batches.map_batches(schema, move |batch| {
                batch_of(&of_batches, &each(rows_of::<A>(&batch)?)?)
            }))
        })
    }

    /// Writes all rows into a sink, under the name of this load.
    pub fn load(name: &str, sink: impl Sink + 'static, load: LoadId) -> Self {
        Self::new(name, Work::Load(Arc::new(sink), load))
    }

    /// Does something without rows: a model of the warehouse, a message. What it returns is the number of rows of its report. Stages that come next wait for it, and take no rows from it.
    pub fn action<F>(name: &str, act: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<u64>> + Send + 'static,
    {
        Self::new(name, Work::Act(Arc::new(move || act().boxed())))
    }

    /// Passes the stage's rows through a check before they go on, of a load before they are loaded: `|batches| validation.apply(batches)`. An error of the check or of its stream fails the stage.
    ///
    /// Several are passed in their order. Actions have no rows to check.
    #[must_use]
    pub fn check(
        mut self,
        check: impl Fn(BatchStream) -> Result<BatchStream> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Runs it after another stage, of which it takes nothing.
    #[must_use]
    pub fn after(mut self, stage: &str) -> Self {
        self.after.push(stage.to_owned());
        self
    }

    /// The options of its task run: retries, timeout, limits. A stage that is tried again begins anew, from what the stages before it made.
    #[must_use]
    pub fn options(mut self, options: TaskOptions) -> Self {
        self.options = options;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its rows come from elsewhere than from stages before it.
    pub(super) fn reads_itself(&self) -> bool {
        matches!(self.work, Work::Extract(_))
    }

    /// Whether it is nothing without rows.
    pub(super) fn takes_rows(&self) -> bool {
        matches!(self.work, Work::Transform(_) | Work::Load(..))
    }

    /// Whether the next stage gets rows from it.
    pub(super) fn passes_rows(&self) -> bool {
        matches!(self.work, Work::Extract(_) | Work::Transform(_))
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work: &dyn fmt::Debug = match &self.work {
            Work::Extract(source) => source,
            Work::Load(sink, _) => sink,
            Work::Transform(_) => &"a transform",
            Work::Act(_) => &"an action",
        };
        f.debug_struct("Stage")
            .field("name", &self.name)
            .field("work", work)
            .finish_non_exhaustive()
    }
}
