//! A timeline as SVG.

use std::fmt::Write;

use super::drawn::state_of;
use super::timeline::Timeline;
use super::times::{between, length};
use crate::render::colour;
use crate::render::words::{escape, shortened};

const LABELS: u64 = 220;
const BARS: u64 = 720;
const ROW: usize = 24;
const TOP: usize = 40;

/// Draws it.
pub(super) fn svg(timeline: &Timeline) -> String {
    let width = LABELS + BARS + 20;
    let height = TOP + ROW * timeline.bars.len() + 20;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{0}</title>\n<text x=\"10\" y=\"22\" font-weight=\"bold\">{0}</text>\n\
         <text x=\"{1}\" y=\"22\" text-anchor=\"end\">{2}</text>\n",
        escape(&timeline.name),
        LABELS + BARS,
        length(between(timeline.from, timeline.to))
    );
    for (number, bar) in timeline.bars.iter().enumerate() {
        let y = TOP + ROW * number;
        let place = |at| LABELS + timeline.place(at, BARS);
        let begins = bar.started.unwrap_or(bar.ended);
        let (created, started, ended) = (place(bar.created.min(begins)), place(begins), place(bar.ended));
        let label = shortened(&bar.name, 30);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}</text>",
            10 + 12 * bar.depth,
            y + 15,
            escape(&label)
        );
        let _ = writeln!(
            out,
            "<line x1=\"{created}\" y1=\"{0}\" x2=\"{started}\" y2=\"{0}\" stroke=\"#9e9e9e\" stroke-dasharray=\"2 3\"/>",
            y + 10
        );
        if bar.started.is_some() {
            let _ = writeln!(
                out,
                "<rect x=\"{started}\" y=\"{y}\" width=\"{}\" height=\"20\" rx=\"3\" fill=\"{}\" stroke=\"#616161\"><title>{}: {}, {}</title></rect>",
                ended.saturating_sub(started).max(2),
                colour(state_of(&bar.state)),
                escape(&bar.name),
                escape(&bar.state),
                length(between(begins, bar.ended))
            );
        }
    }
    out.push_str("</svg>\n");
    out
}
