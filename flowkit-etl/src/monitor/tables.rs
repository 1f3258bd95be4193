//! Where figures are added up: per flow, per task, per run.

use std::collections::{BTreeMap, HashMap, VecDeque};

use flowkit::{FlowRunId, State};

use super::figures::{Figures, FlowFigures, RunFigures, Snapshot, TaskFigures};
use super::moments::{Moment, What, kind_of};

pub(super) struct Tables {
    flows: BTreeMap<String, OfFlow>,
    live: HashMap<FlowRunId, RunFigures>,
    /// The last ones, in the order in which they ended.
    ended: VecDeque<RunFigures>,
    at_most: usize,
}

#[derive(Default)]
struct OfFlow {
    own: Figures,
    tasks: BTreeMap<String, Figures>,
}

impl Tables {
    pub(super) fn new(at_most: usize) -> Self {
        Self {
            flows: BTreeMap::new(),
            live: HashMap::new(),
            ended: VecDeque::new(),
            at_most,
        }
    }

    /// Adds it up, with what its error says, if it is a flow run's.
    pub(super) fn note(&mut self, moment: &Moment<'_>, said: Option<String>) {
        self.note_of_run(moment, said);
        let flow = entry(&mut self.flows, moment.flow);
        let figures = match &moment.task {
            None => &mut flow.own,
            Some(task) => entry(&mut flow.tasks, task),
        };
        figures.note(moment);
        if let (What::Passed(traffic), Some(_)) = (&moment.what, &moment.task) {
            flow.own.traffic += *traffic;
        }
    }

    fn note_of_run(&mut self, moment: &Moment<'_>, said: Option<String>) {
        if moment.task.is_none() {
            match &moment.what {
                What::Started { parent, tags } => {
                    let mut run = begun(moment);
                    run.parent = *parent;
                    run.tags.clone_from(tags);
                    self.live.insert(moment.flow_run, run);
                }
                What::Ended { state, took, .. } => {
                    let mut run = self
                        .live
                        .remove(&moment.flow_run)
                        .unwrap_or_else(|| begun(moment));
                    run.state = Some(*state);
                    run.took = *took;
                    run.error = said;
                    self.ended.push_back(run);
                    while self.ended.len() > self.at_most {
                        self.ended.pop_front();
                    }
                }
                _ => {}
            }
        }
        let ended = self.ended.iter_mut().rev();
        let run = match self.live.get_mut(&moment.flow_run) {
            Some(run) => Some(run),
            // What is told after the end is rare.
            None => ended
                .take_while(|_| moment.task.is_some() || matches!(moment.what, What::Passed(_)))
                .find(|run| run.id == moment.flow_run),
        };
        let Some(run) = run else { return };
        if let What::Passed(traffic) = &moment.what {
            run.traffic += *traffic;
        }
        if let Some(task) = &moment.task {
            entry(&mut run.tasks, task).note(moment);
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (flow, of_flow) in &self.flows {
            snapshot.flows.push(FlowFigures {
                flow: flow.clone(),
                figures: of_flow.own.clone(),
            });
            let tasks = of_flow.tasks.iter().map(|(task, figures)| TaskFigures {
                flow: flow.clone(),
                task: task.clone(),
                figures: figures.clone(),
            });
            snapshot.tasks.extend(tasks);
        }
        snapshot
    }

    pub(super) fn runs(&self) -> Vec<RunFigures> {
        let mut runs: Vec<RunFigures> = self.ended.iter().chain(self.live.values()).cloned().collect();
        runs.sort_by_key(|run| (run.began, run.id));
        runs
    }

    pub(super) fn run(&self, id: FlowRunId) -> Option<RunFigures> {
        let ended = || self.ended.iter().rev().find(|run| run.id == id);
        self.live.get(&id).or_else(ended).cloned()
    }
}

impl Figures {
    fn note(&mut self, moment: &Moment<'_>) {
        match &moment.what {
            What::Started { .. } => {
                self.started += 1;
                self.running += 1;
            }
            What::Ended { state, took, error } => {
                *self.ends.entry(*state).or_default() += 1;
                if let Some(took) = took {
                    self.running = self.running.saturating_sub(1);
                    self.durations.add(*took);
                }
                if let Some(error) = error {
                    *self.errors.entry(kind_of(error)).or_default() += 1;
                }
                self.note_last(*state, moment);
            }
            What::Retried => self.retries += 1,
            What::RolledBack => self.rolled_back += 1,
            What::Passed(traffic) => self.traffic += *traffic,
            #[cfg(feature = "quality")]
            What::Measured(_) => {}
        }
    }

    fn note_last(&mut self, state: State, moment: &Moment<'_>) {
        if state.is_success() {
            self.last_success = self.last_success.max(Some(moment.at));
        } else if state.is_failure() {
            self.last_failure = self.last_failure.max(Some(moment.at));
        }
    }
}

fn begun(moment: &Moment<'_>) -> RunFigures {
    RunFigures {
        id: moment.flow_run,
        parent: None,
        flow: moment.flow.to_owned(),
        name: moment.flow_run_name.to_owned(),
        tags: Vec::new(),
        began: moment.at,
        state: None,
        took: None,
        error: None,
        traffic: crate::Traffic::default(),
        tasks: BTreeMap::new(),
    }
}

fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    map.entry(name.to_owned()).or_default()
}
