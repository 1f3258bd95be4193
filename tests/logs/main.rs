//! What a program's log says of runs: every line of a task names its flow run and its task run.
//!
//! These tests have a program of their own, since a subscriber that is to miss nothing is global.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects"
)]

mod kept;
mod secrets;

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once};

use flowkit::prelude::*;
use flowkit::{JournalLayer, current_run};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The fields of a span or an event, as text.
#[derive(Clone, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = self.0.entry(field.name()).or_default();
        text.clear();
        write!(text, "{value:?}").unwrap();
    }
}

/// One line of the log: its own fields, and those of the spans it was written in, the innermost first.
struct Line {
    message: String,
    spans: Vec<Fields>,
}

/// All fields of all events and spans, of every level.
static SAID: Mutex<String> = Mutex::new(String::new());

fn say(fields: &Fields) {
    writeln!(SAID.lock().unwrap(), "{:?}", fields.0).unwrap();
}

fn said() -> String {
    SAID.lock().unwrap().clone()
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// Keeps every line.
struct Keeps;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeps {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        say(&fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(extensions.get_mut::<Fields>().unwrap());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        say(&fields);
        let spans = context.event_scope(event).into_iter().flatten();
        let spans = spans.filter(|span| ["task_run", "flow_run"].contains(&span.name()));
        let line = Line {
            message: fields.0.remove("message").unwrap_or_default(),
            spans: spans
                .map(|span| span.extensions().get::<Fields>().unwrap().clone())
                .collect(),
        };
        LINES.lock().unwrap().push(line);
    }
}

/// Keeps the lines of this program from now on.
fn keep_lines() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let subscriber = tracing_subscriber::registry()
            .with(Keeps)
            .with(JournalLayer::new());
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The fields of the task run that wrote each line with this message.
fn writers(message: &str) -> Vec<Fields> {
    let lines = LINES.lock().unwrap();
    let lines = lines.iter().filter(|line| line.message == message);
    lines.filter_map(|line| line.spans.first().cloned()).collect()
}

// 200
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_task_names_its_flow_run_its_task_run_and_its_attempt() {
    #[task(retries = 1)]
    async fn telling() -> Result<()> {
        tracing::info!("before a pause");
        tokio::task::yield_now().await;
        tracing::info!("after a pause");
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err("not yet".into()),
            _ => Ok(()),
        }
    }
    #[flow]
    async fn awaited_and_submitted() -> Result<()> {
        telling().await?;
        Ok(telling().submit().await?)
    }
    keep_lines();
    let run = awaited_and_submitted().run().await;
    assert_eq!(run.state(), State::Completed);
    for message in ["before a pause", "after a pause"] {
        let writers = writers(message);
        let ids: Vec<_> = writers
            .iter()
            .map(|fields| (fields.0["task_run_id"].clone(), fields.0["attempt"].clone()))
            .collect();
        let expected: Vec<_> = run
            .tasks()
            .iter()
            .flat_map(|task| ["1", "2"].map(|attempt| (task.id.to_string(), attempt.to_owned())))
            .collect();
        assert_eq!(ids, expected);
        for fields in writers {
            assert_eq!(fields.0["flow_run_id"], run.id().to_string());
            assert_eq!(fields.0["task"], "\"telling\"");
        }
    }
}

// 200
#[tokio::test]
async fn a_line_of_a_task_that_another_called_names_both() {
    #[task]
    async fn inner() {
        tracing::info!("from within");
    }
    #[task]
    async fn outer() -> Result<()> {
        Ok(inner().await?)
    }
    #[flow]
    async fn nested() -> Result<()> {
        Ok(outer().await?)
    }
    keep_lines();
    let run = nested().run().await;
    let lines = LINES.lock().unwrap();
    let line = lines.iter().find(|line| line.message == "from within").unwrap();
    let ids: Vec<_> = line
        .spans
        .iter()
        .filter_map(|span| span.0.get("task_run_id").cloned())
        .collect();
    let expected = ["inner", "outer"].map(|name| run.task(name).unwrap().id.to_string());
    assert_eq!(ids, expected);
    let outermost = line.spans.last().unwrap();
    assert_eq!(outermost.0["flow_run_id"], run.id().to_string());
    assert_eq!(outermost.0["flow"], "\"nested\"");
}

// 200
#[tokio::test]
async fn a_line_of_a_blocking_body_names_its_run_too() {
    #[task]
    fn blocking() {
        tracing::info!("on another thread");
    }
    #[flow]
    async fn waiting() -> Result<()> {
        Ok(blocking().await?)
    }
    keep_lines();
    let run = waiting().run().await;
    let writers = writers("on another thread");
    assert_eq!(writers.len(), 1);
    assert_eq!(writers[0].0["task_run_id"], run.tasks()[0].id.to_string());
}

// 200
#[tokio::test]
async fn a_flow_knows_its_run_and_outside_of_runs_there_is_none() {
    #[flow]
    async fn knowing() -> Result<(String, bool)> {
        let run = current_run().unwrap();
        Ok((run.flow_run_id().to_string(), run.task_run_id().is_none()))
    }
    let run = knowing().run().await;
    assert_eq!(run.result().unwrap(), &(run.id().to_string(), true));
    assert!(current_run().is_none());
}

// 200
#[tokio::test]
async fn a_line_of_a_flows_own_body_names_its_flow_run_and_no_task_run() {
    #[flow]
    async fn talks() -> Result<()> {
        tracing::info!("from the flow itself");
        tokio::task::yield_now().await;
        tracing::info!("and once more");
        Ok(())
    }
    keep_lines();
    let run = talks().run().await;
    for message in ["from the flow itself", "and once more"] {
        let writers = writers(message);
        assert_eq!(writers.len(), 1);
        assert_eq!(writers[0].0["flow_run_id"], run.id().to_string());
        assert_eq!(writers[0].0["flow"], "\"talks\"");
        assert!(!writers[0].0.contains_key("task_run_id"));
    }
}
