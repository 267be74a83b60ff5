//! What a broker is told.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use crate::certificates::Certificates;
use crate::fail;

/// Who may log in, with every mechanism.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "alice-secret-91c2";

/// A way to reach a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    Plain,
    Tls,
    /// With a client certificate.
    MutualTls,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, without TLS.
    Sasl,
    /// The same over TLS.
    SaslTls,
    /// Without login or TLS, through a proxy of the test's: the broker names the proxy's port as its own.
    Proxied,
}

const LISTENERS: [Listener; 6] = [
    Listener::Plain,
    Listener::Tls,
    Listener::MutualTls,
    Listener::Sasl,
    Listener::SaslTls,
    Listener::Proxied,
];

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Tls => "TLS",
            Self::MutualTls => "MTLS",
            Self::Sasl => "SASL",
            Self::SaslTls => "SASLTLS",
            Self::Proxied => "PROXIED",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Plain | Self::Proxied => "PLAINTEXT",
            Self::Tls | Self::MutualTls => "SSL",
            Self::Sasl => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }
}

/// The ports of one broker.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    listeners: BTreeMap<Listener, u16>,
    controller: u16,
    /// What clients of `Listener::Proxied` are told; none: the broker's own.
    proxy: Option<u16>,
}

impl Ports {
    pub(crate) fn address(&self, listener: Listener) -> String {
        let port = self.listeners.get(&listener).copied().unwrap_or_default();
        format!("127.0.0.1:{port}")
    }

    fn advertised(&self, listener: Listener) -> String {
        match self.proxy {
            Some(proxy) if listener == Listener::Proxied => format!("127.0.0.1:{proxy}"),
            _ => self.address(listener),
        }
    }

    /// Free ones, for each broker its own; a broker for which there is a proxy names that. Somebody may take one before
    /// the broker does: then the start fails, and is tried again with others.
    pub(crate) fn free(brokers: usize, proxies: &[u16]) -> Vec<Self> {
        // Held together, so that none comes twice.
        let mut held = Vec::new();
        let mut port = || match TcpListener::bind(("127.0.0.1", 0)) {
            Ok(listener) => {
                let port = listener.local_addr().map(|it| it.port());
                held.push(listener);
                port.unwrap_or_default()
            }
            Err(error) => fail(&format!("no free port on 127.0.0.1: {error}")),
        };
        (0..brokers)
            .map(|number| Self {
                listeners: LISTENERS.iter().map(|it| (*it, port())).collect(),
                controller: port(),
                proxy: proxies.get(number).copied(),
            })
            .collect()
    }
}

/// The settings file of broker `number`, counted from 0, of a cluster that has `ports`.
pub(crate) fn server_properties(
    number: usize,
    ports: &[Ports],
    data: &Path,
    certificates: &Certificates,
) -> String {
    let Some(own) = ports.get(number) else {
        fail("a broker without ports")
    };
    let replicas = ports.len().min(3);
    let voters: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(number, it)| format!("{}@127.0.0.1:{}", number + 1, it.controller))
        .collect();
    let listed = |text: &dyn Fn(Listener) -> String| {
        LISTENERS
            .iter()
            .map(|it| text(*it))
            .collect::<Vec<_>>()
            .join(",")
    };
    let listening = listed(&|it| format!("{}://{}", it.name(), own.address(it)));
    let advertised = listed(&|it| format!("{}://{}", it.name(), own.advertised(it)));
    let mut text = String::new();
    let mut set = |name: &str, value: &str| text.push_str(&format!("{name}={value}\n"));
    set("process.roles", "broker,controller");
    set("node.id", &(number + 1).to_string());
    set("controller.quorum.voters", &voters.join(","));
    set("controller.listener.names", "CONTROLLER");
    let controller = format!("CONTROLLER://127.0.0.1:{}", own.controller);
    set("listeners", &format!("{listening},{controller}"));
    set("advertised.listeners", &advertised);
    let protocols = listed(&|it| format!("{}:{}", it.name(), it.protocol()));
    set(
        "listener.security.protocol.map",
        &format!("{protocols},CONTROLLER:PLAINTEXT"),
    );
    set("inter.broker.listener.name", Listener::Plain.name());
    set("log.dirs", &data.display().to_string());

    set("ssl.keystore.type", "PEM");
    set(
        "ssl.keystore.location",
        &certificates.server().display().to_string(),
    );
    set("ssl.truststore.type", "PEM");
    set(
        "ssl.truststore.location",
        &certificates.authority_file().display().to_string(),
    );
    set("listener.name.mtls.ssl.client.auth", "required");
    for listener in ["sasl", "sasltls"] {
        let name = |rest: &str| format!("listener.name.{listener}.{rest}");
        set(
            &name("sasl.enabled.mechanisms"),
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        );
        set(
            &name("plain.sasl.jaas.config"),
            &format!(
                "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
            ),
        );
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            set(
                &name(&format!("{mechanism}.sasl.jaas.config")),
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            );
        }
    }

    // Topics are made by those who mean to.
    set("auto.create.topics.enable", "false");
    set("offsets.topic.num.partitions", "4");
    for (topic, partitions) in [("offsets.topic", None), ("transaction.state.log", Some(2))] {
        set(
            &format!("{topic}.replication.factor"),
            &replicas.to_string(),
        );
        if let Some(partitions) = partitions {
            set(&format!("{topic}.num.partitions"), &partitions.to_string());
        }
    }
    set(
        "transaction.state.log.min.isr",
        &replicas.div_ceil(2).to_string(),
    );
    // Groups settle at once, and short sessions are allowed.
    set("group.initial.rebalance.delay.ms", "0");
    set("group.min.session.timeout.ms", "1000");
    // Three brokers share two cores with the tests.
    set("num.network.threads", "2");
    set("num.io.threads", "4");
    set("background.threads", "2");
    set("log.cleaner.dedupe.buffer.size", "16777216");
    // A broker that is killed is missed soon.
    set("broker.session.timeout.ms", "6000");
    set("broker.heartbeat.interval.ms", "1000");
    text
}
