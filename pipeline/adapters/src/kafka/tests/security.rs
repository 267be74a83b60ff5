//! Logging in to a real broker, and being refused.

use super::*;
use penstock_servers::{Certificates, KEY_PASSWORD, PASSWORD, USER};

type Settings = Vec<(&'static str, String)>;

fn set(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn certificates() -> &'static Certificates {
    Kafka::shared().certificates()
}

/// Trusts the brokers.
fn tls(protocol: &str) -> Settings {
    let authority = certificates().authority_file();
    vec![
        set("security.protocol", protocol),
        set("ssl.ca.location", authority.to_str().unwrap()),
    ]
}

fn mutual_tls() -> Settings {
    let own = certificates();
    let mut settings = tls("ssl");
    settings.extend([
        set(
            "ssl.certificate.location",
            own.client_certificate().to_str().unwrap(),
        ),
        set("ssl.key.location", own.client_key().to_str().unwrap()),
        set("ssl.key.password", KEY_PASSWORD),
    ]);
    settings
}

fn login(mechanism: &str, password: &str) -> Settings {
    vec![
        set("sasl.mechanism", mechanism),
        set("sasl.username", USER),
        set("sasl.password", password),
    ]
}

fn sasl(mechanism: &str, password: &str) -> Settings {
    let mut settings = login(mechanism, password);
    settings.push(set("security.protocol", "sasl_plaintext"));
    settings
}

fn sasl_tls(mechanism: &str, password: &str) -> Settings {
    let mut settings = login(mechanism, password);
    settings.extend(tls("sasl_ssl"));
    settings
}

/// Later wins.
async fn world(listener: Listener, settings: Settings) -> World {
    let mut world = World::kafka(listener).await;
    let settings = settings.into_iter();
    world.config.properties = settings.map(|(name, it)| (name.to_owned(), it)).collect();
    world.config.check().unwrap();
    world
}

/// Everything that talks to the log does so with the same settings.
async fn works(listener: Listener, settings: Settings) {
    let world = world(listener, settings).await;
    world.topic("t", 1).await;
    let mut tail = Tail::start(&world.config, &world.name("t")).await.unwrap();
    world.produce("t", numbered(0..10)).await;
    let mut source = world.source("g", "t");
    let read = records(&mut source, 10).await;
    source.commit(&positions(&read)).await.unwrap();
    source.close().await;
    assert_eq!(world.lags("g", "t").await.unwrap()[0].records(), 0);
    assert_eq!(world.values("t").await.len(), 10);
    let heard = tokio::time::timeout(LIMIT, tail.next()).await.unwrap();
    assert_eq!(value(&heard.unwrap()), "0");
}

/// Each of the ways to the log says in one line, with `words` and without a secret, why it is closed.
async fn refused(listener: Listener, settings: Settings, words: &[&str]) {
    let world = world(listener, settings).await;
    let said = |what: &str, failure: Failure| {
        assert_eq!(failure.class(), "fatal", "{what}: {failure}");
        let reason = failure.reason();
        assert_eq!(reason.lines().count(), 1, "{what}: {reason}");
        for word in words {
            assert!(reason.contains(word), "{what}: {reason:?} lacks {word:?}");
        }
        for secret in [PASSWORD, WRONG, KEY_PASSWORD] {
            assert!(!reason.contains(secret), "{what}: {reason}");
        }
    };
    let admin = async {
        let failure = Admin::new(&world.config).unwrap().partitions().await;
        said("admin", failure.unwrap_err());
    };
    let sink = async {
        let sink = KafkaSink::new(&world.config).unwrap();
        let failure = sink.produce(vec![world.outgoing("t", "x")]).await;
        said("sink", failure.unwrap_err());
    };
    let source = async {
        let mut source = world.source("g", "t");
        said("source", source.next().await.unwrap_err());
        source.close().await;
    };
    let reading = async {
        let failure = fold_topic(&world.config, &world.name("t"), None, |_| Ok(())).await;
        said("reader", failure.unwrap_err());
    };
    let tail = async {
        let failure = Tail::start(&world.config, &world.name("t")).await;
        said("tail", failure.err().unwrap());
    };
    let lags = async { said("lags", world.lags("g", "t").await.unwrap_err()) };
    tokio::time::timeout(LIMIT, async {
        tokio::join!(admin, sink, source, reading, tail, lags)
    })
    .await
    .expect("not refused in time");
}

const WRONG: &str = "not-the-password-55d0";

#[tokio::test(flavor = "multi_thread")]
async fn every_login_works() {
    tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
    tokio::join!(
        works(Listener::Sasl, sasl("PLAIN", PASSWORD)),
        works(Listener::Sasl, sasl("SCRAM-SHA-256", PASSWORD)),
        works(Listener::Sasl, sasl("SCRAM-SHA-512", PASSWORD)),
        works(Listener::SaslTls, sasl_tls("SCRAM-SHA-512", PASSWORD)),
        works(Listener::Tls, tls("ssl")),
        works(Listener::MutualTls, mutual_tls()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_fatal_everywhere() {
    tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
    let words = ["login", "sasl.password", "kafka.properties"];
    tokio::join!(
        refused(Listener::Sasl, sasl("PLAIN", WRONG), &words),
        refused(Listener::Sasl, sasl("SCRAM-SHA-256", WRONG), &words),
        refused(Listener::SaslTls, sasl_tls("SCRAM-SHA-512", WRONG), &words),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_fatal_everywhere() {
    tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
    let stranger = certificates().stranger_file();
    let distrusting = vec![
        set("security.protocol", "ssl"),
        set("ssl.ca.location", stranger.to_str().unwrap()),
    ];
    let key = stranger.with_extension("key");
    let mut unknown = mutual_tls();
    unknown.extend([
        set("ssl.certificate.location", stranger.to_str().unwrap()),
        set("ssl.key.location", key.to_str().unwrap()),
    ]);
    let missing = ["client's certificate", "ssl.certificate.location"];
    tokio::join!(
        refused(
            Listener::Tls,
            distrusting,
            &["not trusted", "ssl.ca.location"]
        ),
        refused(Listener::MutualTls, tls("ssl"), &missing),
        refused(Listener::MutualTls, unknown, &missing),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_is_fatal() {
    tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
    let mut settings = mutual_tls();
    settings.push(set("ssl.key.password", WRONG));
    let world = world(Listener::MutualTls, settings).await;
    let failure = KafkaSink::new(&world.config).err().unwrap();
    assert_eq!(failure.class(), "fatal");
    assert_eq!(failure.reason().lines().count(), 1, "{failure}");
    assert!(failure.reason().contains("ssl.key"), "{failure}");
    assert!(!failure.reason().contains(WRONG), "{failure}");
}
