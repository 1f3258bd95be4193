//! How a flow ends follows from how its body and the runs in it ended, and from who looked at them.

use std::collections::{BTreeMap, BTreeSet};

use flowkit::{ErrorKind, FlowRunId, State};

use super::Case;
use super::tree::Parents;
use crate::history::What;

/// What is known of a flow run when it ends.
#[derive(Default)]
struct Known {
    /// Where its last attempt began, and how its body ended.
    began: usize,
    how: Option<&'static str>,
}

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    let mut known = BTreeMap::<FlowRunId, Known>::new();
    let parents = Parents::in_case(case);
    let (mut awaited, mut looked) = (BTreeSet::new(), BTreeSet::new());
    for (index, line) in case.lines.iter().enumerate() {
        match &line.what {
            What::BodyBegan { id: None, flow, .. } => {
                let flow = known.entry(*flow).or_default();
                (flow.began, flow.how) = (index, None);
            }
            What::BodyEnded { id: None, flow, how } => known.entry(*flow).or_default().how = Some(how),
            What::Awaits { id } => {
                awaited.insert(*id);
            }
            What::Looked { id } => {
                looked.insert(*id);
            }
            What::FlowEnded { flow, state, kind } => {
                let Some(known) = known.get(flow) else { continue };
                if !fits(known.how, *state, *kind) {
                    troubles.push(format!("line {index}: its body {:?}", known.how));
                }
                // Who failed, by whether anybody looked.
                let failed = case.runs.iter().filter(|(id, run)| {
                    let of_this = id.flow_run() == *flow && run.changes[0].line >= known.began;
                    of_this && run.state().is_failure() && run.state() != State::UpstreamFailed
                });
                let (mut certainly, mut perhaps) = (0, 0);
                for (id, run) in failed {
                    let (looks, may_look) = match (case.call(&run.name), case.flow(&run.name)) {
                        (Some(call), _) => (call.is_looked_at, call.may_be_looked_at),
                        (None, Some(flow)) => {
                            let flow = &case.plan.flows[flow];
                            (flow.is_looked_at, flow.may_be_looked_at)
                        }
                        // A fan-out as a whole fails with its items.
                        (None, None) => continue,
                    };
                    let looks = looks || looked.contains(id) || parents.retried_above(case, *id);
                    perhaps += usize::from(!looks);
                    certainly += usize::from(!looks && !may_look && !awaited.contains(id));
                }
                let unhandled = *kind == Some(ErrorKind::UnhandledFailure) && known.how == Some("returned");
                if *state == State::Completed && certainly > 0 {
                    troubles.push(format!(
                        "line {index}: {certainly} failures that nobody looked at"
                    ));
                }
                let upstream = case.runs.values().any(|run| run.state() == State::UpstreamFailed);
                if unhandled && perhaps == 0 && !upstream {
                    troubles.push(format!("line {index}: there is no failure that nobody looked at"));
                }
            }
            _ => {}
        }
    }
}

fn fits(body: Option<&'static str>, state: State, kind: Option<ErrorKind>) -> bool {
    match (body, state) {
        // A flow that was stopped before it began, or served from an earlier attempt, has no body.
        (None, _) | (_, State::Cancelled) => true,
        (Some("returned"), State::Completed) => true,
        (Some("returned"), State::Failed) => kind == Some(ErrorKind::UnhandledFailure),
        (Some("failed"), State::Failed | State::TimedOut | State::Crashed) => true,
        // What a flow submitted belongs to its time, also after its body returned.
        (Some("dropped" | "returned"), State::TimedOut) => kind == Some(ErrorKind::TimedOut),
        _ => false,
    }
}
