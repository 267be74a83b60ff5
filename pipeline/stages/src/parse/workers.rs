//! Threads that parse. Parsing is synchronous, may take long, and may meet bytes made to harm it, so it owns its
//! threads: async code hands over one job at a time and waits for the answer only so long.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use penstock_runtime::Failure;
use tokio::sync::{Semaphore, oneshot};

use super::limits::{Cancel, took_too_long};

/// Parsers descend into nested structures; this is address space, used only where they do.
const STACK_BYTES: usize = 64 << 20;
/// A parse looks at the clock itself; it is given up on only when it does not come to that, this share of its limit
/// later.
const GRACE: u32 = 20;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads.
pub struct Workers {
    free: Semaphore,
    /// Threads that wait for a job. One that is missing, because its job outran its time, is made anew when needed.
    idle: Mutex<Vec<SyncSender<Job>>>,
}

impl Workers {
    pub fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Semaphore::new(threads.max(1)),
            idle: Mutex::default(),
        })
    }

    /// Runs `job` on a thread of its own. A panic is Poison, and so is a job that goes on after `limit`: its cancel
    /// flag is raised, its thread left to end by itself, and its place taken by a new one.
    pub async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _place = self
            .free
            .acquire()
            .await
            .map_err(|_| Failure::fatal("the parser's threads are gone: restart"))?;
        let worker = match self.idle().pop() {
            Some(worker) => worker,
            None => spawn()?,
        };
        // Dropped with this future, too: nobody waits for the answer then.
        let cancel = CancelOnDrop(Cancel::default());
        let flag = cancel.0.clone();
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            let verdict = catch_unwind(AssertUnwindSafe(|| job(flag)))
                .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            // Whoever asked may have stopped waiting.
            let _ = answer.send(verdict);
        });
        if worker.try_send(job).is_err() {
            return Err(Failure::fatal("a parser's thread ended by itself: restart"));
        }
        match tokio::time::timeout(limit + limit / GRACE, answered).await {
            Ok(Ok(verdict)) => {
                self.idle().push(worker);
                verdict
            }
            Ok(Err(_)) => Err(Failure::fatal("a parser's thread ended by itself: restart")),
            Err(_) => {
                tracing::warn!(
                    limit_s = limit.as_secs(),
                    "gave up on a parse that does not end"
                );
                Err(took_too_long(limit))
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SyncSender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A thread that ends when its sender is dropped.
fn spawn() -> Result<SyncSender<Job>, Failure> {
    let (sender, jobs) = sync_channel::<Job>(1);
    std::thread::Builder::new()
        .name("parse".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            for job in jobs {
                job();
            }
        })
        .map_err(|e| Failure::transient(format!("cannot start a thread to parse on: {e}")))?;
    Ok(sender)
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    let said: String = said.chars().take(200).collect();
    Failure::poison(format!("the parser panicked: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_poison_and_the_thread_lives() {
        let workers = Workers::new(1);
        let limit = Duration::from_secs(60);
        let failed = workers
            .run::<()>(limit, |_| panic!("boom at {}", 7))
            .await
            .unwrap_err();
        assert_eq!(failed, Failure::poison("the parser panicked: boom at 7"));
        let next = workers.run(limit, |_| Ok(5)).await;
        assert_eq!(next, Ok(5));
    }

    #[tokio::test]
    async fn a_parse_that_does_not_end_is_given_up_and_replaced() {
        let workers = Workers::new(1);
        let (ended, end) = std::sync::mpsc::channel();
        let failed = workers
            .run::<()>(Duration::from_millis(20), move |cancel| {
                while !cancel.is_cancelled() {
                    std::thread::yield_now();
                }
                let _ = ended.send(());
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(
            failed.reason(),
            "took longer than the limit of 0.02 s to read"
        );
        end.recv().unwrap();
        let next = workers.run(Duration::from_secs(120), |_| Ok(1)).await;
        assert_eq!(next, Ok(1));
    }
}
