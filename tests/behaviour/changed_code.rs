//! A run that is resumed by a program that has changed since: what no longer matches is named, and nothing is guessed.

use std::sync::Arc;

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use flowkit::{FlowCall, ResumeOptions};

async fn runtime() -> Runtime {
    let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
    Runtime::builder().journal_store(store).build().await.unwrap()
}

// What `version` says stands for the code: two functions of one name are the same task before and after a change.

#[task(name = "measure", version = "1")]
async fn measure(plant: u32) -> u32 {
    plant
}

#[task(name = "measure", version = "2")]
async fn measure_better(plant: u32) -> u32 {
    plant * 1000
}

#[task]
async fn broken(_n: u32) -> Result<u32> {
    Err("not yet".into())
}

#[task]
async fn mended(n: u32) -> u32 {
    n
}

#[flow(name = "survey", version = "1")]
async fn survey(plant: u32) -> Result<u32> {
    Ok(broken(measure(plant)).await?)
}

#[flow(name = "survey", version = "1")]
async fn survey_better(plant: u32) -> Result<u32> {
    Ok(mended(measure_better(plant)).await?)
}

#[flow(name = "survey", version = "2")]
async fn survey_other(plant: u32) -> Result<u32> {
    Ok(mended(measure(plant + 1)).await?)
}

#[flow(name = "survey", version = "2")]
async fn survey_mended(plant: u32) -> Result<u32> {
    Ok(mended(measure(plant)).await?)
}

async fn resumed(call: FlowCall<u32>, options: ResumeOptions) -> FlowRun<u32> {
    let runtime = runtime().await;
    let run = runtime.run(survey(3u32)).await;
    assert_eq!(run.state(), State::Failed);
    runtime.resume_call(run.id(), call, options).await.unwrap()
}

#[tokio::test]
async fn a_task_whose_code_changed_is_named_and_not_run() {
    let run = resumed(survey_better(3u32), ResumeOptions::new()).await;
    let error = run.result().unwrap_err();
    assert_eq!(error.root().kind(), ErrorKind::ResumeMismatch);
    let said = format!("{error:#}");
    assert!(
        said.contains("`measure` completed with these inputs before, and its code has changed"),
        "{said}"
    );
}

#[tokio::test]
async fn a_flow_that_changed_may_call_what_it_called_before_and_something_else_after() {
    let run = resumed(survey_mended(3u32), ResumeOptions::new()).await;
    assert_eq!(run.into_result().unwrap(), 3);
}

#[tokio::test]
async fn a_flow_that_changed_and_calls_a_task_with_another_input_is_told_which() {
    let run = resumed(survey_other(3u32), ResumeOptions::new()).await;
    let said = format!("{:#}", run.result().unwrap_err());
    assert!(
        said.contains("`measure` is called with another `plant`"),
        "{said}"
    );
}

#[tokio::test]
async fn changes_can_be_allowed() {
    let allowed = ResumeOptions::new().allow_changes();
    assert_eq!(
        resumed(survey_better(3u32), allowed.clone())
            .await
            .into_result()
            .unwrap(),
        3000
    );
    assert_eq!(
        resumed(survey_other(3u32), allowed).await.into_result().unwrap(),
        4
    );
}

#[task(name = "ship", version = "1", effect)]
async fn ship(parcel: u32) -> u32 {
    parcel
}

#[task(name = "ship", version = "2", effect)]
async fn ship_better(parcel: u32) -> Result<u32> {
    Err(format!("{parcel} was shipped again").into())
}

#[flow(name = "delivery", version = "1")]
async fn delivery(parcel: u32) -> Result<u32> {
    Ok(broken(ship(parcel)).await?)
}

#[flow(name = "delivery", version = "1")]
async fn delivery_better(parcel: u32) -> Result<u32> {
    Ok(mended(ship_better(parcel)).await?)
}

#[tokio::test]
async fn an_effect_whose_code_changed_is_not_repeated_even_if_changes_are_allowed() {
    for options in [ResumeOptions::new(), ResumeOptions::new().allow_changes()] {
        let runtime = runtime().await;
        let run = runtime.run(delivery(3u32)).await;
        let call = delivery_better(3u32);
        let resumed = runtime.resume_call(run.id(), call, options).await.unwrap();
        let error = resumed.result().unwrap_err();
        assert_eq!(error.root().kind(), ErrorKind::UnknownOutcome, "{error:#}");
    }
}
