//! Texts to vectors on this machine's processor. Tensors are read with candle; the forward pass is our own
//! (`penstock-encoder`), because candle's takes three times as long: it pads, copies, and leaves half of each register
//! empty.

mod model;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use async_trait::async_trait;
use penstock_encoder::{Processor, Work, forward};
use penstock_runtime::Failure;
use penstock_stages::embed::{Embedder, ModelInfo};
use penstock_stages::shard::Tokens;
use tokio::sync::{mpsc, oneshot};

use model::Model;

/// Rows one thread works on at a time: their intermediate results stay in its second-level cache.
const ROWS: usize = 256;

/// Below this, splitting a batch between threads costs more than it gains.
const LEAST_ROWS: usize = 48;

/// A model of the BERT family, on threads of its own.
pub struct Candle {
    info: ModelInfo,
    jobs: mpsc::Sender<Job>,
}

impl Candle {
    /// Reads the model in `dir` and starts `threads` threads (at least one) that wait for work. They end when this is
    /// dropped.
    pub fn load(dir: &Path, threads: usize) -> Result<Self, Failure> {
        let worker = Worker {
            model: Model::load(dir)?,
            tokens: Tokens::load(dir)?,
            processor: Processor::detect(),
            work: std::iter::repeat_with(Work::default)
                .take(threads.max(1))
                .collect(),
        };
        let info = worker.model.info.clone();
        // One batch is worked on, one waits.
        let (jobs, waiting) = mpsc::channel(1);
        thread::Builder::new()
            .name("embed".to_owned())
            .spawn(move || worker.run(waiting))
            .map_err(|error| {
                Failure::fatal(format!("cannot start a thread for embedding: {error}"))
            })?;
        Ok(Self { info, jobs })
    }
}

#[async_trait]
impl Embedder for Candle {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Failure> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let gone = || Failure::fatal("the embedding thread has ended: start again");
        let (reply, answer) = oneshot::channel();
        let job = Job { texts, reply };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Vec<Vec<f32>>, Failure>>,
}

struct Worker {
    model: Model,
    tokens: Tokens,
    processor: Processor,
    /// One per thread.
    work: Vec<Work>,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(job) = waiting.blocking_recv() {
            // Whoever asked may have been stopped meanwhile.
            if job.reply.is_closed() {
                continue;
            }
            // Buffers are overwritten from the start by the next pass, so a panic leaves nothing half done.
            let result = catch_unwind(AssertUnwindSafe(|| self.embed(&job.texts)))
                .unwrap_or_else(|_| Err(Failure::poison("embedding panicked")));
            let _ = job.reply.send(result);
        }
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, Failure> {
        let limit = self.model.info.max_tokens;
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            ids.push(self.tokens.ids(text, limit)?);
        }
        if let Some(id) = ids
            .iter()
            .flatten()
            .find(|id| **id as usize >= self.model.encoder.vocabulary())
        {
            return Err(Failure::fatal(format!(
                "the tokenizer knows a token {id} that the model {} does not: their files do not belong together",
                self.model.info.name
            )));
        }
        let groups = groups(&ids, self.work.len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for (index, vector) in self.pass(&ids, &groups)? {
            if let Some(place) = vectors.get_mut(index) {
                *place = vector;
            }
        }
        for (index, vector) in vectors.iter().enumerate() {
            check(index, vector, self.model.info.dimension)?;
        }
        Ok(vectors)
    }

    /// Vectors by the index of their text, from all threads; each takes the next group until none is left.
    fn pass(
        &mut self,
        ids: &[Vec<u32>],
        groups: &[Vec<usize>],
    ) -> Result<Vec<(usize, Vec<f32>)>, Failure> {
        let next = AtomicUsize::new(0);
        let (encoder, processor) = (&self.model.encoder, self.processor);
        let take_all = |work: &mut Work| {
            let mut made = Vec::new();
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                let texts: Vec<&[u32]> = group
                    .iter()
                    .filter_map(|index| ids.get(*index).map(Vec::as_slice))
                    .collect();
                let vectors = forward(processor, encoder, &texts, work);
                made.extend(group.iter().copied().zip(vectors));
            }
            made
        };
        let Some((own, others)) = self.work.split_first_mut() else {
            return Ok(Vec::new());
        };
        thread::scope(|scope| {
            let helpers: Vec<_> = others
                .iter_mut()
                .take(groups.len().saturating_sub(1))
                .map(|work| scope.spawn(|| take_all(work)))
                .collect();
            let mut made = take_all(own);
            for helper in helpers {
                let theirs = helper
                    .join()
                    .map_err(|_| Failure::poison("embedding panicked"))?;
                made.extend(theirs);
            }
            Ok(made)
        })
    }
}

/// Texts that are worked on together, by index: of like length, longest first, so that no thread is left alone with a
/// long one at the end.
fn groups(ids: &[Vec<u32>], threads: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, usize)> = ids
        .iter()
        .enumerate()
        .map(|(index, ids)| (ids.len(), index))
        .collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = order.iter().map(|(length, _)| length).sum();
    let budget = total.div_ceil(threads.max(1)).clamp(LEAST_ROWS, ROWS);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut rows = 0;
    for (length, index) in order {
        match groups.last_mut() {
            Some(group) if rows + length <= budget => {
                rows += length;
                group.push(index);
            }
            _ => {
                rows = length;
                groups.push(vec![index]);
            }
        }
    }
    groups
}

/// Refuses a vector that must not leave; `index` is that of its text.
fn check(index: usize, vector: &[f32], dimension: usize) -> Result<(), Failure> {
    if vector.len() != dimension {
        return Err(Failure::fatal(format!(
            "the model made {} numbers of text {index}, expected {dimension}",
            vector.len()
        )));
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Err(Failure::poison(format!(
            "the model made a vector with NaN or infinity of text {index} of the batch"
        )));
    }
    if vector.iter().all(|value| *value == 0.0) {
        return Err(Failure::poison(format!(
            "the model made an all-zero vector of text {index} of the batch"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
