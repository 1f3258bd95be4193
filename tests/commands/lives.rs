//! Runs whose process died, and runs of several lives. How the process dies is told by the journal that it leaves.

use std::path::Path;
use std::sync::Arc;

use flowkit::cli::Exit;
use flowkit::journal::record::{
    DefinitionRow, FlowRow, LogRow, NodeKind, Record, RunNo, Spot, TaskRow, Timestamp,
};
use flowkit::journal::{JournalStore, SqliteJournal};
use flowkit::prelude::*;
use serde_json::Value;

use crate::said::{json, say_in};

/// When the runs of these tests begin.
const BEGAN: i64 = 1_790_000_000_000_000;
const RUN: &str = "01a2107e-0000-7000-8000-000000000007";

fn definition(name: &str, is_flow: bool) -> Arc<DefinitionRow> {
    Arc::new(DefinitionRow {
        is_flow,
        package: "left".to_owned(),
        module: "left".to_owned(),
        name: name.to_owned(),
        code: "code".to_owned(),
        parameters: Vec::new(),
    })
}

fn flow(life: u32, seconds: i64) -> FlowRow {
    FlowRow {
        no: RunNo(life.into()),
        id: 0x01a2_107e_0000_7000_8000_0000_0000_0007,
        life,
        root: RunNo(life.into()),
        parent: None,
        definition: definition("left", true),
        name: "left".into(),
        tags: Vec::new(),
        state: "Running",
        attempts: 1,
        error: None,
        created: Timestamp(BEGAN + seconds * 1_000_000),
        ended: None,
        parameters: None,
        result_json: None,
    }
}

fn task(life: u32, node: u32, item: Option<u32>, state: &'static str) -> TaskRow {
    let second = |second: i64| Timestamp(BEGAN + second * 1_000_000);
    TaskRow {
        spot: Spot {
            run: RunNo(life.into()),
            node,
            item,
        },
        parent: None,
        kind: if node == 2 && item.is_none() {
            NodeKind::FanOut
        } else {
            NodeKind::Task
        },
        definition: definition("step", false),
        name: None,
        tags: Vec::new(),
        state,
        attempts: 1,
        error: None,
        created: second(1),
        started: Some(second(2)),
        ended: (state == "Completed").then_some(second(4)),
        place: None,
        inputs: Vec::new(),
        cache_key: None,
        origin: None,
        uncached: None,
        effect: Default::default(),
        result: None,
    }
}

fn log(life: u32, node: Option<u32>, attempt: u32, message: &str) -> LogRow {
    LogRow {
        run: RunNo(life.into()),
        task: node.map(|node| Spot {
            run: RunNo(life.into()),
            node,
            item: None,
        }),
        attempt,
        at: Timestamp(BEGAN + i64::from(life) * 10_000_000 + i64::from(attempt)),
        level: 3,
        target: "left".into(),
        message: message.to_owned(),
    }
}

async fn write(directory: &Path, records: Vec<Record>) {
    let journal = SqliteJournal::open(directory).await.unwrap();
    journal.begin(Timestamp(BEGAN), "Crashed").await.unwrap();
    journal.write(&records).await.unwrap();
    journal.close().await.unwrap();
}

/// A run that its process left in the middle of a task and of a fan-out.
async fn left(directory: &Path) {
    std::fs::write(directory.join("owner"), "4000000    2026-09-21T14:13:20Z\n").unwrap();
    let tasks = [
        task(1, 0, None, "Completed"),
        task(1, 1, None, "Running"),
        task(1, 2, None, "Running"),
        task(1, 2, Some(0), "Completed"),
        task(1, 2, Some(1), "Running"),
    ];
    let tasks = tasks.into_iter().map(Record::from);
    write(directory, [flow(1, 0).into()].into_iter().chain(tasks).collect()).await;
}

fn states(run: &Value) -> Vec<&str> {
    let tasks = run["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_run_whose_process_is_gone_is_shown_as_crashed_before_and_after_somebody_notices() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    left(directory).await;
    let shown = json(directory, &["show", "last"]).await;
    assert_eq!(
        (&shown["state"], &shown["interrupted"]),
        (&"Crashed".into(), &true.into())
    );
    assert_eq!(
        (&shown["process"]["pid"], &shown["process"]["alive"]),
        (&4_000_000.into(), &false.into())
    );
    assert_eq!((&shown["ended"], &shown["seconds"]), (&Value::Null, &4.0.into()));
    assert_eq!(states(&shown), ["Completed", "Crashed", "Crashed"]);
    let items = &shown["tasks"][2]["items"];
    assert_eq!((&items["finished"], &items["failed"]), (&2.into(), &1.into()));
    let said = say_in(directory, &["show", "last"]).await;
    assert!(
        said.out
            .contains("4000000 is gone: `resume 00000007` goes on with it"),
        "{}",
        said.out
    );
    let said = say_in(directory, &["runs"]).await;
    assert!(
        said.out.contains("≥ 4.00 s") && said.out.contains("its process 4000000 is gone"),
        "{}",
        said.out
    );

    for (state, runs) in [("crashed", 1), ("running", 0), ("failed", 0)] {
        let listed = json(directory, &["runs", "--state", state, "--limit", "1"]).await;
        assert_eq!(listed.as_array().unwrap().len(), runs, "{state}");
    }

    // The next process that has the directory notices, hours later.
    let runtime = Runtime::builder().data_dir(directory).build().await.unwrap();
    let working = json(directory, &["runs"]).await;
    assert_eq!(
        (&working[0]["state"], &working[0]["interrupted"]),
        (&"Crashed".into(), &true.into())
    );
    runtime.shutdown(std::time::Duration::from_secs(10)).await;
    let mut noticed = json(directory, &["show", "last"]).await;
    assert_eq!(
        noticed["process"]["pid"],
        Value::Null,
        "another process has signed since"
    );
    noticed["process"] = shown["process"].clone();
    assert_eq!(noticed, shown, "nothing else is told otherwise");
}

#[tokio::test]
async fn a_run_that_goes_on_has_a_process_and_one_that_is_gone_is_not_cancelled() {
    #[flow]
    async fn waiting() -> Result<String> {
        Ok(flowkit::pause("word").await?)
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    left(directory).await;
    let said = say_in(directory, &["cancel", "last"]).await;
    assert_eq!(said.exit, Exit::Failed, "{said:?}");
    let told = "nothing runs 01a2107e-0000-7000-8000-000000000007: its process 4000000 is gone: `resume 00000007` goes on with it";
    assert!(said.err.contains(told), "{said:?}");
    assert!(
        !directory.join("requests").exists(),
        "nothing is asked of anybody"
    );

    let runtime = Runtime::builder().data_dir(directory).build().await.unwrap();
    let run = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(waiting()).await.into_result() }
    });
    let shown = loop {
        let shown = json(directory, &["show", "last"]).await;
        if shown["state"] == "Paused" {
            break shown;
        }
    };
    assert_eq!(
        (&shown["process"]["pid"], &shown["process"]["alive"]),
        (&std::process::id().into(), &true.into())
    );
    assert_eq!(
        json(directory, &["runs", "--state", "paused"])
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(json(directory, &["cancel", "last"]).await["state"], "Cancelled");
    assert!(run.await.unwrap().unwrap_err().is_cancelled());
}

#[tokio::test]
async fn what_every_life_of_a_run_logged_is_shown_and_says_of_which_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write(
        directory,
        vec![
            flow(1, 0).into(),
            task(1, 0, None, "Completed").into(),
            log(1, Some(0), 1, "the first").into(),
            log(1, Some(0), 2, "the second").into(),
        ],
    )
    .await;
    let one = say_in(directory, &["logs", RUN]).await;
    assert!(one.out.contains("INFO   step: the first\n"), "{}", one.out);
    assert!(
        one.out.contains("INFO   step, attempt 2: the second\n"),
        "{}",
        one.out
    );
    write(
        directory,
        vec![
            flow(2, 9).into(),
            task(2, 3, None, "Completed").into(),
            log(2, Some(3), 1, "the third").into(),
        ],
    )
    .await;
    let both = say_in(directory, &["logs", RUN]).await;
    assert!(
        both.out.contains("life 1  step, attempt 2: the second\n"),
        "{}",
        both.out
    );
    assert!(both.out.contains("life 2  step: the third\n"), "{}", both.out);
    let lines = json(directory, &["logs", RUN]).await;
    let told: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["life"].as_u64().unwrap(),
                line["attempt"].as_u64().unwrap(),
                line["task"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [(1, 1, "step"), (1, 2, "step"), (2, 1, "step")]);
}
