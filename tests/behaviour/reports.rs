//! What bodies work with tells observers of the run, and observers know whose run it is.

use std::sync::{Arc, Mutex};

use flowkit::prelude::*;
use flowkit::{Event, EventKind, Observer, current_run};

struct Rows(u64);

/// What was reported: flow, name of the flow run, task, name of the run, rows.
type Told = (&'static str, String, Option<&'static str>, String, u64);

/// A flow, the tags of its run, and whether another flow called it.
type Ended = (&'static str, Vec<String>, bool);

#[derive(Clone, Default)]
struct Reports {
    told: Arc<Mutex<Vec<Told>>>,
    flows: Arc<Mutex<Vec<Ended>>>,
}

impl Observer for Reports {
    fn on_event(&self, event: &Event<'_>) {
        let flow = event.flow().name();
        match &event.kind {
            EventKind::Reported {
                id,
                name,
                task,
                report,
            } => {
                let Some(Rows(rows)) = report.downcast_ref() else {
                    return;
                };
                let task = id.map(|_| *task);
                let told = (
                    flow,
                    event.flow_run_name.to_owned(),
                    task,
                    (*name).to_owned(),
                    *rows,
                );
                self.told.lock().unwrap().push(told);
            }
            EventKind::FlowRunFinished { .. } => {
                let flow = (flow, event.flow_run_tags(), event.parent().is_some());
                self.flows.lock().unwrap().push(flow);
            }
            _ => {}
        }
    }
}

#[task]
async fn read(number: u64) -> u64 {
    let run = current_run().unwrap();
    assert!(run.is_observed());
    // What goes on elsewhere reports for the run that began it.
    let elsewhere = tokio::spawn(async move {
        assert!(current_run().is_none());
        run.report(&"nobody knows this type");
        run.report(&Rows(number));
    });
    elsewhere.await.unwrap();
    number
}

#[task]
fn blocking(number: u64) -> u64 {
    current_run().unwrap().report(&Rows(number));
    number
}

#[flow(run_name = "inner-{number}", tags("inside"))]
async fn inner(number: u64) -> Result<u64> {
    Ok(blocking(number).await?)
}

#[flow(run_name = "outer-{number}", tags("farm"))]
async fn outer(number: u64) -> Result<u64> {
    current_run().unwrap().report(&Rows(100));
    let one = read(number).named("first").await?;
    let mapped: Vec<u64> = [2u64, 3]
        .into_iter()
        .map(read)
        .concurrency(std::num::NonZeroUsize::MIN)
        .submit_all()
        .await?;
    Ok(one + mapped.len() as u64 + inner(4u64).await?)
}

#[tokio::test]
async fn a_report_names_the_flow_the_task_and_their_runs_wherever_it_comes_from() {
    let reports = Reports::default();
    let runtime = Runtime::builder().observe(reports.clone()).build().await.unwrap();
    let run = runtime.scope(flowkit::tagged(["night"], outer(1u64).run())).await;
    assert_eq!(run.into_result().unwrap(), 7);
    let outer = |task, name: &str, rows| ("outer", "outer-1".to_owned(), task, name.to_owned(), rows);
    assert_eq!(
        *reports.told.lock().unwrap(),
        [
            outer(None, "outer-1", 100),
            outer(Some("read"), "first", 1),
            outer(Some("read"), "read", 2),
            outer(Some("read"), "read", 3),
            (
                "inner",
                "inner-4".to_owned(),
                Some("blocking"),
                "blocking".to_owned(),
                4
            ),
        ]
    );
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        *reports.flows.lock().unwrap(),
        [
            ("inner", tags(&["inside", "night"]), true),
            ("outer", tags(&["farm", "night"]), false)
        ]
    );
}

#[tokio::test]
async fn a_report_that_nobody_observes_is_nothing() {
    #[task]
    async fn alone() -> bool {
        let run = current_run().unwrap();
        run.report(&Rows(1));
        run.is_observed()
    }
    let runtime = Runtime::builder().build().await.unwrap();
    assert!(!runtime.scope(async { alone().await }).await.unwrap());
}
