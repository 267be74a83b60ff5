//! The pieces of text of a PDF page, put together to lines and columns.

use pdf_oxide::layout::TextSpan;

/// A line of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub text: String,
    /// Points from the page's left edge.
    pub left: f32,
    pub right: f32,
    /// Height of the base line, points from the bottom.
    pub base: f32,
    /// Height of the letters, points.
    pub size: f32,
    pub bold: bool,
    /// Holds a gap as wide as those between the columns of a table.
    pub is_row: bool,
}

/// The columns of a page in reading order, each with its lines from the top.
pub fn columns(spans: &[TextSpan]) -> Vec<Vec<Line>> {
    in_columns(rows(spans))
        .iter()
        .map(|column| column.iter().filter_map(|row| line(row)).collect())
        .collect()
}

type Row<'s> = Vec<&'s TextSpan>;

fn left(span: &TextSpan) -> f32 {
    span.bbox.x
}

fn right(span: &TextSpan) -> f32 {
    span.bbox.x + span.bbox.width
}

/// Spans by base line, from the top; each row from left to right.
fn rows(spans: &[TextSpan]) -> Vec<Row<'_>> {
    let mut sorted: Vec<&TextSpan> = spans
        .iter()
        .filter(|span| span.artifact_type.is_none() && !span.text.trim().is_empty())
        .collect();
    sorted.sort_by(|a, b| b.bbox.y.total_cmp(&a.bbox.y));
    let mut rows: Vec<Row<'_>> = Vec::new();
    for span in sorted {
        match rows.last_mut() {
            Some(row) if row.iter().any(|other| on_one_line(other, span)) => row.push(span),
            _ => rows.push(vec![span]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| left(a).total_cmp(&left(b)));
        // Bold letters are sometimes made by drawing twice.
        row.dedup_by(|b, a| a.text == b.text && (left(a) - left(b)).abs() < 1.0);
    }
    rows
}

/// Superscripts and subscripts stand on the line of what they belong to.
fn on_one_line(a: &TextSpan, b: &TextSpan) -> bool {
    (a.bbox.y - b.bbox.y).abs() < 0.45 * a.font_size.max(b.font_size)
}

/// Rows in reading order: where a page has two columns of prose, the left one first, between rows that go across.
fn in_columns(rows: Vec<Row<'_>>) -> Vec<Vec<Row<'_>>> {
    let Some(gutter) = gutter(&rows) else {
        return vec![rows];
    };
    let mut columns = Vec::new();
    let (mut across, mut left_side, mut right_side) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let crosses = row
            .iter()
            .any(|span| left(span) < gutter && right(span) > gutter);
        if crosses {
            columns.push(std::mem::take(&mut left_side));
            columns.push(std::mem::take(&mut right_side));
            across.push(row);
            continue;
        }
        columns.push(std::mem::take(&mut across));
        let (lefts, rights): (Row<'_>, Row<'_>) =
            row.into_iter().partition(|span| left(span) < gutter);
        left_side.extend((!lefts.is_empty()).then_some(lefts));
        right_side.extend((!rights.is_empty()).then_some(rights));
    }
    columns.extend([across, left_side, right_side]);
    columns.retain(|column| !column.is_empty());
    columns
}

/// Rows on either side of a gutter, at the least.
const FEWEST_ROWS: usize = 8;

/// Where the white strip between two columns of prose is. Tables have such strips too, but their cells do not fill the
/// width of their column as lines of prose do.
fn gutter(rows: &[Row<'_>]) -> Option<f32> {
    let spans = || rows.iter().flatten();
    let page_left = spans().map(|span| left(span)).min_by(f32::total_cmp)?;
    let page_right = spans().map(|span| right(span)).max_by(f32::total_cmp)?;
    let width = page_right - page_left;
    if rows.len() < FEWEST_ROWS || !width.is_finite() || width < 100.0 {
        return None;
    }
    (30..=70)
        .map(|percent| page_left + width * percent as f32 / 100.0)
        .filter_map(|at| Some((at, crossings_if_gutter(rows, at, page_left, page_right)?)))
        .min_by_key(|(_, crossings)| *crossings)
        .map(|(at, _)| at)
}

fn crossings_if_gutter(
    rows: &[Row<'_>],
    at: f32,
    page_left: f32,
    page_right: f32,
) -> Option<usize> {
    let (mut crossings, mut lefts, mut rights) = (0, Vec::new(), Vec::new());
    for row in rows {
        if row.iter().any(|span| left(span) < at && right(span) > at) {
            crossings += 1;
            continue;
        }
        let extent = |side: Vec<&&TextSpan>| -> Option<f32> {
            Some(right(side.last()?) - left(side.first()?))
        };
        lefts.extend(extent(row.iter().filter(|span| left(span) < at).collect()));
        rights.extend(extent(row.iter().filter(|span| left(span) >= at).collect()));
    }
    let fills = |extents: &[f32], width: f32| {
        let mean = extents.iter().sum::<f32>() / extents.len().max(1) as f32;
        extents.len() >= FEWEST_ROWS && mean > 0.65 * width
    };
    let is_prose = fills(&lefts, at - page_left) && fills(&rights, page_right - at);
    (is_prose && crossings * 5 < rows.len()).then_some(crossings)
}

fn line(row: &[&TextSpan]) -> Option<Line> {
    let largest = row
        .iter()
        .max_by(|a, b| a.font_size.total_cmp(&b.font_size))?;
    let mut line = Line {
        text: String::new(),
        left: left(row.first()?),
        right: f32::MIN,
        base: largest.bbox.y,
        size: largest.font_size.max(1.0),
        bold: row.iter().all(|span| span.font_weight.is_bold()),
        is_row: false,
    };
    for span in row {
        let gap = left(span) - line.right;
        if !line.text.is_empty() {
            let touches = line.text.ends_with(' ') || span.text.starts_with(' ');
            if gap > 1.5 * line.size {
                line.text.truncate(line.text.trim_end().len());
                line.text.push_str("  ");
                line.is_row = true;
            } else if gap > 0.18 * line.size && !touches {
                line.text.push(' ');
            }
        }
        let text = if line.text.ends_with(' ') {
            span.text.trim_start()
        } else {
            &span.text
        };
        line.text.push_str(text);
        line.right = line.right.max(right(span));
    }
    line.text = readable(line.text.trim_end());
    Some(line)
}

/// Bullets, of which symbol fonts have many, as Markdown has them; and a name beside its value with a colon.
fn readable(line: &str) -> String {
    let bullet = |c: char| matches!(c, '•' | '▪' | '‣' | '◦' | '●' | '\u{e000}'..='\u{f8ff}');
    if let Some(item) = line.strip_prefix(bullet) {
        return format!("- {}", item.trim_start());
    }
    let Some((name, value)) = line.split_once("  ") else {
        return line.to_owned();
    };
    let is_name = name.starts_with(char::is_alphabetic)
        && name.ends_with(char::is_alphanumeric)
        && name.chars().count() <= 40;
    let is_value = !value.contains("  ") && !value.chars().all(|c| c.is_ascii_digit());
    if is_name && is_value {
        return format!("{name}: {value}");
    }
    line.to_owned()
}
