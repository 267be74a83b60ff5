//! Excel workbooks: a sheet is a page, a row a line.

use std::io::Cursor;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx};
use penstock_runtime::Failure;

use super::core_properties;
use super::draft::{Draft, Extracted};
use super::limits::Budget;
use super::package::{Node, Package, attribute, damaged};
use super::table::{Rows, looks_like_header};

/// Columns beyond this are left unread.
const MOST_COLUMNS: u32 = 1_000;

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut package = Package::open(bytes, budget)?;
    package.measure()?;
    strings_are_counted_rightly(&mut package, bytes.len())?;
    let mut draft = Draft::new(budget);
    core_properties::read(&mut package, &mut draft)?;

    let mut workbook: Xlsx<Cursor<&[u8]>> =
        Xlsx::new(Cursor::new(bytes)).map_err(|e| damaged("xlsx", e))?;
    let sheets: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .collect();
    for (number, name) in sheets.iter().enumerate() {
        draft.page(number + 1)?;
        let before = draft.chars();
        draft.heading(2, name)?;
        let after_heading = draft.chars();
        read_sheet(&mut workbook, name, &mut draft)?;
        if draft.chars() == after_heading {
            // A sheet without cells is no text: its name alone would make an empty workbook look full.
            draft.take_back(before);
        }
    }
    Ok(draft.finish())
}

/// The library reserves memory for as many strings as the file claims to have.
fn strings_are_counted_rightly(package: &mut Package<'_>, size: usize) -> Result<(), Failure> {
    let ratio = 1_000_usize;
    let mut claimed = 0_usize;
    package.walk("xl/sharedStrings.xml", |node| {
        if let Node::Start("sst", element) = node {
            let count = attribute(element, "uniqueCount").unwrap_or_default();
            claimed = claimed.max(count.parse().unwrap_or(usize::MAX));
            if count.is_empty() {
                claimed = 0;
            }
        }
        Ok(())
    })?;
    if claimed > size.saturating_mul(ratio) {
        return Err(damaged(
            "xlsx",
            format!("{size} bytes cannot hold the {claimed} strings they claim to"),
        ));
    }
    Ok(())
}

fn read_sheet(
    workbook: &mut Xlsx<Cursor<&[u8]>>,
    name: &str,
    draft: &mut Draft<'_>,
) -> Result<(), Failure> {
    let mut cells = workbook
        .worksheet_cells_reader(name)
        .map_err(|e| damaged("xlsx", e))?;
    let mut sheet = Sheet::default();
    let mut row: Vec<String> = Vec::new();
    let mut row_number = 0;
    let mut count = 0_u64;
    while let Some(cell) = cells.next_cell().map_err(|e| damaged("xlsx", e))? {
        count += 1;
        if count.is_multiple_of(4096) {
            draft.budget.check()?;
        }
        let (at, column) = cell.get_position();
        if at != row_number {
            sheet.row(&std::mem::take(&mut row), draft)?;
            row_number = at;
        }
        let value = text_of(cell.get_value());
        if column >= MOST_COLUMNS || value.is_empty() {
            continue;
        }
        let column = column as usize;
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        if let Some(slot) = row.get_mut(column) {
            *slot = value;
        }
    }
    sheet.row(&row, draft)?;
    sheet.end(draft)
}

/// A sheet's rows: those before the one that names the columns stand alone.
#[derive(Default)]
struct Sheet {
    rows: Rows,
    header: Option<Vec<String>>,
}

impl Sheet {
    fn row(&mut self, row: &[String], draft: &mut Draft<'_>) -> Result<(), Failure> {
        let filled = row.iter().filter(|cell| !cell.is_empty()).count();
        if filled == 0 {
            return Ok(());
        }
        if let Some(header) = self.header.take() {
            self.rows.name(header);
        } else if !self.rows.are_named() && filled > 1 && looks_like_header(row) {
            self.header = Some(row.to_vec());
            return Ok(());
        }
        self.rows.write(row, draft)
    }

    fn end(&mut self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        match self.header.take() {
            Some(alone) => Rows::default().write(&alone, draft),
            None => Ok(()),
        }
    }
}

fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::DateTime(at) if at.is_duration() => {
            let minutes = (at.as_f64() * 24.0 * 60.0).round() as i64;
            format!("{}:{:02}", minutes / 60, minutes.rem_euclid(60))
        }
        DataRef::DateTime(at) => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            match (hour, minute, second) {
                (0, 0, 0) => date,
                (hour, minute, 0) => format!("{date} {hour:02}:{minute:02}"),
                (hour, minute, second) => format!("{date} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}
