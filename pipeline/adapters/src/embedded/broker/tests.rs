use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use penstock_runtime::{Outgoing, Sink};
use penstock_schemas::TopicSpec;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::*;
use crate::kafka::{Admin, KafkaConfig, KafkaSink, Tail, fold_topic, lags};

const LIMIT: Duration = Duration::from_secs(60);

fn spec(name: &str, compacted: bool, retention_hours: Option<u32>) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        compacted,
        retention_hours,
        co_partitioned: false,
        intermediate: false,
    }
}

fn record(topic: &str, key: &str, value: &str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned().into(),
        key: Some(key.to_owned().into()),
        value: Some(value.to_owned().into()),
        headers: vec![("of".into(), value.to_owned().into())],
    }
}

/// Offset, key, value and the one header of every record.
async fn all(config: &KafkaConfig, topic: &str) -> Vec<(i64, String, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = Vec::new();
    fold_topic(config, topic, None, |record| {
        let header = text(&record.headers[0].1);
        let (key, value) = (
            record.key.unwrap_or_default(),
            record.value.unwrap_or_default(),
        );
        all.push((record.offset, text(&key), text(&value), header));
        Ok(())
    })
    .await
    .unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn data_outlives_the_broker_whatever_its_port_and_folder_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a folder, ünlike #others%20?");
    let mut addresses = Vec::new();
    for run in 0..3 {
        let broker = Broker::start(&dir).await.unwrap();
        let config = KafkaConfig::embedded(broker.address());
        let admin = Admin::new(&config).unwrap();
        admin
            .ensure_topics(&[spec("t", false, None)], 1, 1)
            .await
            .unwrap();
        assert_eq!(all(&config, "t").await.len(), run);
        let sink = KafkaSink::new(&config).unwrap();
        sink.produce(vec![record("t", "k", &run.to_string())])
            .await
            .unwrap();
        addresses.push(broker.address());
        broker.stop().await;
    }
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    files.sort();
    assert!(
        files.contains(&"meta.db".into()) && files.contains(&"records.db".into()),
        "{files:?}"
    );
    assert!(
        addresses.iter().all(|it| it.starts_with("127.0.0.1:")),
        "{addresses:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made_is_fatal_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let failure = Broker::start(&file.join("log")).await.err().unwrap();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("file/log"), "{failure}");
}

/// A child that produces until it is killed, and prints each value once it is acknowledged.
fn child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "embedded::broker::tests::produces_when_it_is_a_child",
            "--nocapture",
        ])
        .env("PENSTOCK_TEST_LOG", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn produces_when_it_is_a_child() {
    // Alone, this test has nothing to do.
    let Some(dir) = std::env::var_os("PENSTOCK_TEST_LOG") else {
        return;
    };
    let broker = Broker::start(Path::new(&dir)).await.unwrap();
    let config = KafkaConfig::embedded(broker.address());
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("t", false, None)], 1, 1)
        .await
        .unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    let from = all(&config, "t").await.len();
    for number in from..from + 100_000 {
        sink.produce(vec![record("t", "k", &number.to_string())])
            .await
            .unwrap();
        println!("acknowledged {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_owned();
    let mut acknowledged = None;
    for _ in 0..3 {
        let mut child = child(&folder);
        let output = child.stdout.take().unwrap();
        let last = tokio::task::spawn_blocking(move || {
            let lines = std::io::BufReader::new(output).lines();
            let mut last = None;
            let mut count = 0;
            for line in lines.map_while(Result::ok) {
                // The test runner may have begun the line.
                if let Some((_, number)) = line.split_once("acknowledged ") {
                    last = Some(number.parse::<usize>().unwrap());
                    count += 1;
                    if count == 30 {
                        child.kill().unwrap();
                    }
                }
            }
            child.wait().unwrap();
            last
        })
        .await
        .unwrap();
        acknowledged = last.or(acknowledged);
    }
    let acknowledged = acknowledged.unwrap();
    assert!(acknowledged >= 89, "{acknowledged}");
    let broker = Broker::start(&folder).await.unwrap();
    let config = KafkaConfig::embedded(broker.address());
    let values: Vec<String> = all(&config, "t").await.into_iter().map(|it| it.2).collect();
    assert!(
        values.len() > acknowledged,
        "{} of {acknowledged}",
        values.len()
    );
    let expect: Vec<String> = (0..values.len()).map(|number| number.to_string()).collect();
    assert_eq!(values, expect);
    broker.stop().await;
}

/// A log without a server, and a way to have topics.
async fn bare(dir: &Path) -> (Broker, KafkaConfig, Log) {
    let broker = Broker::start(dir).await.unwrap();
    let config = KafkaConfig::embedded(broker.address());
    let log = broker.serving.log.clone();
    (broker, config, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_the_newest_of_each_key_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, config, log) = bare(dir.path()).await;
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("c", true, None), spec("d", false, None)], 1, 1)
        .await
        .unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    for round in 0..30 {
        let batch = |topic: &str| {
            (0..40)
                .map(|key| record(topic, &key.to_string(), &format!("{key} in {round}")))
                .collect()
        };
        sink.produce(batch("c")).await.unwrap();
        sink.produce(batch("d")).await.unwrap();
    }
    // A key that is not written again stays however old it is.
    let before = all(&config, "c").await;
    upkeep::tidy(&log, upkeep::now()).await.unwrap();
    let after = all(&config, "c").await;
    let mut newest = BTreeMap::new();
    for record in &before {
        newest.insert(record.1.clone(), record.clone());
    }
    let mut expect: Vec<_> = newest.into_values().collect();
    expect.sort();
    assert_eq!(after, expect);
    assert_eq!(all(&config, "d").await.len(), 1200);
    // Behind the gaps things go on as before, for writers and for groups.
    sink.produce(vec![record("c", "7", "new")]).await.unwrap();
    let last = all(&config, "c").await.pop().unwrap();
    assert_eq!(last, (1200, "7".into(), "new".into(), "new".into()));
    let lag = lags(&config, "g", "c").await.unwrap();
    assert_eq!((lag[0].first, lag[0].end), (0, 1201));
    broker.stop().await;

    let (broker, config, _) = bare(dir.path()).await;
    assert_eq!(all(&config, "c").await.len(), 41);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_trimmed_gives_its_space_back_and_offsets_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, config, _) = bare(dir.path()).await;
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("c", true, None), spec("d", false, None)], 1, 1)
        .await
        .unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    let large = "x".repeat(200_000);
    for _ in 0..20 {
        sink.produce(vec![record("c", "k", &large)]).await.unwrap();
        sink.produce(vec![record("d", "k", &large)]).await.unwrap();
    }
    broker.trim(&[("d".to_owned(), 0, 15)]).await.unwrap();
    let offsets = async |topic| -> Vec<i64> {
        let records = all(&config, topic).await;
        records.into_iter().map(|it| it.0).collect()
    };
    assert_eq!(offsets("d").await, [15, 16, 17, 18, 19]);
    assert_eq!(offsets("c").await, [19], "few, but heavy");
    let size = std::fs::metadata(dir.path().join("records.db"))
        .unwrap()
        .len();
    // A record's header carries the value again: twelve of them are left.
    assert!(size < 4_000_000, "{size} bytes");
    sink.produce(vec![record("d", "k", "new")]).await.unwrap();
    assert_eq!(offsets("d").await.last(), Some(&20));
    // A second time, and beyond the end, there is nothing more to drop than there is.
    broker.trim(&[("d".to_owned(), 0, 99)]).await.unwrap();
    assert!(offsets("d").await.is_empty());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted_on_request_out_of_the_middle_of_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, config, _) = bare(dir.path()).await;
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("d", false, Some(1))], 1, 1)
        .await
        .unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    let secret = "the pilot boards at the buoy";
    let batch = (0..6).map(|number| match number {
        0..3 => record("d", "k", &format!("{secret} {number}")),
        _ => record("d", "k", "open"),
    });
    sink.produce(batch.collect()).await.unwrap();
    let offsets = async || -> Vec<i64> {
        let records = all(&config, "d").await;
        records.into_iter().map(|it| it.0).collect()
    };
    let delete = async |before: i64| admin.delete_records("d", &[(0, before)].into()).await;
    delete(3).await.unwrap();
    assert_eq!(offsets().await, [3, 4, 5]);
    // Again, and less: what is gone stays gone.
    delete(1).await.unwrap();
    assert_eq!(offsets().await, [3, 4, 5]);
    assert!(delete(99).await.is_err());
    let lag = lags(&config, "g", "d").await.unwrap();
    assert_eq!((lag[0].first, lag[0].end), (3, 6));
    sink.produce(vec![record("d", "k", "more")]).await.unwrap();
    assert_eq!(offsets().await, [3, 4, 5, 6]);
    delete(7).await.unwrap();
    assert!(offsets().await.is_empty());
    let keeping = admin.keeping(&[spec("d", false, Some(1))]).await.unwrap();
    assert_eq!(keeping["d"].retention, Some(3_600_000));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_moves_the_beginning_and_a_topic_may_become_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, config, log) = bare(dir.path()).await;
    let admin = Admin::new(&config).unwrap();
    let specs = [
        spec("short", false, Some(1)),
        spec("for ever", false, None),
        spec("both", true, Some(1)),
    ];
    let specs = specs.map(|it| TopicSpec {
        name: it.name.replace(' ', "."),
        ..it
    });
    admin.ensure_topics(&specs, 1, 1).await.unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    for spec in &specs {
        for number in 0..5 {
            sink.produce(vec![record(&spec.name, "k", &number.to_string())])
                .await
                .unwrap();
        }
    }
    let minutes = |count: i64| upkeep::now() + count * 60_000;
    upkeep::tidy(&log, minutes(50)).await.unwrap();
    assert_eq!(all(&config, "short").await.len(), 5);
    let mut tail = Tail::start(&config, "short").await.unwrap();
    upkeep::tidy(&log, minutes(70)).await.unwrap();
    for (topic, left) in [("short", 0), ("for.ever", 5), ("both", 0)] {
        assert_eq!(all(&config, topic).await.len(), left, "{topic}");
    }
    let lag = lags(&config, "g", "short").await.unwrap();
    assert_eq!((lag[0].first, lag[0].end, lag[0].records()), (5, 5, 0));
    sink.produce(vec![record("short", "k", "again")])
        .await
        .unwrap();
    assert_eq!(
        all(&config, "short").await,
        [(5, "k".into(), "again".into(), "again".into())]
    );
    let heard = tokio::time::timeout(LIMIT, tail.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard.offset, 5);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, config, _) = bare(dir.path()).await;
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("t", false, None)], 1, 1)
        .await
        .unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    sink.produce(
        (0..10)
            .map(|it| record("t", "k", &it.to_string()))
            .collect(),
    )
    .await
    .unwrap();
    let mut times = Vec::new();
    fold_topic(&config, "t", None, |record| {
        times.push(record.timestamp);
        Ok(())
    })
    .await
    .unwrap();
    let find = move |time: i64| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &config.brokers)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(time))
            .unwrap();
        let found = consumer.offsets_for_times(list, LIMIT).unwrap();
        found.elements()[0].offset()
    };
    tokio::task::spawn_blocking(move || {
        let expect = times.iter().position(|time| *time >= times[9]).unwrap() as i64;
        assert_eq!(find(times[9]), Offset::Offset(expect));
        assert_eq!(find(0), Offset::Offset(0));
        assert_eq!(find(times[9] + 1), Offset::End);
    })
    .await
    .unwrap();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waits_hears_of_a_record_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, mut config, _) = bare(dir.path()).await;
    // Patience far beyond the limit below: only being told can be in time.
    config
        .properties
        .insert("fetch.wait.max.ms".into(), "20000".into());
    let admin = Admin::new(&config).unwrap();
    admin
        .ensure_topics(&[spec("t", false, None)], 1, 1)
        .await
        .unwrap();
    let mut tail = Tail::start(&config, "t").await.unwrap();
    let sink = KafkaSink::new(&config).unwrap();
    for number in 0..20 {
        sink.produce(vec![record("t", &number.to_string(), "x")])
            .await
            .unwrap();
        tokio::time::timeout(Duration::from_secs(10), tail.next())
            .await
            .expect("not told")
            .unwrap();
    }
    broker.stop().await;
}
