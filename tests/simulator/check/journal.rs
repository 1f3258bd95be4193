//! What the journal has of a run is what the run's own record says.

use std::collections::BTreeMap;

use flowkit::journal::{JournalStore, StoredFlow, StoredTask};
use flowkit::{RunRecord, TaskRun};

/// Compares runs, and the subflows in them, with the journal, and says what differs.
pub(crate) async fn compare(journal: &dyn JournalStore, records: &[RunRecord]) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut open: Vec<&RunRecord> = records.iter().collect();
    while let Some(record) = open.pop() {
        let subflows = record.tasks.iter().filter_map(|task| task.subflow.as_deref());
        open.extend(subflows);
        let Some(flow) = journal.flow(record.id.as_u128()).await.unwrap() else {
            // One that never began has nothing but its end, and that is in the flow above.
            if record.attempts > 0 {
                troubles.push(format!("the journal lacks flow run {}", record.id));
            }
            continue;
        };
        let tasks = journal.tasks(flow.no, true).await.unwrap();
        troubles.extend(differences(record, &flow, &tasks));
    }
    troubles
}

fn differences(record: &RunRecord, flow: &StoredFlow, tasks: &[StoredTask]) -> Vec<String> {
    let mut troubles = Vec::new();
    if flow.state != record.state.name() || flow.attempts != record.attempts || flow.ended.is_none() {
        troubles.push(format!(
            "the journal has flow run {} as {} after {} attempts, and it is {} after {}",
            record.id, flow.state, flow.attempts, record.state, record.attempts
        ));
    }
    let by_node = |item: bool| tasks.iter().filter(move |task| task.spot.item.is_some() == item);
    let nodes: BTreeMap<u32, &StoredTask> = by_node(false).map(|task| (task.spot.node, task)).collect();
    if nodes.len() != record.tasks.len() {
        troubles.push(format!(
            "the journal has {} nodes of {}",
            nodes.len(),
            record.tasks.len()
        ));
    }
    for run in &record.tasks {
        match nodes.get(&run.id.node()) {
            Some(task) if is_same(run, task) => {}
            other => troubles.push(format!("the journal has {other:?} for {run:?}")),
        }
        let Some(fan_out) = &run.fan_out else { continue };
        let items = by_node(true).filter(|task| task.spot.node == run.id.node());
        let mut states = BTreeMap::<&str, usize>::new();
        items.for_each(|item| *states.entry(&item.state).or_default() += 1);
        // Items that never began are not recorded one by one.
        let expected = fan_out.states.iter().map(|(state, count)| (state.name(), *count));
        let expected: BTreeMap<&str, usize> = expected.collect();
        let more = states
            .iter()
            .find(|(state, count)| expected.get(*state) != Some(count));
        if let Some((state, count)) = more
            && *state != "Cancelled"
        {
            troubles.push(format!("the journal has {count} items as {state} of {run:?}"));
        }
    }
    troubles
}

fn is_same(run: &TaskRun, task: &StoredTask) -> bool {
    (run.state.name(), run.attempts) == (&*task.state, task.attempts)
        && run.ended.is_some() == task.ended.is_some()
}
