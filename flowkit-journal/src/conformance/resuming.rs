//! What a run that is resumed is given, and what is known of earlier runs.

use std::sync::Arc;

use super::rows::{answer, definition, ended, flow, item, spot, task, with_result};
use super::{Fresh, fresh_and_begun, full_task, stored, tasks, write};
use crate::finished::Finished;
use crate::record::{Effect, NodeKind, Record, RunNo, Spot, TaskRow, Timestamp};
use crate::store::{Beginning, Retention, StoredTask};

pub(super) async fn run_all(fresh: Fresh<'_>) {
    finished_are_those_of_all_lives_and_subflows(fresh).await;
    what_is_missing_is_counted(fresh).await;
    results_of_any_size_are_read(fresh).await;
    answers_are_kept_by_their_places(fresh).await;
    earlier_runs_come_latest_first(fresh).await;
    beginning_marks_what_was_left_unfinished(fresh).await;
}

/// What a resumed run need not do again.
async fn finished_are_those_of_all_lives_and_subflows(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut second = flow(4, 7);
    second.life = 2;
    let mut below = flow(2, 8);
    (below.root, below.parent) = (RunNo(1), Some(spot(1, 4)));
    let mut deeper = flow(3, 9);
    (deeper.root, deeper.parent) = (RunNo(1), Some(spot(2, 0)));
    let flows = [flow(1, 7), below, deeper, second, flow(5, 10)];
    let fan_out = |at| TaskRow {
        kind: NodeKind::FanOut,
        ..task(at)
    };
    let wanted = [
        with_result(task(spot(1, 0)), b""),
        fan_out(spot(1, 2)),
        with_result(task(item(1, 2, 1)), b"one"),
        with_result(task(spot(2, 0)), b"two"),
        TaskRow {
            effect: Effect::Happened,
            ..task(spot(3, 0))
        },
        TaskRow {
            effect: Effect::Intended,
            ended: None,
            ..task(spot(4, 0))
        },
    ];
    let unwanted = [
        task(spot(1, 1)),
        TaskRow {
            kind: NodeKind::Subflow,
            ..task(spot(1, 4))
        },
        task(item(1, 2, 0)),
        fan_out(spot(1, 3)),
        with_result(task(spot(5, 0)), b"of another"),
    ];
    let rows = unwanted.iter().chain(&wanted).cloned().map(Record::from);
    write(&*store, flows.into_iter().map(Record::from).chain(rows)).await;
    let all = |tasks| Finished { tasks, unreadable: 0 };
    let read = store.finished(7).await.expect("they are read");
    assert_eq!(read, all(stored(&wanted.each_ref())));
    let of_subflow = store.finished(8).await.expect("they are read");
    assert_eq!(of_subflow, all(stored(&[&wanted[3], &wanted[4]])));
    assert_eq!(
        store.finished(99).await.expect("nothing is read"),
        Finished::default()
    );
}

/// A row that must have been there and is not counts as one that cannot be read: of its call nothing is known.
async fn what_is_missing_is_counted(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut third = flow(4, 7);
    third.life = 3;
    let subflow = |at| TaskRow {
        kind: NodeKind::Subflow,
        ..task(at)
    };
    let of_a_fan_out_that_is_gone = with_result(task(item(4, 1, 0)), b"item");
    let waiting = TaskRow {
        started: None,
        ..subflow(spot(4, 3))
    };
    let there = [
        with_result(task(spot(1, 1)), b"one"),
        with_result(task(spot(1, 4)), b"four"),
        task(spot(4, 0)),
        of_a_fan_out_that_is_gone,
        subflow(spot(4, 2)),
        waiting,
    ];
    let flows = [flow(1, 7), third].map(Record::from);
    write(
        &*store,
        flows.into_iter().chain(there.iter().cloned().map(Record::from)),
    )
    .await;
    let read = store.finished(7).await.expect("they are read");
    assert_eq!(read.tasks, stored(&[&there[0], &there[1], &there[3]]));
    let (life, nodes, fan_out, flow_of_subflow) = (1, 3, 1, 1);
    assert_eq!(read.unreadable, life + nodes + fan_out + flow_of_subflow);
}

/// A result is given back byte for byte, whatever its size, also when it was replaced.
async fn results_of_any_size_are_read(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let sizes = [0, 1, 4_095, 4_096, 4_097, 100_000];
    let result = |size: usize, salt: u32| -> Vec<u8> {
        (0u32..)
            .map(|n| n.wrapping_mul(salt).to_le_bytes()[1])
            .take(size)
            .collect()
    };
    for salt in [31, 77] {
        let rows = (0u32..).zip(sizes).flat_map(|(node, size)| {
            // The same content twice.
            [spot(1, node), spot(1, node + 100)].map(|at| with_result(task(at), &result(size, salt)).into())
        });
        write(&*store, [flow(1, 7).into()].into_iter().chain(rows)).await;
        for (node, size) in (0u32..).zip(sizes) {
            let read = store.result(spot(1, node)).await.expect("it is read");
            assert_eq!(read, Some(result(size, salt)), "{size} bytes");
        }
    }
    // One of two that share a content goes.
    write(&*store, [task(spot(1, 105)).into()]).await;
    assert_eq!(store.result(spot(1, 105)).await.expect("none is read"), None);
    assert_eq!(
        store.result(spot(1, 5)).await.expect("it is read"),
        Some(result(100_000, 77))
    );
    assert_eq!(store.result(spot(1, 50)).await.expect("none is read"), None);
}

/// What somebody gave a run that waited is there for its later lives, and goes with it.
async fn answers_are_kept_by_their_places(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let answers = [answer(1, 1, b"yes"), answer(1, 2, b""), answer(2, 3, b"no")];
    let flows = [ended(flow(1, 7), 5), flow(2, 8)].map(Record::from);
    let batch = answers.iter().cloned().map(Record::from);
    write(&*store, flows.into_iter().chain(batch)).await;
    for row in &answers {
        let read = store.answer(row.place).await.expect("it is read");
        assert_eq!(read.as_ref(), Some(row));
    }
    assert_eq!(store.answer([9; 16]).await.expect("none is read"), None);
    // Given again in another life.
    write(&*store, [answer(2, 3, b"perhaps").into()]).await;
    let read = store.answer([3; 16]).await.expect("it is read");
    assert_eq!(read, Some(answer(2, 3, b"perhaps")));
    let nothing = Retention {
        ended_before: Some(Timestamp(i64::MAX)),
        runs: None,
        result_bytes: None,
        log_bytes: None,
        spared: Vec::new(),
    };
    while store.prune(&nothing).await.expect("it clears out").more {}
    assert_eq!(store.answer([1; 16]).await.expect("none is read"), None);
    assert!(store.answer([3; 16]).await.expect("it is read").is_some());
}

/// What ran earlier under the same name, whatever its code was then.
async fn earlier_runs_come_latest_first(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let at = |at, second: i64| TaskRow {
        ended: Some(Timestamp(second * 1_000_000)),
        ..task(at)
    };
    let mut older_code = at(spot(1, 0), 3);
    let mut code = Arc::unwrap_or_clone(definition("extract"));
    code.code = "older".to_owned();
    older_code.definition = Arc::new(code);
    let fan_out = TaskRow {
        kind: NodeKind::FanOut,
        ..at(spot(2, 0), 6)
    };
    let unfinished = TaskRow {
        ended: None,
        ..task(spot(2, 1))
    };
    let other = TaskRow {
        definition: definition("load"),
        ..at(spot(2, 2), 4)
    };
    let rows = [
        at(spot(1, 1), 2),
        older_code,
        at(spot(1, 2), 7),
        fan_out,
        at(item(2, 0, 0), 4),
        at(item(2, 0, 1), 5),
    ];
    let batch = rows
        .iter()
        .chain([&unfinished, &other])
        .cloned()
        .map(Record::from);
    write(
        &*store,
        [flow(1, 7).into(), flow(2, 8).into()].into_iter().chain(batch),
    )
    .await;
    let earlier = |before: i64, limit| {
        let store = Arc::clone(&store);
        async move {
            let found = store
                .earlier(&definition("extract"), Timestamp(before * 1_000_000), limit)
                .await;
            found
                .expect("they are read")
                .iter()
                .map(|task| task.spot)
                .collect::<Vec<Spot>>()
        }
    };
    let in_order = [spot(2, 0), item(2, 0, 1), item(2, 0, 0), spot(1, 0), spot(1, 1)];
    assert_eq!(earlier(7, 10).await, in_order);
    assert_eq!(earlier(8, 1).await, [spot(1, 2)]);
    assert_eq!(earlier(7, 3).await, in_order[..3]);
    assert_eq!(earlier(2, 10).await, []);
    assert_eq!(earlier(7, 0).await, []);
}

/// What a process that died left is marked, and the next number is one that no run ever had.
async fn beginning_marks_what_was_left_unfinished(fresh: Fresh<'_>) {
    let store = fresh_and_begun(fresh).await;
    let mut below = flow(3, 30);
    (below.root, below.parent) = (RunNo(2), Some(spot(2, 0)));
    let running = |at| TaskRow {
        state: "Running",
        ended: None,
        ..full_task(at)
    };
    let rows = [running(spot(2, 0)), running(spot(3, 0)), running(item(3, 1, 4))];
    let done = task(spot(2, 1));
    let batch = rows.iter().chain([&done]).cloned().map(Record::from);
    let flows = [ended(flow(1, 10), 5), flow(2, 20), below.clone(), flow(4, 5)];
    write(&*store, flows.clone().map(Record::from).into_iter().chain(batch)).await;
    let now = Timestamp(9_000_000);
    let beginning = store.begin(now, "Crashed").await.expect("it begins");
    let expected = Beginning {
        next_run: RunNo(5),
        crashed: vec![20, 5],
    };
    assert_eq!(beginning, expected);
    let crashed = |row: &TaskRow| StoredTask {
        state: "Crashed".to_owned(),
        ended: Some(now),
        ..row.into()
    };
    assert_eq!(
        tasks(&*store, 2).await,
        [crashed(&rows[0]), StoredTask::from(&done)]
    );
    assert_eq!(tasks(&*store, 3).await, [crashed(&rows[1]), crashed(&rows[2])]);
    assert_eq!(
        store.finished(20).await.expect("they are read").tasks.len(),
        3,
        "they verify as they are now"
    );
    assert_eq!(
        store.result(spot(3, 0)).await.expect("it is read"),
        Some(vec![0, 255, 1])
    );
    for (id, crashed) in [(10, false), (20, true), (30, true), (5, true)] {
        let read = store.flow(id).await.expect("it is read").expect("it is there");
        assert_eq!(
            read.state == "Crashed" && read.ended == Some(now),
            crashed,
            "{id}"
        );
    }
    let again = store.begin(now, "Crashed").await.expect("it begins");
    assert_eq!(again.crashed, [0; 0]);
}
