//! The pieces of text of a PDF page, put together as a reader would: lines, columns, paragraphs, headings.

use pdf_oxide::layout::TextSpan;

/// A line of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub text: String,
    /// Points from the page's left edge.
    left: f32,
    right: f32,
    /// Height of the base line, points from the bottom.
    base: f32,
    /// Height of the letters, points.
    size: f32,
    bold: bool,
    /// Holds a gap as wide as those between the columns of a table.
    is_row: bool,
}

/// What a reader sees as one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Heading(usize, String),
    /// Lines that belong together; those that were one sentence are one line again.
    Paragraph(String),
}

/// Whether the assembly here holds for a page: horizontal text, from left to right.
pub fn is_plain(spans: &[TextSpan]) -> bool {
    spans.iter().all(|span| {
        let is_level = span.rotation_degrees.abs() < 1.0 && span.wmode == 0;
        let is_left_to_right = !span
            .text
            .chars()
            .any(|c| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'));
        is_level && is_left_to_right
    })
}

/// The blocks of a page in reading order.
pub fn blocks(spans: &[TextSpan]) -> Vec<Block> {
    let rows = rows(spans);
    let body = body_size(&rows);
    columns(rows)
        .iter()
        .flat_map(|column| paragraphs(&lines(column), body))
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

/// The size that most letters have.
fn body_size(rows: &[Row<'_>]) -> f32 {
    let mut sizes: Vec<(f32, usize)> = Vec::new();
    for span in rows.iter().flatten() {
        match sizes
            .iter_mut()
            .find(|(size, _)| (*size - span.font_size).abs() < 0.3)
        {
            Some((_, letters)) => *letters += span.text.len(),
            None => sizes.push((span.font_size, span.text.len())),
        }
    }
    sizes
        .iter()
        .max_by_key(|(_, letters)| *letters)
        .map_or(10.0, |(size, _)| *size)
}

/// Rows in reading order: where a page has two columns of prose, the left one first, between rows that go across.
fn columns(rows: Vec<Row<'_>>) -> Vec<Vec<Row<'_>>> {
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

fn lines(rows: &[Row<'_>]) -> Vec<Line> {
    rows.iter().filter_map(|row| line(row)).collect()
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

/// Lines that follow each other closely, in one size and weight, are a paragraph.
fn paragraphs(lines: &[Line], body: f32) -> Vec<Block> {
    let mut blocks = Vec::new();
    let column_left = lines.iter().map(|line| line.left).min_by(f32::total_cmp);
    let column_right = lines.iter().map(|line| line.right).max_by(f32::total_cmp);
    let (Some(column_left), Some(column_right)) = (column_left, column_right) else {
        return blocks;
    };
    let full_from = column_right - 0.12 * (column_right - column_left);
    for group in lines.chunk_by(|a, b| belong_together(lines, a, b)) {
        if let Some(heading) = heading(group, body) {
            blocks.push(heading);
            continue;
        }
        let mut text = String::new();
        for pair in group.windows(2) {
            if let [line, next] = pair {
                text.push_str(&line.text);
                let next_is_item = next.text.starts_with("- ");
                let is_full =
                    line.right >= full_from && !line.is_row && !next.is_row && !next_is_item;
                join(&mut text, &next.text, is_full);
            }
        }
        if let Some(last) = group.last() {
            text.push_str(&last.text);
        }
        blocks.push(Block::Paragraph(text));
    }
    blocks
}

fn belong_together(all: &[Line], line: &Line, next: &Line) -> bool {
    let is_alike = (line.size - next.size).abs() < 0.08 * line.size && line.bold == next.bold;
    let down = line.base - next.base;
    is_alike && down > 0.0 && down < 1.25 * leading(all, next)
}

/// The usual distance between lines of this size.
fn leading(all: &[Line], like: &Line) -> f32 {
    let mut distances: Vec<f32> = all
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] if (a.size - like.size).abs() < 0.3 && (b.size - like.size).abs() < 0.3 => {
                Some(a.base - b.base)
            }
            _ => None,
        })
        .filter(|distance| *distance > 0.5 * like.size && *distance < 2.5 * like.size)
        .collect();
    distances.sort_by(f32::total_cmp);
    let usual = distances.get(distances.len() / 3).copied();
    usual.unwrap_or(1.3 * like.size).max(1.1 * like.size)
}

/// After a full line a sentence goes on: a hyphen at its end goes, where the word goes on in small letters.
fn join(text: &mut String, next: &str, is_full: bool) {
    if !is_full {
        text.push('\n');
        return;
    }
    let goes_on = next.chars().next().is_some_and(char::is_lowercase);
    let first_word = next.split_whitespace().next().unwrap_or("");
    let is_list = matches!(first_word, "und" | "oder" | "bis" | "and" | "or" | "to");
    let is_word = text
        .strip_suffix('-')
        .is_some_and(|before| before.ends_with(char::is_alphabetic));
    if is_word && goes_on && !is_list {
        text.pop();
    } else {
        text.push(' ');
    }
}

/// Longest heading, characters.
const LONGEST_HEADING: usize = 120;

/// One or two lines, larger or bolder than the body.
fn heading(group: &[Line], body: f32) -> Option<Block> {
    let first = group.first()?;
    let text: Vec<&str> = group.iter().map(|line| line.text.trim()).collect();
    let text = text.join(" ");
    let ratio = first.size / body;
    let level = match ratio {
        ratio if ratio > 1.65 => 1,
        ratio if ratio > 1.3 => 2,
        ratio if ratio > 1.1 => 3,
        ratio if ratio > 0.95 && first.bold && group.len() == 1 => 4,
        _ => return None,
    };
    let is_short = group.len() <= 2 && text.chars().count() <= LONGEST_HEADING;
    let is_sentence = text.ends_with(['.', ',', ';', ':']);
    let is_row = group.iter().any(|line| line.is_row);
    let is_named = text.chars().filter(|c| c.is_alphabetic()).count() > 1;
    (is_short && !is_sentence && !is_row && is_named).then_some(Block::Heading(level, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span at (x, y), its width after its letters.
    fn span(x: f32, y: f32, size: f32, text: &str) -> TextSpan {
        TextSpan {
            text: text.to_owned(),
            bbox: pdf_oxide::geometry::Rect {
                x,
                y,
                width: text.chars().count() as f32 * size * 0.5,
                height: size,
            },
            font_size: size,
            ..TextSpan::default()
        }
    }

    fn read(spans: &[TextSpan]) -> String {
        let texts: Vec<String> = blocks(spans)
            .into_iter()
            .map(|block| match block {
                Block::Heading(level, text) => format!("{} {text}", "#".repeat(level)),
                Block::Paragraph(text) => text,
            })
            .collect();
        texts.join("\n\n")
    }

    #[test]
    fn lines_become_paragraphs() {
        let page = [
            span(50.0, 700.0, 18.0, "The heading"),
            // Drawn in another order than read.
            span(
                50.0,
                648.0,
                10.0,
                "ing is another than that of reading, for no rea-",
            ),
            span(
                50.0,
                660.0,
                10.0,
                "A paragraph of three lines, whose order of draw-",
            ),
            span(50.0, 636.0, 10.0, "son."),
            span(50.0, 596.0, 10.0, "Another paragraph"),
            span(145.0, 599.0, 7.0, "2"),
        ];
        assert_eq!(
            read(&page),
            "# The heading\n\nA paragraph of three lines, whose order of drawing is another than that of reading, \
             for no reason.\n\nAnother paragraph 2"
        );
    }

    #[test]
    fn names_stand_beside_values() {
        let page = [
            span(50.0, 700.0, 10.0, "Invoice number"),
            span(300.0, 700.0, 10.0, "INV-1"),
            span(50.0, 688.0, 10.0, "Chapter one"),
            span(300.0, 688.0, 10.0, "17"),
            span(50.0, 676.0, 10.0, "\u{f0b7}"),
            span(60.0, 676.0, 10.0, "item"),
        ];
        assert_eq!(
            read(&page),
            "Invoice number: INV-1\nChapter one  17\n- item"
        );
    }

    #[test]
    fn columns_are_read_one_after_the_other() {
        let mut page = vec![span(50.0, 760.0, 10.0, &"across ".repeat(14))];
        for row in 0..10 {
            let y = 740.0 - 12.0 * row as f32;
            page.push(span(
                50.0,
                y,
                10.0,
                &format!("left {row} {}", "x".repeat(35)),
            ));
            page.push(span(
                320.0,
                y,
                10.0,
                &format!("right {row} {}", "y".repeat(35)),
            ));
        }
        let text = read(&page);
        let at = |needle: &str| text.find(needle).unwrap();
        assert!(
            at("across") < at("left 0") && at("left 9") < at("right 0"),
            "{text}"
        );
    }

    #[test]
    fn nonsense_positions_do_no_harm() {
        let page = [
            span(f32::NAN, f32::NAN, f32::NAN, "a"),
            span(f32::INFINITY, -1e30, 0.0, "b"),
            span(0.0, 0.0, -5.0, "c"),
        ];
        let text = read(&page);
        assert!(text.contains('a') && text.contains('b') && text.contains('c'));
        assert_eq!(read(&[]), "");
    }
}
