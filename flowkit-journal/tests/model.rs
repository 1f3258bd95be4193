//! Whatever is written, read and cleared out, in whatever order, the journal on disk answers as the one in memory does, also after it was
//! opened again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::sync::Arc;

use flowkit_journal::conformance::rows::{
    answer, attempt, definition, edge, ended, flow, item, log, spot, task, with_result,
};
use flowkit_journal::record::{Effect, FlowRow, NodeKind, Parameters, Record, RunNo, TaskRow, Timestamp};
use flowkit_journal::{JournalStore, MemoryJournal, Pruned, Retention, RunFilter, SqliteJournal};
use proptest::prelude::*;

/// The flow runs that there may be: three roots, a second life of the first, and two subflows.
const RUNS: u64 = 6;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Record>),
    Begin(i64),
    Prune(Retention),
    Reopen,
}

/// A flow run of these: always in the same place of its tree.
fn flow_of(no: u64) -> FlowRow {
    let mut row = match no {
        1..=3 => flow(no, no.into()),
        4 => flow(4, 1),
        _ => flow(no, no.into()),
    };
    if no == 4 {
        row.life = 2;
    }
    if no > 4 {
        // A subflow of the second run, and one of that.
        row.root = RunNo(2);
        row.parent = Some(spot(if no == 5 { 2 } else { 5 }, 0));
    }
    row
}

fn flow_record() -> impl Strategy<Value = Record> {
    (1..=RUNS, prop::option::of(1..90i64), prop::option::of(0..9u8)).prop_map(|(no, end, parameters)| {
        let mut row = flow_of(no);
        row.parameters = parameters.map(|size| {
            Arc::new(Parameters {
                json: (size > 4).then(|| format!("[{size}]")),
                bytes: vec![size; size.into()],
            })
        });
        match end {
            Some(second) => ended(row, second).into(),
            None => row.into(),
        }
    })
}

const EFFECTS: [Effect; 5] = [
    Effect::None,
    Effect::Intended,
    Effect::Happened,
    Effect::Failed,
    Effect::Undoing,
];

fn task_record() -> impl Strategy<Value = Record> {
    let place = (1..=RUNS, 0..4u32, prop::option::of(0..5u32));
    let result = prop::option::of(prop_oneof![6 => 0..40usize, 1 => 4_090..4_103usize, 1 => Just(9_000)]);
    let rest = (
        0..3u8,
        0..EFFECTS.len() as u8,
        prop::option::of(3..60i64),
        prop::option::of(0..3u8),
        any::<[bool; 4]>(),
    );
    (place, result, rest).prop_map(|((run, node, index), result, (kind, effect, end, text, has))| {
        let at = index.map_or(spot(run, node), |index| item(run, node, index));
        // Items have a task of their own: the journal on disk finds earlier ones through their fan-out, which may be missing here.
        let name = match index {
            Some(_) => "item",
            None if node == 3 => "load",
            None => "extract",
        };
        let mut row = TaskRow {
            kind: [NodeKind::Task, NodeKind::FanOut, NodeKind::Subflow][usize::from(kind)],
            effect: EFFECTS[usize::from(effect)],
            definition: definition(name),
            ended: end.map(|second| Timestamp(second * 1_000_000)),
            state: if end.is_some() { "Completed" } else { "Running" },
            name: text.map(|text| format!("name {text}").into()),
            error: text.filter(|_| has[0]).map(|text| format!("error {text}").into()),
            inputs: if has[1] {
                vec![[node as u8; 16]]
            } else {
                Vec::new()
            },
            place: has[2].then_some([7; 16]),
            started: has[3].then_some(Timestamp(2_000_300)),
            ..task(at)
        };
        if index.is_some() {
            row.kind = NodeKind::Task;
        }
        match result {
            Some(size) => with_result(row, &vec![node as u8; size]).into(),
            None => row.into(),
        }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let run = 1..=RUNS;
    prop_oneof![
        3 => flow_record(),
        8 => task_record(),
        1 => (run.clone(), prop::option::of(0..3u32), 1..4u32)
            .prop_map(|(run, node, nth)| attempt(run, node.map(|node| spot(run, node)), nth).into()),
        1 => (run.clone(), 0..3u32, any::<bool>())
            .prop_map(|(run, node, named)| edge(spot(run, node), spot(run, node + 1), named.then_some("source")).into()),
        1 => (run.clone(), 0..3u8, 0..9u8).prop_map(|(run, place, value)| answer(run, place, &[value]).into()),
        2 => (run, prop::option::of(0..3u32), "[a-z]{0,9}")
            .prop_map(|(run, node, text)| log(run, node.map(|node| spot(run, node)), &text).into()),
    ]
}

fn retention() -> impl Strategy<Value = Retention> {
    let parts = (
        prop::option::weighted(0.3, 1..90i64),
        prop::option::weighted(0.3, 0..4u64),
        prop::option::weighted(0.5, 0..20_000u64),
        prop::option::weighted(0.5, 0..60u64),
    );
    parts.prop_map(|(before, runs, result_bytes, log_bytes)| Retention {
        ended_before: before.map(|second| Timestamp(second * 1_000_000)),
        runs,
        result_bytes,
        log_bytes,
        spared: Vec::new(),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(record(), 0..30).prop_map(Step::Write),
        1 => (50..99i64).prop_map(Step::Begin),
        3 => retention().prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

async fn prune(store: &dyn JournalStore, retention: &Retention) -> Pruned {
    let mut total = Pruned::default();
    for _ in 0..1_000 {
        let slice = store.prune(retention).await.unwrap();
        total.runs += slice.runs;
        total.results += slice.results;
        total.logs += slice.logs;
        if !slice.more {
            return total;
        }
    }
    panic!("there is no end to it")
}

/// Asks both the same, which must answer alike. Gives the answer.
macro_rules! alike {
    ($disk:ident, $model:ident, $($asked:tt)+) => {{
        let ours = $disk.$($asked)+.await.unwrap();
        assert_eq!(ours, $model.$($asked)+.await.unwrap(), "{}", stringify!($($asked)+));
        ours
    }};
}

/// Everything that can be asked is answered alike.
async fn compare(disk: &dyn JournalStore, model: &dyn JournalStore) {
    for id in 0..=u128::from(RUNS) {
        alike!(disk, model, flow(id));
        alike!(disk, model, lives(id));
        alike!(disk, model, finished(id));
    }
    alike!(disk, model, flows(&RunFilter::default()));
    let completed = RunFilter {
        state: Some("Completed".to_owned()),
        limit: Some(2),
        ..RunFilter::default()
    };
    alike!(disk, model, flows(&completed));
    for run in (1..=RUNS).map(RunNo) {
        alike!(disk, model, tree(run));
        alike!(disk, model, item_counts(run));
        alike!(disk, model, edges(run));
        alike!(disk, model, attempts(run));
        alike!(disk, model, logs(run, None));
        alike!(disk, model, logs(run, Some(spot(run.0, 1))));
        alike!(disk, model, tasks(run, false));
        for task in alike!(disk, model, tasks(run, true)) {
            alike!(disk, model, result(task.spot));
        }
    }
    for place in 0..3 {
        alike!(disk, model, answer([place; 16]));
    }
    let (before, extract) = (Timestamp(40_000_000), definition("extract"));
    for limit in [0, 3, 100] {
        alike!(disk, model, earlier(&extract, before, limit));
    }
    let (mut ours, theirs) = (disk.size().await.unwrap(), model.size().await.unwrap());
    ours.disk_bytes = 0;
    assert_eq!(ours, theirs);
}

async fn follow(steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let model = MemoryJournal::new();
    let mut disk = SqliteJournal::open(directory.path()).await.unwrap();
    // Whatever a task run belongs to is there.
    let flows: Vec<Record> = (1..=RUNS).map(|no| flow_of(no).into()).collect();
    for store in [&disk as &dyn JournalStore, &model] {
        store.write(&flows).await.unwrap();
    }
    for step in steps {
        match step {
            Step::Write(batch) => {
                // What was cleared out does not come back but as a whole.
                let there: Vec<u64> = known(&model).await;
                let belongs = |record: &&Record| match record {
                    Record::Flow(flow) => there.contains(&flow.no.0),
                    Record::Task(task) => there.contains(&task.spot.run.0),
                    Record::Attempt(row) => there.contains(&row.run.0),
                    Record::Edge(edge) => there.contains(&edge.to.run.0),
                    Record::Log(log) => there.contains(&log.run.0),
                    Record::Answer(row) => there.contains(&row.run.0),
                };
                let batch: Vec<Record> = batch.iter().filter(belongs).cloned().collect();
                disk.write(&batch).await.unwrap();
                model.write(&batch).await.unwrap();
            }
            Step::Begin(second) => {
                let now = Timestamp(second * 1_000_000);
                let begun = disk.begin(now, "Crashed").await.unwrap();
                assert_eq!(begun, model.begin(now, "Crashed").await.unwrap());
            }
            Step::Prune(retention) => {
                assert_eq!(
                    prune(&disk, retention).await,
                    prune(&model, retention).await,
                    "{retention:?}"
                );
            }
            Step::Reopen => {
                disk.close().await.unwrap();
                disk = SqliteJournal::open(directory.path()).await.unwrap();
            }
        }
    }
    compare(&disk, &model).await;
    let now = Timestamp(100_000_000);
    assert_eq!(
        disk.begin(now, "Crashed").await.unwrap(),
        model.begin(now, "Crashed").await.unwrap()
    );
    compare(&disk, &model).await;
    disk.close().await.unwrap();
}

/// The flow runs that are there.
async fn known(store: &dyn JournalStore) -> Vec<u64> {
    let mut there = Vec::new();
    for root in (1..=RUNS).map(RunNo) {
        there.extend(store.tree(root).await.unwrap().iter().map(|flow| flow.no.0));
    }
    there
}

proptest! {
    // Every batch is synced to the disk, which takes its time.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_on_disk_answers_as_the_one_in_memory(steps in prop::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(follow(&steps));
    }
}

#[tokio::test]
async fn results_that_are_written_anew_after_results_were_cleared_out_are_cleared_out_first() {
    let result =
        |node: u32, bytes: usize| Step::Write(vec![with_result(task(spot(3, node)), &vec![7; bytes]).into()]);
    let bound = |result_bytes: u64| {
        Step::Prune(Retention {
            ended_before: None,
            runs: None,
            result_bytes: Some(result_bytes),
            log_bytes: None,
            spared: Vec::new(),
        })
    };
    follow(&[
        result(0, 30),
        result(1, 30),
        result(2, 30),
        Step::Write(vec![ended(flow_of(3), 20).into()]),
        bound(60),
        result(0, 30),
        bound(60),
    ])
    .await;
}
