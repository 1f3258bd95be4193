//! A runtime that is shut down takes no more flow runs, stops those that are late, and has returned only when all have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Case, begins};
use crate::history::What;
use crate::interpret::hooks::LONGEST;

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    let Some(shutdown) = &case.plan.shutdown else {
        return;
    };
    let (mut asked, mut over) = (None, None);
    for (index, line) in case.lines.iter().enumerate() {
        match line.what {
            What::ShutDownAsked { running } => asked = Some((index, running)),
            What::ShutDown { cancelled, running } => over = Some((index, cancelled, running)),
            _ => {}
        }
    }
    let (Some((asked, running)), Some((over, cancelled, left))) = (asked, over) else {
        troubles.push("the shutdown has not returned".into());
        return;
    };
    if left > 0 || cancelled > running {
        troubles.push(format!(
            "of {running} flow runs a shutdown cancelled {cancelled}, and left {left}"
        ));
    }
    let until = case.lines[asked].at + Duration::from_millis(shutdown.grace);
    check_lines(case, asked, over, until, troubles);
    // What is cancelled ends at once, but for its hooks.
    let late = case.lines[over].at.saturating_sub(until);
    let undone = case.lines[..over].iter().filter(|line| line.at + LONGEST > until);
    let undone = undone.filter(|line| matches!(line.what, What::RolledBack { .. } | What::Committed { .. }));
    if late > LONGEST * undone.count() as u32 {
        troubles.push(format!("the shutdown took {late:?} longer than its grace"));
    }
}

fn check_lines(case: &Case<'_>, asked: usize, over: usize, until: Duration, troubles: &mut Vec<String>) {
    let mut begun = BTreeSet::new();
    for (index, line) in case.lines.iter().enumerate() {
        let goes_on = match &line.what {
            What::FlowBegan { flow, parent } => {
                if parent.is_none() && index > asked {
                    troubles.push(format!("line {index}: a flow run is taken after the shutdown"));
                }
                begun.insert(*flow);
                true
            }
            // One that is refused ends without having begun.
            What::FlowEnded { flow, .. } => begun.contains(flow),
            What::Changed { id, from, to, .. } => {
                if begins(*from, *to) && line.at > until {
                    troubles.push(format!(
                        "line {index}: {id} begins after the grace of the shutdown"
                    ));
                }
                true
            }
            What::BodyBegan { .. } | What::BodyEnded { .. } | What::Hook { .. } => true,
            What::Committed { .. } | What::RolledBack { .. } => true,
            _ => false,
        };
        if goes_on && index > over {
            troubles.push(format!("line {index}: something goes on after the shutdown"));
        }
    }
}
