//! Chunks to vectors.

mod port;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Verdict};
use penstock_schemas::{Chunk, Embedding, content_hash};
use uuid::Uuid;

use crate::shard::Tokens;

pub use port::{Embedder, ModelInfo, VectorCache};

/// Tokens that title and headings may take of a text: more of them would drown what the passage itself says.
const CONTEXT_TOKENS: usize = 32;

/// All that shapes what is embedded of a chunk, for the digest that an edition is named by. The number grows with the
/// rules.
pub const RECIPE: &str = "embed 1, title and headings before the text";

/// What embedding has come to since the process started.
#[derive(Debug, Default)]
pub struct EmbedCounters {
    /// Chunks whose vector was computed.
    pub embedded: AtomicU64,
    /// Chunks whose vector was known.
    pub cached: AtomicU64,
    /// Tokens computed.
    pub tokens: AtomicU64,
}

/// Gives each chunk its vector, from the cache where its text was seen before.
///
/// What is embedded is the chunk's text behind one line of context, `title > heading > heading`: a passage seldom
/// repeats what its document is about, and a question names it. The line takes what the model's limit leaves, at most
/// `CONTEXT_TOKENS`; when it is too long, the outer headings go first. A query is embedded as it is. The cache is keyed
/// by the digest of the embedded text, so that a new title costs new vectors.
pub struct Embed {
    embedder: Arc<dyn Embedder>,
    cache: Arc<dyn VectorCache>,
    tokens: Arc<Tokens>,
    counters: Arc<EmbedCounters>,
}

impl Embed {
    /// `tokens` must be the embedder's own.
    pub fn new(
        embedder: Arc<dyn Embedder>,
        cache: Arc<dyn VectorCache>,
        tokens: Arc<Tokens>,
        counters: Arc<EmbedCounters>,
    ) -> Self {
        Self {
            embedder,
            cache,
            tokens,
            counters,
        }
    }

    /// The text that stands for a chunk, and its digest.
    fn text_of(&self, chunk: &Chunk) -> Result<Wanted, Failure> {
        let limit = self.embedder.info().max_tokens;
        let own = usize::try_from(chunk.tokens).unwrap_or_default();
        let room = limit.saturating_sub(own).min(CONTEXT_TOKENS);
        let text = match self.context_of(chunk, room)? {
            Some(context) => format!("{context}\n{}", chunk.text),
            None => chunk.text.clone(),
        };
        Ok(Wanted {
            hash: content_hash(text.as_bytes()),
            text,
        })
    }

    /// Title and headings in at most `room` tokens.
    fn context_of(&self, chunk: &Chunk, room: usize) -> Result<Option<String>, Failure> {
        let mut names: Vec<&str> = Vec::new();
        let title = chunk.about.title.as_deref();
        for name in title
            .into_iter()
            .chain(chunk.heading_path.iter().map(String::as_str))
        {
            let name = name.trim();
            // A document's first heading is often its title.
            let said = names.iter().any(|known| known.eq_ignore_ascii_case(name));
            // What the passage begins with needs no saying.
            if !name.is_empty() && !said && !begins_with(&chunk.text, name) {
                names.push(name);
            }
        }
        // The first name says most, then the innermost: those between go first, the outer before the inner.
        let (Some(first), Some(last)) = (names.first().copied(), names.last().copied()) else {
            return Ok(None);
        };
        while names.len() > 1 {
            if let Some(context) = self.within(room, names.join(" > "))? {
                return Ok(Some(context));
            }
            names.remove(1);
        }
        match self.within(room, first.to_owned())? {
            Some(context) => Ok(Some(context)),
            None => self.within(room, last.to_owned()),
        }
    }

    /// The text, if it has at most `room` tokens of its own.
    fn within(&self, room: usize, text: String) -> Result<Option<String>, Failure> {
        // Far more bytes than the room can hold need no counting.
        let fits =
            text.len() <= room * 32 && self.tokens.count(&text)? <= room + self.tokens.special();
        Ok(fits.then_some(text))
    }

    /// Fills in the vectors that the cache knows. One that must not leave counts as unknown.
    async fn look_up(&self, wanted: &[Wanted], batch: &Batch<Chunk>) -> Result<Known, Failure> {
        let info = self.embedder.info();
        let mut known = Known::new();
        for (owner, places) in by_document(batch) {
            let hashes: Vec<String> = places
                .iter()
                .filter_map(|place| wanted.get(*place).map(|wanted| wanted.hash.clone()))
                .collect();
            let found = self
                .cache
                .get(&owner.0, owner.1, &info.name, &hashes)
                .await?;
            for (place, vector) in places.into_iter().zip(found) {
                if let Some(vector) = vector
                    && fault_of(&vector, info.dimension).is_none()
                {
                    known.insert(place, vector);
                }
            }
        }
        Ok(known)
    }
}

#[async_trait]
impl BatchStage for Embed {
    type In = Chunk;
    type Out = Embedding;

    fn cost(&self, input: &Chunk) -> u64 {
        u64::try_from(input.tokens).unwrap_or_default().max(1)
    }

    async fn process(&self, batch: &Batch<Chunk>) -> Result<Vec<Verdict<Embedding>>, Failure> {
        let info = self.embedder.info();
        let mut wanted = Vec::with_capacity(batch.len());
        for input in batch {
            wanted.push(self.text_of(&input.record)?);
        }
        let known = self.look_up(&wanted, batch).await?;

        // The same text twice in a batch is embedded once.
        let mut texts: Vec<String> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut tokens = 0;
        for (place, (wanted, input)) in wanted.iter().zip(batch).enumerate() {
            if !known.contains_key(&place) && !places.contains_key(wanted.hash.as_str()) {
                places.insert(&wanted.hash, texts.len());
                texts.push(wanted.text.clone());
                tokens += self.cost(&input.record);
            }
        }
        let asked = texts.len();
        let made = if texts.is_empty() {
            Vec::new()
        } else {
            self.embedder.embed(texts).await?
        };
        if made.len() != asked {
            return Err(Failure::fatal(format!(
                "the model {} made {} vectors of {asked} texts",
                info.name,
                made.len()
            )));
        }

        let mut verdicts = Vec::with_capacity(batch.len());
        let mut fresh: BTreeMap<Owner, Vec<(String, Vec<f32>)>> = BTreeMap::new();
        for (place, (wanted, input)) in wanted.iter().zip(batch).enumerate() {
            let chunk = &input.record;
            let vector = match known.get(&place) {
                Some(vector) => vector,
                None => {
                    let made = places
                        .get(wanted.hash.as_str())
                        .and_then(|place| made.get(*place))
                        .ok_or_else(|| Failure::fatal("a text of the batch has no vector"))?;
                    match fault_of(made, info.dimension) {
                        Some(Failure::Poison(reason)) => {
                            verdicts.push(Err(Failure::Poison(reason)));
                            continue;
                        }
                        Some(failure) => return Err(failure),
                        None => {}
                    }
                    fresh
                        .entry(owner_of(chunk))
                        .or_default()
                        .push((wanted.hash.clone(), made.clone()));
                    made
                }
            };
            verdicts.push(Ok(Emit::outputs(vec![Embedding {
                chunk: chunk.clone(),
                model: info.name.clone(),
                vector: vector.clone(),
            }])));
        }
        let computed: usize = fresh.values().map(Vec::len).sum();
        for ((group, document), vectors) in fresh {
            self.cache
                .put(&group, document, &info.name, &vectors)
                .await?;
        }
        let count = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        count(&self.counters.embedded, computed as u64);
        count(&self.counters.cached, known.len() as u64);
        count(&self.counters.tokens, tokens);
        Ok(verdicts)
    }
}

/// A text to embed, and its digest.
struct Wanted {
    text: String,
    hash: String,
}

/// Group and document.
type Owner = (String, Uuid);

/// Vectors by place in the batch.
type Known = HashMap<usize, Vec<f32>>;

fn owner_of(chunk: &Chunk) -> Owner {
    (chunk.lineage.group.clone(), chunk.lineage.document_guid)
}

/// Places in the batch by the document they are of.
fn by_document(batch: &Batch<Chunk>) -> BTreeMap<Owner, Vec<usize>> {
    let mut places: BTreeMap<Owner, Vec<usize>> = BTreeMap::new();
    for (place, input) in batch.iter().enumerate() {
        places
            .entry(owner_of(&input.record))
            .or_default()
            .push(place);
    }
    places
}

/// Whether a text's first line is `name`, as a heading or plain.
fn begins_with(text: &str, name: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches('#').trim() == name
}

/// Why a vector must not leave, if it must not.
fn fault_of(vector: &[f32], dimension: usize) -> Option<Failure> {
    if vector.len() != dimension {
        return Some(Failure::fatal(format!(
            "a vector has {} numbers, the model makes {dimension}",
            vector.len()
        )));
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Some(Failure::poison("its vector has a NaN or an infinity"));
    }
    if vector.iter().all(|value| *value == 0.0) {
        return Some(Failure::poison("its vector is all zero"));
    }
    None
}

#[cfg(test)]
mod tests;
