//! Tables of text.

use super::screen::{Screen, one_line};
use crate::render::words::{shortened, width};

/// Between two columns.
const GAP: usize = 2;
/// What is left of a column where there is little room.
const NARROWEST: usize = 8;

impl Screen<'_> {
    /// Prints rows below a header, each column as wide as it must be, and as narrow as the terminal needs it. States are coloured.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| one_line(cell)).collect())
            .collect();
        let width_of = |column: usize, title: &str| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| width(cell)).max();
            widest.unwrap_or(0).max(width(title))
        };
        let mut widths: Vec<usize> = (0..)
            .zip(header)
            .map(|(column, title)| width_of(column, title))
            .collect();
        if let Some(columns) = self.columns {
            narrow(&mut widths, columns);
        }
        let padded = |cells: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let cells = cells.zip(&widths);
            cells.map(|(cell, columns)| pad(cell, *columns)).collect()
        };
        let title = padded(&mut header.iter().copied()).join(&" ".repeat(GAP));
        let title = self.heading(title.trim_end());
        self.line(&title);
        for row in &rows {
            let cells = padded(&mut row.iter().map(String::as_str));
            let cells: Vec<_> = cells.iter().map(|cell| self.paint(cell)).collect();
            self.line(cells.join(&" ".repeat(GAP)).trim_end());
        }
    }
}

/// A text that takes exactly so many columns.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let mut text = shortened(text, columns);
    text.push_str(&" ".repeat(columns.saturating_sub(width(&text))));
    text
}

/// Makes the widest columns narrower until all have room.
fn narrow(widths: &mut [usize], columns: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_little_room_the_widest_columns_give_way() {
        let mut widths = [8, 30, 60];
        narrow(&mut widths, 60);
        assert_eq!(widths, [8, 24, 24]);
        narrow(&mut widths, 5);
        assert_eq!(widths, [8, 8, 8], "less than that says nothing");
    }

    #[test]
    fn letters_that_take_two_columns_are_counted_as_two() {
        assert_eq!(pad("北", 4), "北  ");
        assert_eq!(pad("北の畑", 4), "北… ");
    }
}
