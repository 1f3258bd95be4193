//! A run on the terminal: a line for each task, a bar for each fan-out, a summary at the end. Where the output is no
//! terminal, plain lines, one for each thing that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowkit::{Event, EventKind, FlowRunId, Observer, State, TaskRunId};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows runs on standard error as they go. Give it to a runtime: `Runtime::builder().observe(Progress::default())`.
pub struct Progress {
    /// None where standard error is no terminal.
    screen: Option<MultiProgress>,
    /// What is shown of each run that has not ended.
    runs: Mutex<BTreeMap<FlowRunId, Shown>>,
}

/// What is shown of one flow run. Its nodes go by their numbers.
#[derive(Default)]
struct Shown {
    bars: BTreeMap<u32, ProgressBar>,
    fan_outs: BTreeSet<u32>,
    ended: BTreeMap<State, usize>,
    retries: usize,
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Progress")
            .field("terminal", &self.screen.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Progress {
    fn default() -> Self {
        let screen = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self {
            screen,
            runs: Mutex::default(),
        }
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FlowRunId, Shown>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plain line, above the bars if there are any.
    fn say(&self, line: &str) {
        // Where standard error cannot be written to, there is nowhere to say so.
        match &self.screen {
            Some(screen) => drop(screen.println(line)),
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// The line of a node on the terminal: a bar if it has many items, else a spinner.
    fn bar(&self, run: &mut Shown, node: u32, name: &str, items: Option<u64>) -> Option<ProgressBar> {
        let screen = self.screen.as_ref()?;
        let bar = run.bars.entry(node).or_insert_with(|| {
            let (bar, template) = match items {
                Some(items) => (
                    ProgressBar::new(items),
                    "{prefix:28} [{bar:24}] {pos}/{len} {msg}",
                ),
                None => (ProgressBar::new_spinner(), "{prefix:28} {spinner} {msg}"),
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            screen.add(bar.with_style(style)).with_prefix(name.to_owned())
        });
        // A run learns its own name when its inputs are there.
        if bar.prefix() != name {
            bar.set_prefix(name.to_owned());
        }
        Some(bar.clone())
    }

    fn task(&self, id: TaskRunId, name: &str, to: State, attempt: u32) {
        let mut runs = self.lock();
        let run = runs.entry(id.flow_run()).or_default();
        let is_item = id.item().is_some();
        let bar = self.bar(run, id.node(), name, None);
        // A fan-out is counted by its items, and so is never counted as one itself.
        if to.is_terminal() && (is_item || !run.fan_outs.contains(&id.node())) {
            *run.ended.entry(to).or_default() += 1;
        }
        drop(runs);
        match bar {
            Some(bar) if is_item && to.is_terminal() => bar.inc(1),
            Some(_) if is_item => {}
            Some(bar) if to.is_terminal() => bar.finish_with_message(to.name()),
            Some(bar) => {
                bar.set_message(if attempt > 1 {
                    format!("{to}, attempt {attempt}")
                } else {
                    to.to_string()
                });
                bar.tick();
            }
            // Why it failed is the program's to say, and what was spared on that account is in the summary.
            None if to.is_terminal() && !is_item && to != State::UpstreamFailed => {
                self.say(&format!("{name}: {to}"));
            }
            None => {}
        }
    }

    fn summary(&self, id: FlowRunId, name: &str, state: State, elapsed: std::time::Duration) {
        let run = self.lock().remove(&id).unwrap_or_default();
        let mut line = format!("{name}: {state} in {:.2} s", elapsed.as_secs_f64());
        for (state, runs) in &run.ended {
            line.push_str(&format!(", {runs} {state}"));
        }
        if run.retries > 0 {
            line.push_str(&format!(", {} retries", run.retries));
        }
        self.say(&line);
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event<'_>) {
        match &event.kind {
            EventKind::FanOutStarted { id, name, items } => {
                let mut runs = self.lock();
                let run = runs.entry(event.flow_run).or_default();
                run.fan_outs.insert(id.node());
                self.bar(run, id.node(), name, Some(items.unwrap_or_default()));
            }
            EventKind::TaskRunState {
                id,
                name,
                to,
                attempt,
                ..
            } => self.task(*id, name, *to, *attempt),
            EventKind::RetryScheduled {
                name, attempt, delay, ..
            } => {
                self.lock().entry(event.flow_run).or_default().retries += 1;
                if self.screen.is_none() {
                    self.say(&format!(
                        "{name}: attempt {attempt} failed, the next one follows in {delay:?}"
                    ));
                }
            }
            EventKind::Uncached { name, reason, .. } => self.say(&format!("{name}: uncached: {reason}")),
            EventKind::FlowRunFinished { state, elapsed, .. } => {
                self.summary(event.flow_run, event.flow_run_name, *state, *elapsed);
            }
            _ => {}
        }
    }
}
