//! Parsed text to chunks that fit the embedding model.

mod cut;
mod headings;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Emit, Failure, Input, Note, Stage, Verdict};
use penstock_schemas::{Chunk, PageStart, Section, chunk_guid, content_hash};
use uuid::Uuid;

use crate::blobs::{self, Blobs};

pub use tokens::Tokens;

use cut::cut;
use headings::Headings;

/// How large chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardConfig {
    /// Tokens per chunk at most, special ones included. What it leaves of the model's limit is room for the title and
    /// headings that embed puts before the text.
    pub max_tokens: usize,
    /// Tokens at most that a chunk repeats of the one before it.
    pub overlap_tokens: usize,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self {
            max_tokens: 224,
            overlap_tokens: 32,
        }
    }
}

impl ShardConfig {
    /// Below this there is no telling one sentence from the next.
    const LEAST: usize = 16;

    /// Refuses what cannot work with a model of `limit` tokens.
    pub fn check(&self, limit: usize) -> Result<(), Failure> {
        if self.max_tokens < Self::LEAST || self.max_tokens > limit {
            return Err(Failure::fatal(format!(
                "shard.max_tokens is {}, set it to {} to {limit} (the embedding model's limit)",
                self.max_tokens,
                Self::LEAST
            )));
        }
        if self.overlap_tokens * 2 > self.max_tokens {
            return Err(Failure::fatal(format!(
                "shard.overlap_tokens is {}, set it to at most half of shard.max_tokens, {}",
                self.overlap_tokens,
                self.max_tokens / 2
            )));
        }
        Ok(())
    }

    /// All that shapes chunks, for the digest that an edition is named by. The number grows with the rules.
    pub fn recipe(&self) -> String {
        format!(
            "shard 1, {} tokens, {} overlap",
            self.max_tokens, self.overlap_tokens
        )
    }
}

/// Cuts the text of a part into chunks.
pub struct Shard {
    blobs: Arc<dyn Blobs>,
    tokens: Arc<Tokens>,
    config: ShardConfig,
}

impl Shard {
    /// `config` must have passed `ShardConfig::check`.
    pub fn new(blobs: Arc<dyn Blobs>, tokens: Arc<Tokens>, config: ShardConfig) -> Self {
        Self {
            blobs,
            tokens,
            config,
        }
    }
}

#[async_trait]
impl Stage for Shard {
    type In = Section;
    type Out = Chunk;

    async fn process(&self, input: &Input<Section>) -> Verdict<Chunk> {
        let section = &input.record;
        let bytes = blobs::load(self.blobs.as_ref(), &section.text).await?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            Failure::poison(format!(
                "parsed text {} is not UTF-8 at byte {}",
                section.text.key,
                error.utf8_error().valid_up_to()
            ))
        })?;
        // A part may be megabytes long: seconds of work that would hold up everything else on this thread.
        let (tokens, config) = (Arc::clone(&self.tokens), self.config);
        let of = section.clone();
        let chunks = tokio::task::spawn_blocking(move || chunks(&of, &text, &tokens, config))
            .await
            .map_err(|error| match error.try_into_panic() {
                // The loop isolates panics; here it would only lose its message.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Failure::transient(format!("cutting into chunks stopped: {error}")),
            })??;
        if chunks.is_empty() {
            if section.parts <= 1 {
                return Err(Failure::poison(
                    "empty document: nothing in it can be read as text",
                ));
            }
            return Ok(Emit::filtered());
        }
        let ids = chunks.iter().map(|chunk| chunk.chunk_guid).collect();
        Ok(Emit {
            outputs: chunks,
            note: Note::Outputs {
                ids,
                run: Some(Uuid::now_v7()),
                opened: None,
                lineage: None,
            },
        })
    }
}

fn chunks(
    section: &Section,
    text: &str,
    tokens: &Tokens,
    config: ShardConfig,
) -> Result<Vec<Chunk>, Failure> {
    let mut headings = Headings::of(text);
    let mut chunks = Vec::new();
    // Pieces come in ascending order, so that characters are counted once.
    let (mut bytes, mut characters) = (0, 0);
    for piece in cut(text, tokens, config)? {
        let body = text.get(piece.start..piece.end).unwrap_or_default();
        let before = text.get(bytes..piece.start).unwrap_or_default();
        characters += before.chars().count() as i64;
        bytes = piece.start;
        let (start, end) = (characters, characters + body.chars().count() as i64);
        let (page_first, page_last) = pages(&section.pages, start, end);
        let hash = content_hash(body.as_bytes());
        let ordinal = chunks.len() as i32;
        chunks.push(Chunk {
            lineage: section.lineage.clone(),
            part: section.part,
            chunk_guid: chunk_guid(
                section.lineage.document_guid,
                section.lineage.edition,
                section.part,
                ordinal,
                &hash,
            ),
            ordinal,
            text: body.to_owned(),
            start_char: start,
            end_char: end,
            page_first,
            page_last,
            heading_path: headings.path_at(text, piece.start),
            content_hash: hash,
            tokens: piece.tokens as i32,
            about: section.about.clone(),
        });
    }
    Ok(chunks)
}

/// First and last page that the characters `start..end` lie on.
fn pages(pages: &[PageStart], start: i64, end: i64) -> (Option<i32>, Option<i32>) {
    let first = pages.partition_point(|page| page.start_char <= start);
    let last = pages.partition_point(|page| page.start_char < end);
    let page = |behind: usize| pages.get(behind.checked_sub(1)?).map(|page| page.page);
    // Text before the first boundary belongs to what follows it.
    (page(first).or(page(last.min(1))), page(last))
}

#[cfg(test)]
mod samples;
#[cfg(test)]
pub(crate) mod tests;
