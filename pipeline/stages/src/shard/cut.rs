//! Where a text is cut. The splitter asks for the size of many overlapping pieces; tokenising each would take minutes
//! for a part of 8 MB, so the text is tokenised once, and a piece's size is how many tokens start in it.

use penstock_runtime::Failure;
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter};

use super::{ShardConfig, Tokens};

/// Bytes looked at in one go. The splitter's work on each chunk grows with what is ahead of it.
const WINDOW: usize = 24 * 1024;

/// Bytes that count as one token at least. Tokenizers may make one unknown token of a word of any length; a chunk must
/// stay small all the same.
const BYTES_PER_TOKEN: usize = 16;

/// Bytes `start..end` of the text, and their tokens, special ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub start: usize,
    pub end: usize,
    pub tokens: usize,
}

/// Pieces in ascending order that hold all of the text but white space and pieces without a word; none is over the
/// limit by the real tokenizer.
pub fn cut(text: &str, tokens: &Tokens, config: ShardConfig) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = window_end(text, start);
        let window = text.get(start..end).unwrap_or_default();
        let mut ranges = split(window, tokens, config)?;
        let mut next = end;
        // What the window's end has cut off is looked at again, from the start of its chunk.
        if end < text.len()
            && let Some((offset, _)) = ranges.pop_if(|(offset, _)| *offset > 0)
        {
            next = start + offset;
        }
        for (offset, length) in ranges {
            let from = start + offset;
            fit(text, from, from + length, tokens, config, &mut pieces)?;
        }
        start = next;
    }
    Ok(pieces)
}

/// Offsets and lengths of the window's chunks.
fn split(
    window: &str,
    tokens: &Tokens,
    config: ShardConfig,
) -> Result<Vec<(usize, usize)>, Failure> {
    let sizer = Sizer {
        window,
        starts: tokens.starts(window)?,
        special: tokens.special(),
        tokens,
    };
    let capacity = ChunkConfig::new(config.max_tokens)
        .with_overlap(config.overlap_tokens)
        .map_err(|error| Failure::fatal(format!("shard.overlap_tokens: {error}")))?
        .with_sizer(&sizer);
    let splitter = MarkdownSplitter::new(capacity);
    Ok(splitter
        .chunk_indices(window)
        .map(|(offset, chunk)| (offset, chunk.len()))
        .collect())
}

/// Counts the tokens that start within a piece of its window.
struct Sizer<'a> {
    window: &'a str,
    starts: Vec<usize>,
    special: usize,
    tokens: &'a Tokens,
}

impl ChunkSizer for Sizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        let offset = (chunk.as_ptr() as usize).checked_sub(self.window.as_ptr() as usize);
        let own = match offset {
            Some(offset) if offset + chunk.len() <= self.window.len() => {
                let before = |place| self.starts.partition_point(|start| *start < place);
                before(offset + chunk.len()) - before(offset)
            }
            // Not a piece of the window. A tokenizer that fails here fails again, and is reported, in `fit`.
            _ => self.tokens.count(chunk).unwrap_or(usize::MAX / 2) - self.special,
        };
        at_least(own, chunk) + self.special
    }
}

fn at_least(own: usize, chunk: &str) -> usize {
    own.max(chunk.len() / BYTES_PER_TOKEN)
}

/// Adds bytes `start..end` as one piece, or halves them until each is within the limit.
fn fit(
    text: &str,
    start: usize,
    end: usize,
    tokens: &Tokens,
    config: ShardConfig,
    pieces: &mut Vec<Piece>,
) -> Result<(), Failure> {
    let mut rest = vec![(start, end)];
    while let Some((start, end)) = rest.pop() {
        let body = text.get(start..end).unwrap_or_default();
        // The splitter keeps a first line's indentation, but a chunk of nothing else is none.
        let trimmed = body.trim_end();
        let end = start + trimmed.len();
        if !has_words(trimmed) {
            continue;
        }
        let count = tokens.count(trimmed)?;
        let own = count.saturating_sub(tokens.special());
        if own == 0 {
            continue;
        }
        if at_least(own, trimmed) + tokens.special() <= config.max_tokens {
            pieces.push(Piece {
                start,
                end,
                tokens: count,
            });
            continue;
        }
        let Some(middle) = middle(trimmed).map(|at| start + at) else {
            continue;
        };
        let second = text.get(middle..end).unwrap_or_default();
        let second = end - second.trim_start().len();
        // The second half waits below the first.
        rest.push((second, end));
        rest.push((start, middle));
    }
    Ok(())
}

/// Whether there is anything but white space, control characters and ASCII punctuation (rules and table lines).
fn has_words(text: &str) -> bool {
    text.chars().any(|c| {
        !(c.is_whitespace()
            || c.is_control()
            || c.is_ascii_punctuation()
            || matches!(
                c,
                '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{FFFD}'
            ))
    })
}

/// A byte in the middle to cut at: before a word if there is one near, before a character otherwise. None where there
/// is but one character.
fn middle(text: &str) -> Option<usize> {
    let half = text.ceil_char_boundary(text.len() / 2);
    let before = text.get(..half)?;
    let word = before
        .rfind(char::is_whitespace)
        .filter(|at| *at > half / 2);
    word.or((half < text.len() && half > 0).then_some(half))
}

/// Where a window from `start` on ends: behind a blank line if it can be, else behind a line, a word, a character.
fn window_end(text: &str, start: usize) -> usize {
    let longest = text.ceil_char_boundary((start + WINDOW).min(text.len()));
    if longest == text.len() {
        return longest;
    }
    let window = text.get(start..longest).unwrap_or_default();
    let behind = |found: Option<usize>, length: usize| {
        found
            .map(|at| at + length)
            .filter(|at| *at > WINDOW * 3 / 4)
    };
    let end = behind(window.rfind("\n\n"), 2)
        .or_else(|| behind(window.rfind('\n'), 1))
        .or_else(|| behind(window.rfind(' '), 1))
        .unwrap_or(window.len());
    start + end
}
