//! Clusters that tests borrow. Each has one for itself, and two tests can be at it at once.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::kafka::Kafka;

/// As many as a small machine carries.
const MOST: usize = 2;
const BROKERS: usize = 3;

static POOL: Mutex<Pool> = Mutex::new(Pool {
    idle: Vec::new(),
    started: 0,
});
static RETURNED: Condvar = Condvar::new();

struct Pool {
    idle: Vec<Kafka>,
    started: usize,
}

/// Three brokers, until this is dropped: what a test leaves there the next one finds.
pub struct Borrowed(Option<Kafka>);

impl Kafka {
    /// One that is idle, or a new one, or the first that comes back.
    pub fn cluster() -> Borrowed {
        let mut pool = lock();
        loop {
            if let Some(kafka) = pool.idle.pop() {
                return Borrowed(Some(kafka));
            }
            if pool.started < MOST {
                pool.started += 1;
                drop(pool);
                // Dropped empty, where it cannot be started, it makes room for another try.
                let mut borrowed = Borrowed(None);
                borrowed.0 = Some(Self::start(BROKERS));
                return borrowed;
            }
            pool = RETURNED.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Deref for Borrowed {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        match &self.0 {
            Some(kafka) => kafka,
            None => unreachable!("it is full until it is dropped"),
        }
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut Kafka {
        match &mut self.0 {
            Some(kafka) => kafka,
            None => unreachable!("it is full until it is dropped"),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut pool = lock();
        match self.0.take() {
            Some(kafka) => {
                if std::thread::panicking() {
                    kafka.keep_logs();
                }
                pool.idle.push(kafka);
            }
            None => pool.started -= 1,
        }
        RETURNED.notify_one();
    }
}

fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
