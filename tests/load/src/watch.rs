//! What is to be seen of a fleet while it works.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use penstock::pipeline::{group_of, topology};
use penstock::status::{StageStatus, stage_status};
use penstock::system::Log;
use penstock_adapters::kafka::{Lag, Tail, lags};
use penstock_runtime::Failure;
use penstock_schemas::{Completed, Completion, topics};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Where one stage stood with the topic it reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub stage: &'static str,
    /// Records it has not committed.
    pub lag: u64,
    /// Records ever written to its topic.
    pub written: u64,
}

impl Place {
    /// Records it has committed.
    pub fn done(&self) -> u64 {
        self.written.saturating_sub(self.lag)
    }
}

/// Every stage at one time, seconds since the watch began.
#[derive(Debug, Clone)]
pub struct Moment {
    pub at: f64,
    pub places: Vec<Place>,
}

impl Moment {
    pub fn place(&self, stage: &str) -> Option<&Place> {
        self.places.iter().find(|it| it.stage == stage)
    }
}

/// What `penstock status` tells at one time.
#[derive(Debug, Clone)]
pub struct Beat {
    pub at: f64,
    pub stages: Vec<StageStatus>,
}

impl Beat {
    pub fn stage(&self, name: &str) -> Option<&StageStatus> {
        self.stages.iter().find(|it| it.stage == name)
    }
}

/// All that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub moments: Vec<Moment>,
    pub beats: Vec<Beat>,
    /// When each document was accounted for, and how.
    pub completed: HashMap<Uuid, (Instant, Completion)>,
}

/// Looks at a fleet until dropped.
pub struct Watch {
    pub begun: Instant,
    seen: Arc<Mutex<Seen>>,
    _looking: JoinSet<()>,
}

/// Between two looks at the lag.
pub const LOOK: Duration = Duration::from_secs(1);
/// Processes tell of themselves this often.
const BEAT: Duration = Duration::from_secs(5);

impl Watch {
    /// Hears of every document that is completed from now on.
    pub async fn start(log: &Arc<Log>) -> Result<Self, Failure> {
        let tail = Tail::start(&log.kafka, topics::COMPLETED.name()).await?;
        let begun = Instant::now();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut looking = JoinSet::new();
        looking.spawn(hear(tail, log.clone(), seen.clone()));
        looking.spawn(look(log.clone(), begun, seen.clone()));
        looking.spawn(ask(log.clone(), begun, seen.clone()));
        Ok(Self {
            begun,
            seen,
            _looking: looking,
        })
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        locked(&self.seen)
    }

    /// Seconds.
    pub fn elapsed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Whether it came to that within `limit`.
    pub async fn until(&self, limit: Duration, reached: impl Fn(&Seen) -> bool) -> bool {
        const POLL: Duration = Duration::from_millis(100);
        let deadline = Instant::now() + limit;
        while !reached(&self.seen()) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// Looks no more.
    pub fn finish(self) -> Seen {
        std::mem::take(&mut *self.seen())
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn hear(mut tail: Tail, log: Arc<Log>, seen: Arc<Mutex<Seen>>) {
    loop {
        let record = match tail.next().await {
            Ok(record) => record,
            Err(failure) => {
                eprintln!("load: {failure}");
                return;
            }
        };
        let now = Instant::now();
        let value = record.value.as_deref().unwrap_or_default();
        match log.codec.decode::<Completed>(value) {
            Ok(completed) => {
                let id = completed.lineage.document_guid;
                let mut seen = locked(&seen);
                seen.completed.entry(id).or_insert((now, completed.outcome));
            }
            Err(error) => eprintln!("load: a completion cannot be read: {error}"),
        }
    }
}

async fn look(log: Arc<Log>, begun: Instant, seen: Arc<Mutex<Seen>>) {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let at = begun.elapsed().as_secs_f64();
        match places(&log).await {
            Ok(places) => locked(&seen).moments.push(Moment { at, places }),
            Err(failure) => eprintln!("load: {failure}"),
        }
    }
}

async fn ask(log: Arc<Log>, begun: Instant, seen: Arc<Mutex<Seen>>) {
    let mut every = tokio::time::interval(BEAT);
    loop {
        every.tick().await;
        let at = begun.elapsed().as_secs_f64();
        match stage_status(&log).await {
            Ok(stages) => locked(&seen).beats.push(Beat { at, stages }),
            Err(failure) => eprintln!("load: {failure}"),
        }
    }
}

/// Where every stage stands now.
pub async fn places(log: &Log) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    for stage in topology() {
        let lags = lags(&log.kafka, &group_of(stage.name), stage.from).await?;
        let sum = |of: fn(&Lag) -> i64| lags.iter().map(|it| of(it).max(0) as u64).sum();
        places.push(Place {
            stage: stage.name,
            lag: sum(Lag::records),
            written: sum(|it| it.end),
        });
    }
    Ok(places)
}
