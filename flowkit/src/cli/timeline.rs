//! `timeline`: when the tasks of a run waited and worked, as bars beside each other.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::record::Timestamp;
use serde_json::{Value, json};

use super::Exit;
use super::drawn;
use super::graph_svg::shortened;
use super::screen::{Screen, one_line};
use super::shown;
use super::timeline_svg;
use super::times::{between, length, moment, now};
use super::tree::{Tree, name_of};
use super::trouble::Trouble;

/// A task run on the timeline.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) depth: usize,
    pub(super) state: String,
    pub(super) created: Timestamp,
    /// None if it never began.
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Timestamp,
}

/// The bars of a run, from its beginning to its end.
pub(super) struct Timeline {
    pub(super) name: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) bars: Vec<Bar>,
}

impl Timeline {
    fn of(tree: &Tree) -> Self {
        let to = tree.flow.ended.unwrap_or_else(now);
        let bars: Vec<_> = tree
            .lines()
            .iter()
            .map(|line| Bar {
                name: one_line(&name_of(line.task)),
                depth: line.depth,
                state: line.task.state.clone(),
                created: line.task.created,
                started: line.task.started,
                ended: line.task.ended.unwrap_or(to),
            })
            .collect();
        // What an earlier life of the run did keeps its times.
        let starts = bars.iter().filter_map(|bar| bar.started);
        let first = starts.chain([tree.flow.created]).min().unwrap_or(to);
        Self {
            name: one_line(&tree.flow.name),
            from: first,
            to: bars.iter().map(|bar| bar.ended).chain([to]).max().unwrap_or(to),
            bars,
        }
    }

    /// Where a moment is, of so many places.
    pub(super) fn place(&self, at: Timestamp, places: u64) -> u64 {
        let whole = self.to.0.saturating_sub(self.from.0).max(1);
        let part = at.0.saturating_sub(self.from.0).clamp(0, whole);
        let place = i128::from(part) * i128::from(places) / i128::from(whole);
        u64::try_from(place).unwrap_or(places)
    }
}

/// Shows the timeline of a run.
pub(super) async fn show(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let timeline = Timeline::of(&shown::tree(data_dir, matches).await?);
    if screen.json {
        screen.value(&to_json(&timeline));
        return Ok(Exit::Completed);
    }
    let svg = matches
        .get_one::<String>("format")
        .is_some_and(|format| format == "svg");
    if svg {
        return drawn::write(&timeline_svg::svg(&timeline), matches, screen);
    }
    if matches.contains_id("output") {
        let coloured = std::mem::take(&mut screen.colour);
        let text = lines(&timeline, screen).join("\n") + "\n";
        screen.colour = coloured;
        return drawn::write(&text, matches, screen);
    }
    for line in lines(&timeline, screen) {
        screen.line(&line);
    }
    Ok(Exit::Completed)
}

fn to_json(timeline: &Timeline) -> Value {
    let bars = timeline.bars.iter().map(|bar| {
        json!({
            "name": bar.name,
            "depth": bar.depth,
            "state": bar.state,
            "created": moment(bar.created),
            "started": bar.started.map(moment),
            "ended": moment(bar.ended),
        })
    });
    json!({ "name": timeline.name, "from": moment(timeline.from), "to": moment(timeline.to), "bars": bars.collect::<Value>() })
}

/// How wide a terminal is that does not say.
const COLUMNS: usize = 100;

fn lines(timeline: &Timeline, screen: &Screen<'_>) -> Vec<String> {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let labels: Vec<_> = timeline
        .bars
        .iter()
        .map(|bar| shortened(&format!("{}{}", "  ".repeat(bar.depth), bar.name), 32))
        .collect();
    let widest = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0);
    // Beside the label and the bar there is how long it took.
    let width = columns
        .unwrap_or(COLUMNS)
        .saturating_sub(widest + 14)
        .clamp(10, 400);
    let places = u64::try_from(width).unwrap_or(10);
    let took = length(between(timeline.from, timeline.to));
    let axis = format!("{:widest$}  0{took:>rest$}", "", rest = width.saturating_sub(1));
    let mut lines = vec![screen.heading(&timeline.name), axis];
    for (bar, label) in timeline.bars.iter().zip(labels) {
        let place = |at| usize::try_from(timeline.place(at, places)).unwrap_or(width);
        let begins = bar.started.unwrap_or(bar.ended);
        let (created, started, ended) = (place(bar.created.min(begins)), place(begins), place(bar.ended));
        let (created, started) = (created.min(width - 1), started.min(width - 1));
        let worked = if bar.started.is_some() {
            ended.saturating_sub(started).max(1)
        } else {
            0
        };
        let bar_text = "█".repeat(worked);
        let state = screen.paint(&bar.state);
        let painted = state.replace(&bar.state, &bar_text);
        let took = bar.started.map(|started| length(between(started, bar.ended)));
        lines.push(format!(
            "{label:widest$}  {}{}{painted}{} {}",
            " ".repeat(created),
            "·".repeat(started.saturating_sub(created)),
            " ".repeat(width.saturating_sub(started + worked)),
            took.unwrap_or_else(|| bar.state.clone()),
        ));
    }
    lines
}
