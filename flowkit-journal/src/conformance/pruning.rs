//! What a store no longer keeps, and what it keeps whatever it is told.

use std::sync::Arc;

use super::rows::{attempt, edge, ended, flow, item, log, spot, task, with_result};
use super::{Fresh, fresh_and_begun, tasks, write};
use crate::record::{FlowRow, Record, RunNo, Timestamp};
use crate::store::{JournalSize, JournalStore, Pruned, Retention, RunFilter};

const KEEP_ALL: Retention = Retention {
    ended_before: None,
    runs: None,
    result_bytes: None,
    log_bytes: None,
    spared: Vec::new(),
};

pub(super) async fn run_all(fresh: Fresh<'_>) {
    whole_trees_go_with_all_that_is_theirs(fresh).await;
    what_goes_on_stays(fresh).await;
    what_is_about_to_go_on_is_spared(fresh).await;
    the_oldest_runs_go_first(fresh).await;
    results_go_before_history(fresh).await;
    the_oldest_lines_go_first(fresh).await;
    what_was_never_again_needed_goes_in_slices(fresh).await;
}

/// Clears out until there is nothing more to do.
async fn prune(store: &dyn JournalStore, retention: &Retention) -> Pruned {
    let mut total = Pruned::default();
    for _ in 0..10_000 {
        let slice = store.prune(retention).await.expect("it clears out");
        total.runs += slice.runs;
        total.results += slice.results;
        total.logs += slice.logs;
        if !slice.more {
            return total;
        }
    }
    panic!("there is no end to what it clears out: {total:?}");
}

/// Three flow runs, each of which has of everything.
async fn write_three(store: &dyn JournalStore, change: impl Fn(FlowRow) -> FlowRow) {
    for run in 1..4 {
        let mut below = ended(flow(run * 10, u128::from(run) * 10), 5);
        (below.root, below.parent) = (RunNo(run), Some(spot(run, 0)));
        let at = spot(run, 0);
        let in_seconds = i64::try_from(run).expect("it is small") * 100;
        let rows: Vec<Record> = vec![
            change(ended(flow(run, run.into()), in_seconds)).into(),
            below.into(),
            task(at).into(),
            with_result(task(item(run, 1, 0)), &[1; 10]).into(),
            with_result(
                task(spot(run * 10, 0)),
                &[u8::try_from(run).expect("it is small"); 9_000],
            )
            .into(),
            edge(at, spot(run, 1), Some("source")).into(),
            attempt(run, None, 1).into(),
            attempt(run, Some(at), 1).into(),
            log(run, Some(at), "12345678").into(),
            log(run * 10, None, "12345678").into(),
        ];
        write(store, rows).await;
    }
}

/// A run that is about to go on stays as it is, though it has ended: nothing of it is cleared out, and it counts among none.
async fn what_is_about_to_go_on_is_spared(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    write_three(&*store, |flow| flow).await;
    // Measured as what has ended.
    let much = Retention {
        result_bytes: Some(1 << 30),
        log_bytes: Some(1 << 30),
        ..KEEP_ALL
    };
    prune(&*store, &much).await;
    let nothing = Retention {
        ended_before: Some(Timestamp(i64::MAX)),
        runs: Some(0),
        result_bytes: Some(0),
        log_bytes: Some(0),
        spared: vec![1, 2],
    };
    let pruned = prune(&*store, &nothing).await;
    let one = Pruned {
        runs: 1,
        ..Pruned::default()
    };
    assert_eq!(pruned, one);
    assert_eq!(runs(&*store).await, [2, 1]);
    for run in [1, 2] {
        assert!(tasks(&*store, run).await.iter().any(|task| task.has_result));
        assert_eq!(store.logs(RunNo(run), None).await.expect("it is read").len(), 1);
    }
}

async fn runs(store: &dyn JournalStore) -> Vec<u64> {
    let found = store.flows(&RunFilter::default()).await.expect("they are read");
    found.iter().map(|flow| flow.no.0).collect()
}

async fn whole_trees_go_with_all_that_is_theirs(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    write_three(&*store, |flow| flow).await;
    assert_eq!(prune(&*store, &KEEP_ALL).await, Pruned::default());
    let second = Timestamp(201_000_000);
    let pruned = prune(
        &*store,
        &Retention {
            ended_before: Some(second),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(
        pruned,
        Pruned {
            runs: 2,
            ..Pruned::default()
        }
    );
    assert_eq!(runs(&*store).await, [3]);
    for run in [1, 10, 2, 20].map(RunNo) {
        assert_eq!(store.tasks(run, true).await.expect("none is read"), []);
        assert_eq!(store.edges(run).await.expect("none is read"), []);
        assert_eq!(store.attempts(run).await.expect("none is read"), []);
        assert_eq!(store.logs(run, None).await.expect("none is read"), []);
        assert_eq!(store.tree(run).await.expect("none is read"), []);
    }
    assert_eq!(store.result(item(1, 1, 0)).await.expect("none is read"), None);
    assert_eq!(store.flow(20).await.expect("none is read"), None);
    let size = store.size().await.expect("it is measured");
    let expected = JournalSize {
        flow_runs: 2,
        task_runs: 3,
        result_bytes: 9_010,
        log_bytes: 16,
        disk_bytes: size.disk_bytes,
    };
    assert_eq!(size, expected);
    assert_eq!(tasks(&*store, 3).await.len(), 2);
    assert_eq!(
        store.result(spot(30, 0)).await.expect("it is read"),
        Some(vec![3; 9_000])
    );
    let begun = store.begin(second, "Crashed").await.expect("it begins");
    assert_eq!(begun.next_run, RunNo(31));
    let none = prune(
        &*store,
        &Retention {
            runs: Some(0),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(none.runs, 1);
    let begun = store.begin(second, "Crashed").await.expect("it begins");
    assert_eq!(begun.next_run, RunNo(31), "a number is given once");
}

async fn what_goes_on_stays(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    write_three(&*store, |row| if row.no.0 == 2 { flow(2, 2) } else { row }).await;
    let mut second_life = flow(40, 1);
    second_life.life = 2;
    write(&*store, [second_life.into()]).await;
    let nothing = Retention {
        ended_before: Some(Timestamp(i64::MAX)),
        runs: Some(0),
        result_bytes: Some(0),
        log_bytes: Some(0),
        spared: Vec::new(),
    };
    assert_eq!(
        prune(&*store, &nothing).await,
        Pruned {
            runs: 1,
            ..Pruned::default()
        }
    );
    assert_eq!(runs(&*store).await, [40, 2]);
    for run in [1, 2] {
        assert_eq!(
            tasks(&*store, run).await.len(),
            2,
            "the first life of a run that goes on, too"
        );
        assert_eq!(
            store.logs(RunNo(run), None).await.expect("they are read").len(),
            1
        );
        assert!(store.result(item(run, 1, 0)).await.expect("it is read").is_some());
    }
}

async fn the_oldest_runs_go_first(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    // The first ended last.
    write_three(&*store, |row| if row.no.0 == 1 { ended(row, 900) } else { row }).await;
    let pruned = prune(
        &*store,
        &Retention {
            runs: Some(2),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(pruned.runs, 1);
    assert_eq!(runs(&*store).await, [3, 1]);
    let pruned = prune(
        &*store,
        &Retention {
            runs: Some(1),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(pruned.runs, 1);
    assert_eq!(runs(&*store).await, [1]);
}

async fn results_go_before_history(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    write_three(&*store, |flow| flow).await;
    let pruned = prune(
        &*store,
        &Retention {
            result_bytes: Some(2 * 9_010),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(
        pruned,
        Pruned {
            results: 2,
            ..Pruned::default()
        },
        "27,030 bytes are 9,010 too many"
    );
    for (at, kept) in [
        (item(1, 1, 0), false),
        (spot(10, 0), false),
        (item(2, 1, 0), true),
        (spot(30, 0), true),
    ] {
        assert_eq!(
            store.result(at).await.expect("it is looked for").is_some(),
            kept,
            "{at:?}"
        );
    }
    assert_eq!(tasks(&*store, 1).await.len(), 2, "their history stays");
    assert!(tasks(&*store, 1).await.iter().all(|task| !task.has_result));
    assert_eq!(store.finished(1).await.expect("none is read").tasks, []);
    let size = store.size().await.expect("it is measured");
    assert_eq!((size.task_runs, size.result_bytes), (9, 18_020));
}

async fn the_oldest_lines_go_first(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    write_three(&*store, |flow| flow).await;
    let pruned = prune(
        &*store,
        &Retention {
            log_bytes: Some(25),
            ..KEEP_ALL
        },
    )
    .await;
    assert_eq!(
        pruned,
        Pruned {
            logs: 3,
            ..Pruned::default()
        },
        "48 bytes are 23 too many"
    );
    for (run, left) in [(1, 0), (10, 0), (2, 0), (20, 1), (3, 1), (30, 1)] {
        assert_eq!(
            store.logs(RunNo(run), None).await.expect("they are read").len(),
            left
        );
    }
}

async fn what_was_never_again_needed_goes_in_slices(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let items = (0..1_700).map(|index| with_result(task(item(1, 0, index)), &index.to_le_bytes()).into());
    let lines = (0..1_700).map(|_| log(1, None, "x").into());
    write(
        &*store,
        [ended(flow(1, 7), 5).into()]
            .into_iter()
            .chain(items)
            .chain(lines),
    )
    .await;
    let small = Retention {
        result_bytes: Some(40),
        log_bytes: Some(3),
        ..KEEP_ALL
    };
    let expected = Pruned {
        results: 1_690,
        logs: 1_697,
        ..Pruned::default()
    };
    assert_eq!(prune(&*store, &small).await, expected);
    assert!(
        store
            .result(item(1, 0, 1_690))
            .await
            .expect("it is read")
            .is_some()
    );
    // A run that goes is not seen in parts.
    let none = Retention {
        runs: Some(0),
        ..KEEP_ALL
    };
    let store: Arc<dyn JournalStore> = store;
    assert_eq!(store.prune(&none).await.expect("it clears out").runs, 1);
    assert_eq!(store.flow(7).await.expect("none is read"), None);
    assert_eq!(tasks(&*store, 1).await, []);
    assert_eq!(store.result(item(1, 0, 1_690)).await.expect("none is read"), None);
    prune(&*store, &none).await;
    let size = store.size().await.expect("it is measured");
    assert_eq!(
        (size.flow_runs, size.task_runs, size.result_bytes, size.log_bytes),
        (0, 0, 0, 0)
    );
}
