//! dagx: graphs that are built, then run.

use ::dagx::{DagRunner, task_fn};
use flowkit_benches::measure::{each, timed};

async fn run(dag: &DagRunner) {
    dag.run(|work| drop(tokio::spawn(work))).await.unwrap();
}

/// Tasks that need nothing from each other, building the graph included.
pub(crate) async fn independent(tasks: u64) -> f64 {
    let work = timed(async {
        let dag = DagRunner::new();
        for n in 0..tasks {
            dag.add_task(task_fn(move |(): ()| async move { n + 1 }));
        }
        run(&dag).await;
    });
    each(work.await, tasks)
}

/// Each task takes the value of the one before.
pub(crate) async fn chain(tasks: u64) -> f64 {
    let work = timed(async {
        let dag = DagRunner::new();
        let first = dag.add_task(task_fn(|(): ()| async { 0u64 }));
        let mut last = dag
            .add_task(task_fn(|n: u64| async move { n + 1 }))
            .depends_on(&first);
        for _ in 2..tasks {
            last = dag
                .add_task(task_fn(|n: u64| async move { n + 1 }))
                .depends_on(last);
        }
        run(&dag).await;
        assert_eq!(dag.get(last).unwrap(), tasks - 1);
    });
    each(work.await, tasks)
}

/// Graphs of one task.
pub(crate) async fn graphs(graphs: u64) -> f64 {
    let work = timed(async {
        for n in 0..graphs {
            let dag = DagRunner::new();
            dag.add_task(task_fn(move |(): ()| async move { n }));
            run(&dag).await;
        }
    });
    each(work.await, graphs)
}
