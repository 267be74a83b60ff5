//! A bad deploy, or a broken producer: what nobody can read must not flow into the dead letters without end.

use penstock::config::Config;
use penstock::dead_letters::Listed;
use penstock::policies::Policies;
use penstock_adapters::kafka::{KafkaConfig, KafkaSink};
use penstock_runtime::{Outgoing, Sink};
use penstock_servers::Listener;

use crate::world::World;

const PARTS: &str = "rag.parts.v1";
const LETTERS: &str = "rag.parts.v1.dlq";
const GARBAGE: i64 = 2_000;

#[test]
fn a_topic_of_garbage_stops_its_stage() {
    let world = World::new();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let records = (0..GARBAGE).map(|number| Outgoing {
        topic: PARTS.into(),
        key: Some(format!("{number}").into()),
        value: Some("from another release".into()),
        headers: Vec::new(),
    });
    let config = KafkaConfig::new(world.kafka.brokers(Listener::Plain));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    runtime.block_on(sink.produce(records.collect())).unwrap();

    let partitions = world.lags("penstock.parse", PARTS).len() as i64;
    assert!(partitions > 1);
    let limit = Policies::of(&Config::default()).parse.flood.in_a_row as i64;
    let mut passed = 0;
    for start in 1..=3 {
        let ran = world.run(&["run", "parse"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let said = ran.stderr.lines().last().unwrap_or_default();
        for word in [
            "stage parse",
            "cannot be decoded",
            "in a row",
            "start again",
        ] {
            assert!(said.contains(word), "{said:?} lacks {word:?}");
        }
        let letters = world.records(LETTERS);
        assert!(letters > passed, "start {start} passes none");
        passed = letters;
        assert!(
            passed <= partitions * limit,
            "{passed} after {start} starts"
        );
        // What it passed it also committed, and nothing else: none is lost, none comes twice.
        assert_eq!(world.lag("parse"), GARBAGE - passed);
    }
    let listed: Listed = world
        .run(&["dead-letters", "list", "--class", "undecodable", "--json"])
        .json();
    assert_eq!(listed.count as i64, passed);
    let mut places: Vec<_> = listed.dead_letters.iter().map(|it| &it.original).collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len() as i64, passed, "one letter each");
}
