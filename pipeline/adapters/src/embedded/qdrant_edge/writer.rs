//! The thread that writes: applies what is waiting, flushes once, answers all.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use penstock_runtime::Failure;
use qdrant_edge::UpdateOperation;
use tokio::sync::oneshot;

use super::engine::{Engine, LOG_GROWTH};

/// Writes answered by one flush, at most.
const GROUP: usize = 64;
/// Quiet time after which segments are put in order.
const QUIET: Duration = Duration::from_secs(20);

enum Task {
    Write(UpdateOperation, oneshot::Sender<Result<(), Failure>>),
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
        self.ask(|reply| Task::Write(operation, reply)).await
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
        let first = if untidy {
            match waiting.recv_timeout(QUIET) {
                Ok(task) => task,
                Err(RecvTimeoutError::Timeout) => {
                    untidy = false;
                    if let Err(failure) = optimise(engine) {
                        tracing::warn!(reason = %failure, "vector store could not be put in order");
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            match waiting.recv() {
                Ok(task) => task,
                Err(_) => return,
            }
        };
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(task) = next {
            match task {
                Task::Write(operation, reply) => group.push((operation, reply)),
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
        untidy |= !group.is_empty();
        commit(engine, group);
    }
}

/// Applies in order, flushes, answers. A failed operation fails alone; a failed flush fails all.
fn commit(engine: &Engine, group: Vec<(UpdateOperation, oneshot::Sender<Result<(), Failure>>)>) {
    if group.is_empty() {
        return;
    }
    let ready = engine
        .check_space(LOG_GROWTH)
        .and_then(|()| engine.make_ready());
    let mut broken = false;
    let mut answers = Vec::with_capacity(group.len());
    for (operation, reply) in group {
        let applied = ready
            .clone()
            .and_then(|()| engine.read(|shard| shard.update(operation)));
        answers.push((applied, reply));
    }
    if ready.is_ok() {
        broken = answers.iter().any(|(applied, _)| applied.is_err());
        if let Err(failure) = engine.flush() {
            broken = true;
            for (applied, _) in &mut answers {
                *applied = applied.clone().and(Err(failure.clone()));
            }
        }
    }
    for (applied, reply) in answers {
        // The asker may have gone; what it wrote stays.
        let _ = reply.send(applied);
    }
    // After a failure memory and files may differ: go by the files. They hold all that was answered for.
    if (broken || engine.log_is_long())
        && let Err(failure) = engine.start_over()
    {
        tracing::error!(reason = %failure, "vector store could not be opened again");
    }
}

fn optimise(engine: &Engine) -> Result<bool, Failure> {
    let done = engine.read(|shard| shard.optimize())?;
    if done {
        // The new segments' files, indexes for the ones made beside them, and an end to old logs.
        engine.flush()?;
        engine.start_over()?;
    }
    Ok(done)
}
