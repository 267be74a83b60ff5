use std::collections::BTreeMap;

use rdkafka::ClientConfig;

/// The largest record we produce or fetch: bytes.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// How to reach the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated.
    pub brokers: String,
    pub client_id: String,
    /// Codec of produced batches: none, lz4, zstd, gzip.
    pub compression: String,
    /// librdkafka's own settings, by its names (`security.protocol`, `sasl.username`, …). They win over ours.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A cluster, with our defaults.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: "penstock".to_owned(),
            compression: "lz4".to_owned(),
            properties: BTreeMap::new(),
        }
    }

    /// The broker inside this process: nothing to gain from compression on loopback.
    pub fn embedded(address: impl Into<String>) -> Self {
        Self {
            compression: "none".to_owned(),
            ..Self::new(address)
        }
    }

    /// A consumer's settings. Positions are committed by hand only.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // Memory stays flat however long the backlog: this is what is fetched ahead of each partition.
            .set("queued.max.messages.kbytes", "1024")
            .set("queued.min.messages", "1000")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.max.bytes", MAX_RECORD.to_string())
            .set("receive.message.max.bytes", (2 * MAX_RECORD).to_string())
            .set("fetch.wait.max.ms", "250")
            .set("fetch.error.backoff.ms", "100")
            // A full queue is asked again soon; a second is the default, and costs most of the throughput.
            .set("fetch.queue.backoff.ms", "10");
        self.apply(&mut config);
        config
    }

    /// A producer's settings: idempotent, acknowledged by all replicas.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("compression.type", &self.compression)
            .set("message.max.bytes", MAX_RECORD.to_string())
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.timeout.ms", "120000")
            // As in Java: what shares a key shares a partition number on every topic of equal partition count.
            .set("partitioner", "murmur2_random");
        self.apply(&mut config);
        config
    }

    /// Settings every client shares.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("log.connection.close", "false");
        config
    }

    pub(super) fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
    }
}
