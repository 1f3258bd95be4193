//! A run on the terminal: a line for each task, a bar for each fan-out, a summary at the end. Where the output is no
//! terminal, plain lines, one for each thing that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowkit::{Event, EventKind, Observer, State, TaskRunId};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows runs on standard error as they go. Give it to a runtime: `Runtime::builder().observe(Progress::default())`.
pub struct Progress {
    /// None where standard error is no terminal.
    screen: Option<MultiProgress>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    bars: BTreeMap<(u128, u32), ProgressBar>,
    fan_outs: BTreeSet<(u128, u32)>,
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
            lines: Mutex::default(),
        }
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn bar(&self, lines: &mut Lines, id: TaskRunId, name: &str, items: Option<u64>) -> Option<ProgressBar> {
        let screen = self.screen.as_ref()?;
        let bar = lines.bars.entry(place_of(id)).or_insert_with(|| {
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
        Some(bar.clone())
    }

    fn task(&self, id: TaskRunId, name: &str, to: State, attempt: u32) {
        let mut lines = self.lock();
        let is_item = id.item().is_some();
        let bar = self.bar(&mut lines, id, name, None);
        // A fan-out is counted by its items, and so is never counted as one itself.
        if to.is_terminal() && (is_item || !lines.fan_outs.contains(&place_of(id))) {
            *lines.ended.entry(to).or_default() += 1;
        }
        drop(lines);
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

    fn summary(&self, name: &str, state: State, elapsed: std::time::Duration) {
        let lines = std::mem::take(&mut *self.lock());
        let mut line = format!("{name}: {state} in {:.2} s", elapsed.as_secs_f64());
        for (state, runs) in &lines.ended {
            line.push_str(&format!(", {runs} {state}"));
        }
        if lines.retries > 0 {
            line.push_str(&format!(", {} retries", lines.retries));
        }
        self.say(&line);
    }
}

/// What tells nodes apart, across the runs that are shown.
fn place_of(id: TaskRunId) -> (u128, u32) {
    (id.flow_run().as_u128(), id.node())
}

impl Observer for Progress {
    fn on_event(&self, event: &Event<'_>) {
        match &event.kind {
            EventKind::FanOutStarted { id, name, items } => {
                let mut lines = self.lock();
                lines.fan_outs.insert(place_of(*id));
                self.bar(&mut lines, *id, name, Some(items.unwrap_or_default()));
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
                self.lock().retries += 1;
                if self.screen.is_none() {
                    self.say(&format!(
                        "{name}: attempt {attempt} failed, the next one follows in {delay:?}"
                    ));
                }
            }
            EventKind::Uncached { name, reason, .. } => self.say(&format!("{name}: uncached: {reason}")),
            EventKind::FlowRunFinished { state, elapsed, .. } => {
                self.summary(event.flow_run_name, *state, *elapsed);
            }
            _ => {}
        }
    }
}
