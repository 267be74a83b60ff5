//! Brokers that are gone, say nothing, or are too old.

use std::net::{Ipv4Addr, TcpListener};

use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaApiKey;

use super::*;
use crate::kafka::source::CLOSE_LIMIT;

/// Beside the time a source takes to close: the test's own.
const SLACK: Duration = Duration::from_secs(10);

/// It leaves in time, and dropping it holds nobody up: librdkafka's own close may hang.
async fn leaves(mut source: KafkaSource) {
    let closing = tokio::time::timeout(CLOSE_LIMIT + SLACK, source.close());
    closing.await.expect("closed in time");
    let dropping = tokio::task::spawn_blocking(move || drop(source));
    let dropped = tokio::time::timeout(SLACK, dropping).await;
    dropped.expect("dropped in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_leaves_though_its_broker_is_gone() {
    let mut world = World::embedded().await;
    world.topic("t", 2).await;
    world.produce("t", numbered(0..10)).await;
    let mut source = world.source("g", "t");
    let read = records(&mut source, 10).await;
    source.commit(&positions(&read)).await.unwrap();
    world.broker.take().unwrap().stop().await;
    leaves(source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_leaves_a_broker_that_says_nothing() {
    // Connections come about, and that is all.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = KafkaConfig::new(mute.local_addr().unwrap().to_string());
    let mut source = KafkaSource::open(&config, "g", &["t"]).unwrap();
    let silence = tokio::time::timeout(Duration::from_secs(1), source.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    leaves(source).await;
}

/// A broker of before idempotent producers, or of a protocol this client does not speak: no retry mends it. None that old
/// runs any more, so this is librdkafka's own stand-in for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_too_old_is_fatal() {
    let old = MockCluster::new(1).unwrap();
    old.create_topic("t", 1, 1).unwrap();
    old.apiversion(RDKafkaApiKey::InitProducerId, None, None)
        .unwrap();
    let config = KafkaConfig::new(old.bootstrap_servers());
    let record = Outgoing {
        topic: "t".into(),
        key: None,
        value: Some(Bytes::from_static(b"x")),
        headers: Vec::new(),
    };
    let sink = KafkaSink::new(&config).unwrap();
    let sent = tokio::time::timeout(LIMIT, sink.produce(vec![record])).await;
    let failure = sent.expect("refused in time").unwrap_err();
    assert_eq!(failure.class(), "fatal", "{failure}");
    assert_eq!(failure.reason().lines().count(), 1, "{failure}");
    assert!(failure.reason().contains("not supported"), "{failure}");
}
