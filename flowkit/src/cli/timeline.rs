//! `timeline`: when the tasks of a run waited and worked, as bars beside each other.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::record::Timestamp;
use serde_json::{Value, json};

use super::Exit;
use super::drawn;
use super::screen::{Screen, one_line};
use super::shown;
use super::tables::pad;
use super::timeline_svg;
use super::times::{between, length, moment};
use super::tree::{Tree, name_of};
use super::trouble::Trouble;
use crate::render::words::{shortened, width};

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
        let to = tree.standing.until();
        let bars: Vec<_> = tree
            .lines()
            .iter()
            .map(|line| Bar {
                name: one_line(&name_of(&line.node.task)),
                depth: line.depth,
                state: line.node.task.state.clone(),
                created: line.node.task.created,
                started: line.node.task.started,
                ended: line.node.task.ended.unwrap_or(to),
            })
            .collect();
        // What an earlier life of the run did keeps its times.
        let starts = bars.iter().filter_map(|bar| bar.started);
        let first = starts.chain([tree.standing.flow.created]).min().unwrap_or(to);
        Self {
            name: one_line(&tree.standing.flow.name),
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
    let format = drawn::format_of(matches, screen)?;
    let timeline = Timeline::of(&shown::tree(data_dir, matches).await?);
    let drawn = match format {
        "json" => format!("{:#}\n", to_json(&timeline)),
        "svg" => timeline_svg::svg(&timeline),
        _ => {
            // A file has no colours.
            let colour = screen.colour && !matches.contains_id("output");
            let coloured = std::mem::replace(&mut screen.colour, colour);
            let text = lines(&timeline, screen).join("\n") + "\n";
            screen.colour = coloured;
            text
        }
    };
    drawn::write(&drawn, matches, screen)
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
    let said = std::env::var("COLUMNS").ok();
    let columns = said.and_then(|columns| columns.parse().ok()).or(screen.columns);
    let labels: Vec<_> = timeline
        .bars
        .iter()
        .map(|bar| shortened(&format!("{}{}", "  ".repeat(bar.depth), bar.name), 32))
        .collect();
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    // Beside the label and the bar there is how long it took.
    let room = columns
        .unwrap_or(COLUMNS)
        .saturating_sub(widest + 14)
        .clamp(10, 400);
    let took = length(between(timeline.from, timeline.to));
    let axis = format!("{:widest$}  0{took:>rest$}", "", rest = room.saturating_sub(1));
    let mut lines = vec![screen.heading(&timeline.name), axis];
    for (bar, label) in timeline.bars.iter().zip(labels) {
        let label = pad(&label, widest);
        lines.push(format!("{label}  {}", bar_line(timeline, bar, room, screen)));
    }
    lines
}

/// A bar in so many columns, and how long it took.
fn bar_line(timeline: &Timeline, bar: &Bar, room: usize, screen: &Screen<'_>) -> String {
    let places = u64::try_from(room).unwrap_or(10);
    let place = |at| usize::try_from(timeline.place(at, places)).unwrap_or(room);
    let begins = bar.started.unwrap_or(bar.ended);
    let (created, started, ended) = (place(bar.created.min(begins)), place(begins), place(bar.ended));
    let (created, started) = (created.min(room - 1), started.min(room - 1));
    let worked = if bar.started.is_some() {
        ended.saturating_sub(started).max(1)
    } else {
        0
    };
    let state = screen.paint(&bar.state);
    let painted = state.replace(&bar.state, &"█".repeat(worked));
    let took = bar.started.map(|started| length(between(started, bar.ended)));
    format!(
        "{}{}{painted}{} {}",
        " ".repeat(created),
        "·".repeat(started.saturating_sub(created)),
        " ".repeat(room.saturating_sub(started + worked)),
        took.unwrap_or_else(|| bar.state.clone()),
    )
}
