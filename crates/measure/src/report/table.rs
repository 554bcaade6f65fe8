//! Tables in Markdown.

use std::fmt::Write as _;

/// A column: its heading, and what makes the cell of a line.
pub(crate) type Column<L> = (&'static str, fn(&L) -> String);

/// A table with one row for each line, padded so that it reads well as plain text too; empty if there are no lines.
pub(crate) fn render_table<L>(columns: &[Column<L>], lines: &[L]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    rows.extend(lines.iter().map(|line| columns.iter().map(|(_, cell)| cell(line)).collect()));
    let widths: Vec<usize> = (0..columns.len()).map(|column| find_width(&rows, column)).collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    rows.insert(1, rule);
    rows.iter().map(|row| render_row(row, &widths)).collect()
}

fn find_width(rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
}

fn render_row(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let _written = write!(text, "| {cell:<width$} ");
    }
    text.push_str("|\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_the_widest_of_their_column() {
        let columns: [Column<u64>; 2] = [("×", |_| "µ".to_owned()), ("Number", |line| line.to_string())];
        let table = render_table(&columns, &[7, 12_345_678]);
        assert_eq!(table, "| ×   | Number   |\n| --- | -------- |\n| µ   | 7        |\n| µ   | 12345678 |\n");
        assert_eq!(render_table(&columns, &[]), "");
    }
}
