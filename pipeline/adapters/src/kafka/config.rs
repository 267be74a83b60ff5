use std::collections::BTreeMap;

use penstock_runtime::Failure;
use rdkafka::ClientConfig;

use super::classify;

/// The largest record we produce or fetch: bytes.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// Settings that are not open, and what to do instead: with others records would be lost, or the group torn.
const OURS: [(&str, &str); 15] = [
    ("acks", "no record may be lost: remove it"),
    (
        "auto.commit.enable",
        "positions are committed by hand: remove it",
    ),
    (
        "auto.offset.reset",
        "a group starts at the beginning, or where it stands: remove it",
    ),
    ("bootstrap.servers", "set kafka.brokers instead"),
    (
        "delivery.report.only.error",
        "every record is waited for: remove it",
    ),
    (
        "enable.auto.commit",
        "positions are committed by hand: remove it",
    ),
    (
        "enable.auto.offset.store",
        "positions are committed by hand: remove it",
    ),
    ("enable.idempotence", "no record may be lost: remove it"),
    (
        "enable.partition.eof",
        "readers need it as it is: remove it",
    ),
    ("group.id", "groups are named after their stages: remove it"),
    ("metadata.broker.list", "set kafka.brokers instead"),
    (
        "partition.assignment.strategy",
        "all members of a group need the same: remove it",
    ),
    (
        "partitioner",
        "what shares a key must share a partition, whoever sends it: remove it",
    ),
    ("request.required.acks", "no record may be lost: remove it"),
    (
        "transactional.id",
        "records are repeated rather than sent in transactions: remove it",
    ),
];

/// How to reach the log. Values of `properties` may be secret: they are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated.
    pub brokers: String,
    pub client_id: String,
    /// Codec of produced batches: none, lz4, zstd, gzip.
    pub compression: String,
    /// How long a record may wait for company before it is sent: milliseconds.
    pub linger_ms: u32,
    /// What is fetched ahead of each partition: KiB.
    pub fetch_ahead_kib: u32,
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
            linger_ms: 20,
            fetch_ahead_kib: 8 * 1024,
            properties: BTreeMap::new(),
        }
    }

    /// The broker inside this process: nothing to gain from compression on loopback, and little from waiting or from
    /// fetching ahead: all stages share the memory.
    pub fn embedded(address: impl Into<String>) -> Self {
        Self {
            compression: "none".to_owned(),
            linger_ms: 5,
            fetch_ahead_kib: 1024,
            ..Self::new(address)
        }
    }

    /// Refuses properties that librdkafka does not know or that are not open, before anything is connected.
    pub fn check(&self) -> Result<(), Failure> {
        let ours = |name: &str| OURS.iter().find(|(ours, _)| *ours == name);
        if let Some((name, instead)) = self.properties.keys().find_map(|name| ours(name)) {
            return Err(Failure::fatal(format!(
                "kafka.properties: {name} is not open; {instead}"
            )));
        }
        for settings in [self.consumer("check"), self.producer()] {
            settings
                .create_native_config()
                .map_err(|error| classify(&error, "kafka.properties"))?;
        }
        Ok(())
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
            .set(
                "queued.max.messages.kbytes",
                self.fetch_ahead_kib.to_string(),
            )
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
            .set("linger.ms", self.linger_ms.to_string())
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

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        formatter
            .debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("compression", &self.compression)
            .field("linger_ms", &self.linger_ms)
            .field("fetch_ahead_kib", &self.fetch_ahead_kib)
            .field("properties", &names)
            .finish()
    }
}

/// Whether the value of a setting may be a secret. Rather one too many.
pub(super) fn is_secret(name: &str) -> bool {
    [
        "password",
        "secret",
        "key",
        "pem",
        "username",
        "oauthbearer",
        "jaas",
    ]
    .iter()
    .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new("127.0.0.1:1");
        config.properties.insert(name.to_owned(), value.to_owned());
        config
    }

    #[test]
    fn properties_are_checked_before_anything_is_connected() {
        let check = |name: &str, value: &str, words: &[&str]| {
            let failure = with(name, value).check().unwrap_err();
            assert_eq!(failure.class(), "fatal");
            assert_eq!(failure.reason().lines().count(), 1);
            for word in words {
                assert!(failure.reason().contains(word), "{failure} lacks {word}");
            }
        };
        check(
            "no.such.setting",
            "7",
            &["kafka.properties", "no.such.setting"],
        );
        check("security.protocol", "tls", &["security.protocol", "tls"]);
        check("session.timeout.ms", "soon", &["session.timeout.ms"]);
        check("ssl.truststore.location", "x.jks", &["ssl.ca.location"]);
        check("acks", "1", &["acks is not open", "remove it"]);
        check("bootstrap.servers", "a:1", &["kafka.brokers"]);
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("session.timeout.ms", "6000"),
            ("linger.ms", "3"),
        ] {
            with(name, value).check().unwrap();
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = with("sasl.password", "hunter2");
        let shown = format!("{config:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hunter2"),
            "{shown}"
        );
        for name in ["sasl.passwort", "ssl.key.pasword", "ssl.kez.pem"] {
            let failure = with(name, "hunter2").check().unwrap_err();
            assert!(failure.reason().contains(name), "{failure}");
            assert!(!failure.reason().contains("hunter2"), "{failure}");
        }
        let failure = with("sasl.password", "hunter2\0").check().unwrap_err();
        assert!(!failure.reason().contains("hunter2"), "{failure}");
    }
}
