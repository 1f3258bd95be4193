//! The tests that every store passes. Each is one behaviour of the contract of [`JournalStore`]; [`run_all`] runs them on fresh stores.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: they panic to say what a store does wrong"
)]

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::record::{Effect, NodeKind, Parameters, Record, RunNo, Spot, TaskRow, Timestamp};
use crate::store::{
    Beginning, ItemCount, JournalSize, JournalStore, RunFilter, StoredFlow, StoredLog, StoredTask,
};

pub mod failing;
pub mod guarded;
mod pruning;
mod resuming;
pub mod rows;

use rows::{attempt, edge, ended, flow, flow_definition, item, log, spot, task, with_result};

/// Makes a fresh, empty store.
pub type Fresh<'a> = &'a (dyn Fn() -> BoxFuture<'a, Arc<dyn JournalStore>> + Sync);

/// Runs every test, each on a store of its own.
///
/// # Panics
/// When the store breaks the contract.
pub async fn run_all(fresh: Fresh<'_>) {
    what_is_written_is_read(fresh).await;
    the_last_row_of_a_place_counts(fresh).await;
    a_flow_run_is_seen_in_its_last_life(fresh).await;
    items_are_counted(fresh).await;
    flow_runs_are_filtered(fresh).await;
    items_are_read_if_asked_for(fresh).await;
    edges_attempts_and_logs_are_read(fresh).await;
    resuming::run_all(fresh).await;
    sizes_add_up(fresh).await;
    pruning::run_all(fresh).await;
}

async fn fresh_and_begun(fresh: Fresh<'_>) -> Arc<dyn JournalStore> {
    let store = fresh().await;
    let beginning = store.begin(Timestamp(0), "Crashed").await.expect("it begins");
    let expected = Beginning {
        next_run: RunNo(1),
        crashed: Vec::new(),
    };
    assert_eq!(beginning, expected, "a fresh store is empty");
    store
}

async fn write(store: &dyn JournalStore, batch: impl IntoIterator<Item = Record> + Send) {
    let batch: Vec<Record> = batch.into_iter().collect();
    store.write(&batch).await.expect("the batch is written");
}

async fn tasks(store: &dyn JournalStore, run: u64) -> Vec<StoredTask> {
    store.tasks(RunNo(run), true).await.expect("they are read")
}

fn stored(rows: &[&TaskRow]) -> Vec<StoredTask> {
    rows.iter().map(|row| StoredTask::from(*row)).collect()
}

/// A task run with everything that one can have.
fn full_task(spot: Spot) -> TaskRow {
    TaskRow {
        parent: Some(item(1, 7, 3)),
        name: Some("extract plants.csv".into()),
        tags: vec!["nightly".to_owned(), "ünïcode \u{1F331}\0".to_owned()],
        error: Some("it failed: because\nof that".into()),
        attempts: 300,
        place: Some([7; 16]),
        inputs: vec![[1; 16], [2; 16]],
        cache_key: Some([9; 32]),
        origin: Some("another run".into()),
        uncached: Some("its inputs have no key".into()),
        effect: Effect::Intended,
        result: Some([0, 255, 1].as_slice().into()),
        ..task(spot)
    }
}

/// What was written is read, with all that belongs to it.
pub async fn what_is_written_is_read(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut whole = ended(flow(1, 77), 50);
    whole.tags = vec!["a".to_owned(), "b".to_owned()];
    whole.error = Some("so it ended".into());
    whole.result_json = Some("{\"rows\":3}".into());
    whole.parameters = Some(Arc::new(Parameters {
        json: Some("[1]".to_owned()),
        bytes: vec![0, 1, 255],
    }));
    let bare = TaskRow {
        started: None,
        ended: None,
        state: "Pending",
        attempts: 0,
        ..task(spot(1, 1))
    };
    let strange = TaskRow {
        kind: NodeKind::Subflow,
        effect: Effect::Happened,
        created: Timestamp(-5),
        started: Some(Timestamp(1_900_000_000_000_000)),
        ended: Some(Timestamp(-9)),
        result: Some([].as_slice().into()),
        ..task(spot(1, u32::MAX))
    };
    let full = full_task(spot(1, 0));
    let batch = [&full, &bare, &strange].map(|row| Record::from(row.clone()));
    write(&*store, [Record::from(whole.clone())].into_iter().chain(batch)).await;
    assert_eq!(
        store.flow(77).await.expect("it is read"),
        Some(StoredFlow::from(&whole))
    );
    assert_eq!(tasks(&*store, 1).await, stored(&[&full, &bare, &strange]));
    assert_eq!(
        store.result(strange.spot).await.expect("it is read"),
        Some(Vec::new())
    );
    assert_eq!(store.flow(78).await.expect("nothing is read"), None);
    assert_eq!(tasks(&*store, 2).await, []);
}

/// A later row of a place replaces an earlier one, in another batch and in the same.
pub async fn the_last_row_of_a_place_counts(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let waiting = |spot| TaskRow {
        state: "Pending",
        started: None,
        ended: None,
        ..full_task(spot)
    };
    let places = [spot(1, 0), spot(1, 1), item(1, 1, 0)];
    write(
        &*store,
        [Record::from(flow(1, 7))]
            .into_iter()
            .chain(places.map(|at| waiting(at).into())),
    )
    .await;
    let last = places.map(task);
    let mut batch = vec![Record::from(ended(flow(1, 7), 9)), flow(1, 7).into()];
    for row in &last {
        batch.extend([waiting(row.spot).into(), row.clone().into()]);
    }
    write(&*store, batch).await;
    assert_eq!(tasks(&*store, 1).await, stored(&last.each_ref()));
    assert_eq!(
        store.flow(7).await.expect("it is read"),
        Some(StoredFlow::from(&flow(1, 7)))
    );
    assert_eq!(store.result(spot(1, 0)).await.expect("none is read"), None);
}

/// A flow run has the same id in each of its lives.
pub async fn a_flow_run_is_seen_in_its_last_life(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut second = flow(3, 7);
    second.life = 2;
    let mut below = flow(2, 8);
    (below.root, below.parent) = (RunNo(1), Some(spot(1, 4)));
    write(
        &*store,
        [
            flow(1, 7).into(),
            below.clone().into(),
            ended(second.clone(), 9).into(),
        ],
    )
    .await;
    let last = StoredFlow::from(&ended(second, 9));
    assert_eq!(store.flow(7).await.expect("it is read"), Some(last.clone()));
    assert_eq!(
        store.flows(&RunFilter::default()).await.expect("they are read"),
        std::slice::from_ref(&last)
    );
    let tree = store.tree(RunNo(1)).await.expect("it is read");
    assert_eq!(tree, [StoredFlow::from(&flow(1, 7)), StoredFlow::from(&below)]);
    assert_eq!(
        store.tree(RunNo(3)).await.expect("it is read"),
        std::slice::from_ref(&last)
    );
    assert_eq!(
        store.flow(8).await.expect("a subflow, too"),
        Some(StoredFlow::from(&below))
    );
    let first = StoredFlow::from(&flow(1, 7));
    assert_eq!(
        store.lives(7).await.expect("they are read"),
        [first.clone(), last]
    );
    assert_eq!(
        store.lives(8).await.expect("they are read"),
        [StoredFlow::from(&below)]
    );
    assert_eq!(store.lives(9).await.expect("there are none"), []);
    assert_eq!(store.life(RunNo(1)).await.expect("it is read"), Some(first));
    let subflow = store.life(RunNo(2)).await.expect("it is read");
    assert_eq!(subflow, Some(StoredFlow::from(&below)));
    assert_eq!(store.life(RunNo(4)).await.expect("it is read"), None);
}

/// Each part of a filter narrows what is found.
pub async fn flow_runs_are_filtered(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut other = flow(3, 3);
    other.definition = flow_definition("other");
    write(
        &*store,
        [
            flow(1, 1).into(),
            ended(flow(2, 2), 9).into(),
            other.into(),
            flow(4, 4).into(),
        ],
    )
    .await;
    let all = RunFilter::default;
    let of_flow = |name: &str| RunFilter {
        flow: Some(name.to_owned()),
        ..all()
    };
    let in_state = |state: &str| RunFilter {
        state: Some(state.to_owned()),
        ..all()
    };
    let at_most = |limit, filter| RunFilter {
        limit: Some(limit),
        ..filter
    };
    let since = |second: i64, filter| RunFilter {
        since: Some(Timestamp(second * 1_000_000)),
        ..filter
    };
    let between = RunFilter {
        until: Some(Timestamp(4_000_000)),
        ..since(2, all())
    };
    let cases: [(RunFilter, &[u64]); 8] = [
        (all(), &[4, 3, 2, 1]),
        (at_most(2, all()), &[4, 3]),
        (of_flow("other"), &[3]),
        (of_flow("nobody"), &[]),
        (in_state("Completed"), &[2]),
        (in_state("Unheard"), &[]),
        (between, &[3, 2]),
        (at_most(1, since(2, in_state("Running"))), &[4]),
    ];
    for (filter, expected) in cases {
        let found = store.flows(&filter).await.expect("they are read");
        let found: Vec<u64> = found.iter().map(|flow| flow.no.0).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

/// A fan-out may have many items; who does not ask for them does not get them.
pub async fn items_are_read_if_asked_for(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let fan_out = TaskRow {
        kind: NodeKind::FanOut,
        ..task(spot(1, 2))
    };
    let rows: Vec<TaskRow> = [task(spot(1, 0)), fan_out.clone()]
        .into_iter()
        .chain((0..700).map(|index| with_result(task(item(1, 2, index)), &index.to_le_bytes())))
        .chain([task(spot(1, 5)), task(item(1, 5, u32::MAX))])
        .collect();
    write(
        &*store,
        [flow(1, 7).into()]
            .into_iter()
            .chain(rows.iter().cloned().map(Record::from)),
    )
    .await;
    assert_eq!(tasks(&*store, 1).await, stored(&rows.iter().collect::<Vec<_>>()));
    let without = store.tasks(RunNo(1), false).await.expect("they are read");
    assert_eq!(without, stored(&[&task(spot(1, 0)), &fan_out, &task(spot(1, 5))]));
    for row in &rows {
        let one = store.task(row.spot).await.expect("it is read");
        assert_eq!(one, Some(StoredTask::from(row)));
    }
    for spot in [spot(1, 1), spot(2, 0), item(1, 2, 700), item(1, 0, 0)] {
        assert_eq!(store.task(spot).await.expect("it is read"), None);
    }
}

/// How many items are in which state is known without reading them.
pub async fn items_are_counted(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let at = |run, node, index, state| TaskRow {
        state,
        ..task(item(run, node, index))
    };
    let rows = [
        task(spot(1, 2)),
        at(1, 2, 0, "Running"),
        at(1, 2, 1, "Completed"),
        at(1, 2, 7, "Completed"),
        at(1, 5, 0, "Cached"),
        at(2, 2, 0, "Failed"),
        // It goes on from where it was.
        at(1, 2, 0, "Failed"),
    ];
    let rows = rows.into_iter().map(Record::from);
    write(
        &*store,
        [flow(1, 7).into(), flow(2, 8).into()].into_iter().chain(rows),
    )
    .await;
    let count = |node, state: &str, items| ItemCount {
        node,
        state: state.to_owned(),
        items,
    };
    let counted = store.item_counts(RunNo(1)).await.expect("they are counted");
    assert_eq!(
        counted,
        [
            count(2, "Completed", 2),
            count(2, "Failed", 1),
            count(5, "Cached", 1)
        ]
    );
    assert_eq!(store.item_counts(RunNo(3)).await.expect("there are none"), []);
}

/// What is written beside task runs is read, for one life at a time.
pub async fn edges_attempts_and_logs_are_read(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let lines = [
        log(1, Some(spot(1, 0)), "first"),
        log(1, None, ""),
        log(1, Some(item(1, 2, 3)), "third\nline"),
    ];
    let edges = [
        edge(spot(1, 0), spot(1, 1), None),
        edge(spot(1, 0), spot(1, 1), Some("source")),
        edge(item(2, 9, 1), spot(1, 4), Some("limit")),
    ];
    let attempts = [
        attempt(1, None, 1),
        attempt(1, Some(spot(1, 0)), 1),
        attempt(1, Some(spot(1, 0)), 2),
    ];
    let mut batch: Vec<Record> = vec![flow(1, 7).into(), flow(2, 8).into()];
    batch.extend(lines.iter().cloned().map(Record::from));
    batch.extend(edges.iter().rev().cloned().map(Record::from));
    batch.extend(attempts.iter().rev().cloned().map(Record::from));
    batch.extend([log(2, None, "of another").into(), attempt(2, None, 1).into()]);
    batch.extend([edges[0].clone().into(), edge(spot(1, 0), spot(2, 0), None).into()]);
    write(&*store, batch).await;
    let read = store.edges(RunNo(1)).await.expect("they are read");
    let read: Vec<_> = read
        .into_iter()
        .map(|edge| (edge.from, edge.to, edge.parameter))
        .collect();
    let written = edges.map(|edge| (edge.from, edge.to, edge.parameter.map(str::to_owned)));
    assert_eq!(read, written, "in the order of where they lead");
    assert_eq!(store.attempts(RunNo(1)).await.expect("they are read"), attempts);
    let read = store.logs(RunNo(1), None).await.expect("they are read");
    assert_eq!(read, lines.each_ref().map(StoredLog::from));
    let read = store.logs(RunNo(1), lines[2].task).await.expect("they are read");
    assert_eq!(read, [StoredLog::from(&lines[2])]);
}

/// A journal knows how large it is.
pub async fn sizes_add_up(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let rows = [
        with_result(task(spot(1, 0)), &[1; 10]),
        with_result(task(spot(1, 1)), &[2; 10_000]),
    ];
    let lines = [log(1, None, "four"), log(1, None, "seven..")];
    let batch = rows.map(Record::from).into_iter().chain(lines.map(Record::from));
    write(&*store, [flow(1, 7).into()].into_iter().chain(batch)).await;
    let size = store.size().await.expect("it is measured");
    let expected = JournalSize {
        flow_runs: 1,
        task_runs: 2,
        result_bytes: 10_010,
        log_bytes: 11,
        disk_bytes: size.disk_bytes,
    };
    assert_eq!(size, expected);
}
