//! The program against a cluster of real brokers: topics, logins, groups.

use penstock::dead_letters::{Listed, Redriven};
use penstock::topics::{Applied, Checked};
use penstock_adapters::kafka::{KafkaConfig, KafkaSink, KafkaSource, lags, standing_of};
use penstock_runtime::{Event, Outgoing, Sink, Source};
use penstock_servers::{Listener, PASSWORD, USER};
use penstock_tests::until;

use crate::world::World;

#[test]
fn topics_are_applied_and_checked() {
    let world = World::new();
    let check = |more: &[&str]| {
        let ran = world.run(&[&["topics", "check", "--json"], more].concat());
        let checked: Checked = ran.json();
        (ran.code, checked.differences)
    };
    // Nothing there yet: stages refuse to start, and say what to do.
    let (code, differences) = check(&[]);
    assert_eq!(code, 2);
    let declared = differences.len();
    assert!(differences.iter().all(|it| it.is.is_none()));
    assert!(declared >= 25, "{differences:?}");
    let embed = ["rag.chunks.v1 and 5 others are missing", "topics apply"];
    world.run(&["run", "embed"]).could_not_run(&embed);

    let applied: Applied = world.run(&["topics", "apply", "--json"]).json();
    assert_eq!(applied.created.len(), declared);
    assert_eq!(check(&[]), (0, Vec::new()));
    let again = world.run(&["topics", "apply"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to do\n"));

    // Three brokers: three copies, of which a write waits for two.
    let (code, differences) = check(&["--set", "kafka.replication=1"]);
    assert_eq!(code, 2);
    assert_eq!(differences.len(), declared);
    for it in &differences {
        let both = (it.is.as_deref(), it.should_be.as_str());
        assert_eq!(
            (it.setting.as_str(), both),
            ("replication", (Some("3"), "1"))
        );
    }

    // Of what would differ, the ledger and progress must not: then nothing is changed.
    let more = ["topics", "apply", "--set", "kafka.partitions=3"];
    world.run(&more).could_not_run(&[
        "rag.ledger.v1: partitions is 2, should be 3",
        "rag.progress.v1: partitions is 2, should be 3",
        "kafka.partitions",
    ]);
    assert_eq!(check(&[]), (0, Vec::new()));
    let text = world.run(&["topics", "check", "--set", "kafka.partitions=3"]);
    assert_eq!(text.code, 2);
    let line = "rag.chunks.v1: partitions is 2, should be 3\n";
    assert!(text.stdout.contains(line), "{}", text.stdout);
}

#[test]
fn logins_come_from_the_configuration_and_stay_secret() {
    let world = World::new();
    const WRONG: &str = "not-the-password-81ab";
    let login = |password: &str| {
        let authority = world.kafka.certificates().authority_file();
        std::fs::write(world.file("password"), format!("{password}\n")).unwrap();
        let properties = format!(
            "\"security.protocol\" = \"sasl_ssl\"\n\"ssl.ca.location\" = {authority:?}\n\
             \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = {USER:?}\n\
             \"sasl.password\" = {{ file = {:?} }}\n",
            world.file("password")
        );
        world.configure(Listener::SaslTls, &properties);
    };
    login(PASSWORD);
    let ran = world.run(&["topics", "apply"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(world.run(&["topics", "check"]).code, 0);

    login(WRONG);
    for args in [
        ["topics", "check"].as_slice(),
        &["run", "embed"],
        &["run", "split", "parse"],
    ] {
        let ran = world.run(args);
        ran.could_not_run(&["login", "sasl.password", "kafka.properties"]);
        assert!(!ran.stderr.contains(WRONG), "{}", ran.stderr);
    }

    login(PASSWORD);
    let ran = world.run(&[
        "run",
        "embed",
        "--set",
        "kafka.properties.sasl.pasword=x-81ab",
    ]);
    ran.could_not_run(&["kafka.properties", "sasl.pasword"]);
    assert!(!ran.stderr.contains("x-81ab"), "{}", ran.stderr);
    std::fs::remove_file(world.file("password")).unwrap();
    let file = world.file("password").display().to_string();
    world
        .run(&["topics", "check"])
        .could_not_run(&["sasl.password", &file]);
}

/// On a cluster anybody may be at work: a group's position is moved only while nobody is in it.
#[test]
fn a_record_is_skipped_only_while_its_group_is_empty() {
    const TOPIC: &str = "rag.parts.v1";
    const GROUP: &str = "penstock.parse";
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let config = KafkaConfig::new(world.kafka.brokers(Listener::Plain));
    let killer = Outgoing {
        topic: TOPIC.into(),
        key: Some("killer".into()),
        value: Some("no part".into()),
        headers: Vec::new(),
    };
    let sink = KafkaSink::new(&config).unwrap();
    runtime.block_on(sink.produce(vec![killer])).unwrap();
    let stands = || runtime.block_on(lags(&config, GROUP, TOPIC)).unwrap();
    let standing = stands();
    let partition = standing.iter().find(|lag| lag.end == 1).unwrap().partition;
    let partition = partition.to_string();
    let skip = ["dead-letters", "skip", TOPIC, &partition, "0", "--json"];

    let mut worker = KafkaSource::open(&config, GROUP, &[TOPIC]).unwrap();
    runtime.block_on(async { while !matches!(worker.next().await.unwrap(), Event::Record(_)) {} });
    world
        .run(&skip)
        .could_not_run(&[GROUP, "1 members", "penstock@", "stop"]);
    runtime.block_on(worker.close());
    until("the group is empty", || {
        let standing = runtime.block_on(standing_of(&config, GROUP)).unwrap();
        standing.is_empty()
    });
    let ran = world.run(&skip);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    world.run(&skip).could_not_run(&["nothing is in its way"]);

    let list = |more: &[&str]| -> Listed {
        world
            .run(&[&["dead-letters", "list", "--json"], more].concat())
            .json()
    };
    let listed = list(&[]);
    assert_eq!(listed.count, 1, "{listed:#?}");
    let letter = &listed.dead_letters[0];
    assert_eq!(
        (letter.class.as_str(), letter.stage.as_str()),
        ("skipped", "parse")
    );
    let report: Redriven = world
        .run(&["dead-letters", "redrive", "--stage", "parse", "--json"])
        .json();
    assert_eq!((report.put_back, report.left), (1, 0), "{report:#?}");
    assert_eq!(list(&[]).count, 0);
    let ends: i64 = stands().iter().map(|lag| lag.end).sum();
    assert_eq!(ends, 2);
}
