//! The lines of a PDF page, put together as a reader would: paragraphs and headings.

use std::collections::HashMap;

use pdf_oxide::layout::TextSpan;

use super::pdf_lines::{Line, columns};

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
    let columns = columns(spans);
    let body = body_size(&columns);
    columns
        .iter()
        .flat_map(|lines| paragraphs(lines, body))
        .collect()
}

/// The size that most letters have.
fn body_size(columns: &[Vec<Line>]) -> f32 {
    let mut letters: HashMap<i32, usize> = HashMap::new();
    for line in columns.iter().flatten() {
        *letters.entry(half_points(line.size)).or_default() += line.text.len();
    }
    letters
        .iter()
        .max_by_key(|(size, letters)| (**letters, **size))
        .map_or(10.0, |(size, _)| *size as f32 / 2.0)
}

/// Sizes that look alike are counted as one.
fn half_points(size: f32) -> i32 {
    (size * 2.0).round() as i32
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
    let leading = leading(lines);
    for group in lines.chunk_by(|a, b| belong_together(&leading, a, b)) {
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

fn belong_together(leading: &HashMap<i32, f32>, line: &Line, next: &Line) -> bool {
    let is_alike = (line.size - next.size).abs() < 0.08 * line.size && line.bold == next.bold;
    let down = line.base - next.base;
    let usual = leading.get(&half_points(next.size)).copied();
    let usual = usual.unwrap_or(1.3 * next.size).max(1.1 * next.size);
    is_alike && down > 0.0 && down < 1.25 * usual
}

/// The usual distance between lines of each size, by half points.
fn leading(lines: &[Line]) -> HashMap<i32, f32> {
    let mut distances: HashMap<i32, Vec<f32>> = HashMap::new();
    for pair in lines.windows(2) {
        if let [line, next] = pair {
            let down = line.base - next.base;
            let is_near = down > 0.5 * line.size && down < 2.5 * line.size;
            if is_near && half_points(line.size) == half_points(next.size) {
                let size = half_points(line.size);
                distances.entry(size).or_default().push(down);
            }
        }
    }
    distances
        .into_iter()
        .filter_map(|(size, mut distances)| {
            distances.sort_by(f32::total_cmp);
            // Below the median: a page of short paragraphs has many wide distances.
            Some((size, distances.get(distances.len() / 3).copied()?))
        })
        .collect()
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
