//! Tables of text.

use super::screen::{Screen, one_line};

impl Screen<'_> {
    /// Prints rows below a header, each column as wide as it must be. States are coloured.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| one_line(cell)).collect())
            .collect();
        let width_of = |column: usize, title: &str| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max();
            widest.unwrap_or(0).max(title.chars().count())
        };
        let widths: Vec<usize> = header
            .iter()
            .enumerate()
            .map(|(column, title)| width_of(column, title))
            .collect();
        let padded = |cells: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            cells
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect()
        };
        let title = padded(&mut header.iter().copied()).join("  ");
        let title = self.heading(title.trim_end());
        self.line(&title);
        for row in &rows {
            let cells = padded(&mut row.iter().map(String::as_str));
            let cells: Vec<_> = cells.iter().map(|cell| self.paint(cell)).collect();
            self.line(cells.join("  ").trim_end());
        }
    }
}
