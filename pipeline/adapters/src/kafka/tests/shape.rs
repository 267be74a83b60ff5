//! Topics of a real broker against how they are declared.

use super::*;

const ONE: Shape = Shape {
    partitions: 2,
    replication: 1,
};

/// A compacted one, one that is kept for a time, and one of fixed count.
fn specs(world: &World) -> Vec<TopicSpec> {
    let fixed = TopicSpec {
        co_partitioned: true,
        ..spec(&world.name("fixed"))
    };
    let compacted = TopicSpec {
        compacted: true,
        retention_hours: None,
        ..spec(&world.name("compacted"))
    };
    vec![compacted, spec(&world.name("timed")), fixed]
}

async fn said(world: &World, specs: &[TopicSpec], want: Shape) -> Vec<String> {
    let admin = Admin::new(&world.config).unwrap();
    let differences = admin.differences(specs, want).await.unwrap();
    let said = differences.iter().map(|it| it.to_string());
    said.map(|it| it.replace(&world.prefix, "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_compared_and_mended() {
    let world = World::kafka(Listener::Plain).await;
    let admin = Admin::new(&world.config).unwrap();
    let specs = specs(&world);
    assert_eq!(
        said(&world, &specs, ONE).await,
        [
            "compacted: is missing",
            "timed: is missing",
            "fixed: is missing"
        ]
    );
    let names: Vec<String> = specs.iter().map(|it| it.name.clone()).collect();
    assert_eq!(admin.missing(&names).await.unwrap(), names);
    assert_eq!(admin.apply(&specs, ONE).await.unwrap().len(), 3);
    assert_eq!(admin.missing(&names).await.unwrap(), [] as [String; 0]);
    // Again: nothing to do.
    assert_eq!(admin.apply(&specs, ONE).await.unwrap(), []);

    // The declaration changes; what somebody set besides stays.
    let mut changed = specs.clone();
    changed[0].retention_hours = Some(2);
    changed[1].retention_hours = Some(3);
    set(
        &admin,
        &changed[1].name,
        &[("retention.ms", "3600000"), ("segment.ms", "7000000")],
    )
    .await;
    let expected = [
        "compacted: cleanup.policy is compact, should be compact,delete",
        "compacted: retention.ms is -1, should be 7200000",
        "timed: max.message.bytes is 1048588, should be 16777216",
        "timed: retention.ms is 3600000, should be 10800000",
    ];
    assert_eq!(said(&world, &changed, ONE).await, expected);
    assert_eq!(admin.apply(&changed, ONE).await.unwrap().len(), 4);
    assert_eq!(said(&world, &changed, ONE).await, [] as [String; 0]);
    let kept = setting(&admin, &changed[1].name, "segment.ms").await;
    assert_eq!(kept.as_deref(), Some("7000000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_grow_where_nothing_is_kept_by_partition() {
    let world = World::kafka(Listener::Plain).await;
    let admin = Admin::new(&world.config).unwrap();
    let all = specs(&world);
    admin.apply(&all, ONE).await.unwrap();
    let larger = Shape {
        partitions: 3,
        ..ONE
    };
    // One that must not grow: nothing is done, and both sides are named.
    let failure = admin.apply(&all, larger).await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    let fixed = world.name("fixed");
    for word in [
        fixed.as_str(),
        "partitions is 2, should be 3",
        "kafka.partitions",
    ] {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
    assert_eq!(said(&world, &all, larger).await.len(), 3);
    let growing = &all[..2];
    assert_eq!(admin.apply(growing, larger).await.unwrap().len(), 2);
    assert_eq!(said(&world, growing, larger).await, [] as [String; 0]);
    let failure = admin.apply(growing, ONE).await.unwrap_err();
    for word in ["partitions is 3, should be 2", "cannot shrink"] {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_need_brokers() {
    let world = World::kafka(Listener::Plain).await;
    let admin = Admin::new(&world.config).unwrap();
    let specs = specs(&world);
    let three = Shape {
        replication: 3,
        ..ONE
    };
    let failure = admin.apply(&specs, three).await.unwrap_err();
    for word in [
        "kafka.replication is 3",
        "1 broker",
        "kafka.replication = 1",
    ] {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
    admin.apply(&specs[..1], ONE).await.unwrap();
    let failure = admin.apply(&specs[..1], three).await.unwrap_err();
    for word in ["replication is 1, should be 3", "kafka-reassign-partitions"] {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
}

async fn set(admin: &Admin, topic: &str, settings: &[(&str, &str)]) {
    use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
    let request = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let request = settings
        .iter()
        .fold(request, |request, (name, value)| request.set(name, value));
    let (request, options) = ([request], AdminOptions::new());
    let results = admin.client.alter_configs(&request, &options).await;
    results.unwrap()[0].as_ref().unwrap();
    let (name, value) = settings[0];
    let deadline = Instant::now() + LIMIT;
    while setting(admin, topic, name).await.as_deref() != Some(value) {
        assert!(Instant::now() < deadline);
    }
}

async fn setting(admin: &Admin, topic: &str, name: &str) -> Option<String> {
    use rdkafka::admin::{AdminOptions, ResourceSpecifier};
    let topic = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new();
    let found = admin.client.describe_configs(&topic, &options).await;
    let resource = found.unwrap().remove(0).unwrap();
    let entry = resource.entries.into_iter().find(|it| it.name == name);
    entry.and_then(|it| it.value)
}
