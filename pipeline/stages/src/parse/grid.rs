//! Tables inside documents, as lines that are understood alone.

use penstock_runtime::Failure;

use super::draft::{Draft, one_line};
use super::table::{Rows, looks_like_header};

/// A row with more columns is no table for reading; the rest is dropped.
const MOST_COLUMNS: usize = 200;

/// A table under construction. Tables inside a cell are read as its text.
#[derive(Default)]
pub struct Grid {
    depth: usize,
    cell: String,
    row: Vec<String>,
    rows: Rows,
    /// The first row, while it is not known whether others follow.
    header: Option<Vec<String>>,
}

impl Grid {
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn open(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }

    pub fn push(&mut self, text: &str) {
        self.cell.push_str(text);
        self.cell.push(' ');
    }

    pub fn end_cell(&mut self) {
        if self.depth == 1 && self.row.len() < MOST_COLUMNS {
            self.row.push(one_line(&std::mem::take(&mut self.cell)));
        }
    }

    pub fn end_row(&mut self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        if self.depth != 1 {
            return Ok(());
        }
        let mut row = std::mem::take(&mut self.row);
        while row.last().is_some_and(String::is_empty) {
            row.pop();
        }
        match row.as_slice() {
            [] => Ok(()),
            [alone] => draft.line(alone),
            [name, value] if name.is_empty() => draft.line(value),
            // Two columns are names and values.
            [name, value] => draft.line(&format!("{}: {value}", name.trim_end_matches(':'))),
            cells
                if self.header.is_none() && !self.rows.are_named() && looks_like_header(cells) =>
            {
                self.header = Some(row);
                Ok(())
            }
            cells => {
                if let Some(header) = self.header.take() {
                    self.rows.name(header);
                }
                self.rows.write(cells, draft)
            }
        }
    }

    pub fn close(&mut self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        if self.depth == 1 {
            self.end_row(draft)?;
            if let Some(header) = self.header.take() {
                Rows::default().write(&header, draft)?;
            }
            self.rows = Rows::default();
            draft.new_block()?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Closes what was left open.
    pub fn close_all(&mut self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        self.depth = self.depth.min(1);
        if self.depth == 1 && !self.cell.is_empty() {
            self.end_cell();
        }
        self.close(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Budget, Cancel, Limits};
    use super::*;

    #[test]
    fn rows_become_lines() {
        fn check(rows: &[&[&str]], expect: &str) {
            let budget = Budget::new(&Limits::default(), Cancel::default());
            let mut draft = Draft::new(&budget);
            let mut grid = Grid::default();
            grid.open();
            for row in rows {
                for cell in *row {
                    grid.push(cell);
                    grid.end_cell();
                }
                grid.end_row(&mut draft).unwrap();
            }
            grid.close(&mut draft).unwrap();
            assert_eq!(draft.finish().text, expect);
        }
        check(
            &[
                &["Customer", "Alder\nFinch"],
                &["Status:", "active"],
                &["", "x"],
            ],
            "Customer: Alder Finch\nStatus: active\nx",
        );
        check(
            &[
                &["Load", "To", "Fee"],
                &["LD-1", "Bern", "5"],
                &["LD-2", "", "6"],
            ],
            "Load: LD-1; To: Bern; Fee: 5\nLoad: LD-2; Fee: 6",
        );
        check(&[&["Title"], &["1", "2", "3"]], "Title\n1; 2; 3");
        check(&[&["only", "a", "header"]], "only; a; header");
        check(&[&["", ""]], "");
    }
}
