//! Topics of a bench, and what stands on them before the clock runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_schemas::Codec;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};

use crate::bare::producer;
use crate::records::{HEADER, Maker};

/// Partitions of every topic.
const PARTITIONS: i32 = 4;
const LIMIT: Duration = Duration::from_secs(60);

/// What a topic is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling {
    pub records: u64,
    /// Bytes of a value.
    pub size: usize,
    pub avro: bool,
    /// Of so many records one is refused by the stage; none of them is without.
    pub poison_every: Option<u64>,
}

/// Topics on one broker.
pub struct Topics {
    brokers: String,
    runtime: tokio::runtime::Runtime,
    admin: AdminClient<DefaultClientContext>,
    asking: RefCell<BaseConsumer>,
}

impl Topics {
    pub fn new(brokers: &str) -> Result<Self, String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let text = |error: KafkaError| error.to_string();
        Ok(Self {
            brokers: brokers.to_owned(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?,
            admin: config.create().map_err(text)?,
            asking: RefCell::new(asking(brokers)?),
        })
    }

    pub fn create(&self, name: &str) -> Result<(), String> {
        let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let made = self.admin.create_topics([&topic], &options);
        let made = self.runtime.block_on(made);
        if let Some(Err((_, code))) = made.map_err(|error| error.to_string())?.pop() {
            return Err(format!("create {name}: {code}"));
        }
        self.records(name).map(drop)
    }

    pub fn delete(&self, name: &str) -> Result<(), String> {
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let gone = self.admin.delete_topics(&[name], &options);
        let gone = self.runtime.block_on(gone);
        gone.map(drop).map_err(|error| error.to_string())
    }

    /// Records on a topic. A broker may not know yet of one that was just made.
    pub fn records(&self, name: &str) -> Result<u64, String> {
        let start = Instant::now();
        loop {
            match self.count(name) {
                Err(reason) if start.elapsed() > LIMIT => return Err(reason),
                // A client that asked too early remembers for long that there is no such topic.
                Err(_) => {
                    std::thread::park_timeout(Duration::from_millis(100));
                    *self.asking.borrow_mut() = asking(&self.brokers)?;
                }
                counted => return counted,
            }
        }
    }

    fn count(&self, name: &str) -> Result<u64, String> {
        let mut all = 0;
        for partition in 0..PARTITIONS {
            let (first, end) = self
                .asking
                .borrow()
                .fetch_watermarks(name, partition, LIMIT)
                .map_err(|error| format!("look at {name}: {error}"))?;
            all += (end - first).max(0) as u64;
        }
        Ok(all)
    }

    /// Puts records on a topic of its own.
    pub fn fill(&self, name: &str, filling: Filling) -> Result<(), String> {
        self.create(name)?;
        let producer = producer(&self.brokers, DefaultProducerContext)?;
        let (maker, codec) = (Maker::new(filling.size), Codec::default());
        for number in 0..filling.records {
            let poison = filling
                .poison_every
                .is_some_and(|every| number % every == 0);
            let value = if filling.avro {
                maker
                    .avro(&codec, number)
                    .map_err(|error| error.to_string())?
            } else {
                maker.raw(number, poison)
            };
            let key = Maker::key(number);
            let headers = OwnedHeaders::new_with_capacity(1).insert(Header {
                key: HEADER,
                value: Some(&key),
            });
            let mut record = BaseRecord::to(name)
                .key(&key)
                .payload(value.as_ref())
                .headers(headers);
            while let Err((error, back)) = producer.send(record) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(format!("fill {name}: {error}"));
                }
                record = back;
                producer.poll(Duration::from_millis(10));
            }
            if number % 64 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer
            .flush(LIMIT)
            .map_err(|error| format!("fill {name}: {error}"))?;
        match self.records(name)? {
            all if all == filling.records => Ok(()),
            all => Err(format!("{name} has {all} records, not {}", filling.records)),
        }
    }
}

/// Topics that were filled, by what they were filled with: one serves every contender.
#[derive(Default)]
pub struct Filled(BTreeMap<String, Duration>);

impl Filled {
    /// The topic's name.
    pub fn topic(&mut self, topics: &Topics, filling: Filling) -> Result<String, String> {
        let codec = if filling.avro { "avro" } else { "raw" };
        let poison = filling
            .poison_every
            .map_or(String::new(), |it| format!("-{it}"));
        let name = format!("in-{codec}-{}-{}{poison}", filling.size, filling.records);
        if !self.0.contains_key(&name) {
            let start = Instant::now();
            topics.fill(&name, filling)?;
            if filling.poison_every.is_some() {
                topics.create(&format!("{name}.dlq"))?;
            }
            self.0.insert(name.clone(), start.elapsed());
        }
        Ok(name)
    }
}

fn asking(brokers: &str) -> Result<BaseConsumer, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
        .create()
        .map_err(|error: KafkaError| error.to_string())
}
