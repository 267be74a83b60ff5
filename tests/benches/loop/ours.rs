//! Penstock's loop, with a stage that copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use penstock_adapters::kafka::{KafkaConfig, KafkaSink, KafkaSource};
use penstock_runtime::{
    Batch, BatchStage, Cap, Emit, Failure, Gauges, Note, Policy, Stop, ThrottlePolicy, Verdict,
    WindowPolicy, Wiring, run,
};
use penstock_schemas::{Codec, Message, Topic};

use crate::Job;
use crate::records::{Raw, Refused, Sample};

/// Emits each record as it is.
struct Copy<T>(std::marker::PhantomData<fn() -> T>);

#[async_trait]
impl<T: Message + Refused> BatchStage for Copy<T> {
    type In = T;
    type Out = T;

    async fn process(&self, batch: &Batch<T>) -> Result<Vec<Verdict<T>>, Failure> {
        let verdict = |record: &T| {
            if record.is_poison() {
                return Err(Failure::poison("refused on purpose"));
            }
            Ok(Emit {
                outputs: vec![record.clone()],
                note: Note::Silent,
            })
        };
        Ok(batch.iter().map(|input| verdict(&input.record)).collect())
    }
}

pub fn work(job: &Job, stopped: &Arc<AtomicBool>) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let outcome = if job.avro {
        runtime.block_on(copy::<Sample>(job, stopped))
    } else {
        runtime.block_on(copy::<Raw>(job, stopped))
    };
    runtime.shutdown_background();
    outcome.map_err(|failure| failure.to_string())
}

async fn copy<T: Message + Refused>(job: &Job, stopped: &Arc<AtomicBool>) -> Result<(), Failure> {
    /// Records of a batch, as of stages whose records are light.
    const BATCH: usize = 512;
    let config = KafkaConfig::new(job.brokers.clone());
    let policy = Policy {
        window: WindowPolicy {
            count: BATCH,
            age: Duration::from_millis(5),
            ..WindowPolicy::default()
        },
        cap: Cap {
            records: 16 * BATCH,
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            min: BATCH,
            start: 64 * BATCH,
            max: 64 * BATCH,
            tolerance: f64::INFINITY,
            ..ThrottlePolicy::default()
        },
        ..Policy::default()
    };
    let wiring = Wiring {
        name: "copy".to_owned(),
        stage: Copy::<T>(std::marker::PhantomData),
        from: Topic::<T>::new(leaked(&job.from)),
        to: Topic::<T>::new(leaked(&job.to)),
        codec: Codec::default(),
        attempts: None,
    };
    let source = KafkaSource::open(&config, &job.group, &[&job.from])?;
    let sink = Arc::new(KafkaSink::new(&config)?);
    let stop = Stop::new();
    let (told, stopped) = (stop.clone(), stopped.clone());
    std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        told.soft();
    });
    let gauges = Arc::new(Gauges::default());
    // On a worker of the runtime, as in the pipeline.
    let running = tokio::spawn(run(wiring, Box::new(source), sink, policy, gauges, stop));
    match running.await {
        Ok(outcome) => outcome.map(|_| ()),
        Err(error) => Err(Failure::fatal(format!("the loop broke off: {error}"))),
    }
}

/// A topic's name lives as long as the program; this one is run for one pair of topics.
fn leaked(name: &str) -> &'static str {
    String::leak(name.to_owned())
}
