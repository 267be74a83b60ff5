//! The thread that writes: applies what is waiting, records it, answers all; and tidies up when nothing is asked of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use penstock_runtime::Failure;
use qdrant_edge::UpdateOperation;
use tokio::sync::oneshot;

use super::engine::{Engine, GROWTH};
use super::journal::line;

/// Writes recorded at once, at most.
const GROUP: usize = 64;
/// Quiet time after which the engine is flushed, so that little is done again after a kill.
const PAUSE: Duration = Duration::from_secs(2);
/// Quiet time after which segments are put in order.
const QUIET: Duration = Duration::from_secs(20);

type Reply = oneshot::Sender<Result<(), Failure>>;

enum Task {
    Write(Box<UpdateOperation>, Reply),
    Optimise(oneshot::Sender<Result<bool, Failure>>),
}

/// Asks the thread. It ends, and is waited for, when this goes.
pub struct Writer {
    /// None only while dropping.
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(engine: Arc<Engine>) -> Result<Self, Failure> {
        // Unbounded, yet short: each caller waits for its answer.
        let (tasks, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("vector-writer".to_owned())
            .spawn(move || run(&engine, &waiting))
            .map_err(|error| {
                Failure::fatal(format!("vector store: no thread for writing: {error}"))
            })?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    /// Resolves when the operation is durable.
    pub async fn write(&self, operation: UpdateOperation) -> Result<(), Failure> {
        self.ask(|reply| Task::Write(Box::new(operation), reply))
            .await
    }

    pub async fn optimise(&self) -> Result<bool, Failure> {
        self.ask(Task::Optimise).await
    }

    async fn ask<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Task,
    ) -> Result<T, Failure> {
        let ended = || Failure::fatal("vector store: the writing thread has ended");
        let (reply, answer) = oneshot::channel();
        let tasks = self.tasks.as_ref().ok_or_else(ended)?;
        tasks.send(task(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // Engine panics are caught within, so there is nothing to hear.
            let _ = thread.join();
        }
    }
}

fn run(engine: &Engine, waiting: &Receiver<Task>) {
    let mut untidy = false;
    loop {
        let patience = match (engine.journal_is_empty(), untidy) {
            (false, _) => Some(PAUSE),
            (true, true) => Some(QUIET),
            (true, false) => None,
        };
        let first = match patience {
            Some(patience) => waiting.recv_timeout(patience),
            None => waiting.recv().map_err(RecvTimeoutError::from),
        };
        match first {
            Ok(first) => untidy |= serve(engine, first, waiting),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let tidied = if engine.journal_is_empty() {
                    untidy = false;
                    optimise(engine).map(drop)
                } else {
                    flush(engine)
                };
                if let Err(failure) = tidied {
                    tracing::warn!(reason = %failure, "vector store could not be put in order");
                }
            }
        }
    }
}

/// Does `first` and what waits behind it. Says whether anything was written.
fn serve(engine: &Engine, first: Task, waiting: &Receiver<Task>) -> bool {
    let mut wrote = false;
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(task) = next {
        match task {
            Task::Write(operation, reply) => {
                wrote = true;
                group.push((*operation, reply));
            }
            Task::Optimise(reply) => {
                commit(engine, std::mem::take(&mut group));
                // The asker may have gone.
                let _ = reply.send(optimise(engine));
            }
        }
        next = (group.len() < GROUP)
            .then(|| waiting.try_recv().ok())
            .flatten();
    }
    commit(engine, group);
    wrote
}

/// Applies in order, records, answers. A failed operation fails alone, and is not recorded.
fn commit(engine: &Engine, group: Vec<(UpdateOperation, Reply)>) {
    if group.is_empty() {
        return;
    }
    let ready = engine
        .check_space(GROWTH)
        .and_then(|()| engine.make_ready());
    let mut lines = Vec::new();
    let mut answers = Vec::with_capacity(group.len());
    for (operation, reply) in group {
        let applied = ready
            .clone()
            .and_then(|()| apply(engine, operation, &mut lines));
        answers.push((applied, reply));
    }
    let mut broken = ready.is_ok() && answers.iter().any(|(applied, _)| applied.is_err());
    if let Err(failure) = engine.record(&lines) {
        broken = true;
        for (applied, _) in &mut answers {
            *applied = applied.clone().and(Err(failure.clone()));
        }
    }
    for (applied, reply) in answers {
        // The asker may have gone; what it wrote stays.
        let _ = reply.send(applied);
    }
    // After a failure memory and files may differ: go by the files and the journal.
    let tidied = if broken || engine.log_is_long() {
        engine.start_over()
    } else if engine.journal_is_long() {
        // Not only flushed: the indexes of what was written since are in memory.
        optimise(engine).map(drop)
    } else {
        Ok(())
    };
    if let Err(failure) = tidied {
        tracing::error!(reason = %failure, "vector store cannot be written to");
    }
}

fn apply(engine: &Engine, operation: UpdateOperation, lines: &mut Vec<u8>) -> Result<(), Failure> {
    let line = line(&operation).map_err(|error| {
        Failure::fatal(format!(
            "vector store: an operation cannot be written down: {error}"
        ))
    })?;
    engine.read(|shard| shard.update(operation))?;
    lines.extend(line);
    Ok(())
}

/// A failed flush leaves memory and files apart; the journal knows what is missing.
fn flush(engine: &Engine) -> Result<(), Failure> {
    engine.flush().or_else(|_| engine.start_over())
}

fn optimise(engine: &Engine) -> Result<bool, Failure> {
    engine.make_ready()?;
    flush(engine)?;
    let done = engine.optimise();
    if !matches!(done, Ok(false)) {
        // New segments get their indexes, old logs go, and what was interrupted is cleared away.
        engine.start_over()?;
    }
    done
}
