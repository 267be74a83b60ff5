//! Topics, and reading and writing them without a group.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_once_and_made_anew() {
    let world = World::embedded().await;
    let admin = Admin::new(&world.config).unwrap();
    let specs = penstock_schemas::topics::all();
    let created = admin.ensure_topics(&specs, 2, 1).await.unwrap();
    assert_eq!(created.len(), specs.len());
    assert!(admin.ensure_topics(&specs, 2, 1).await.unwrap().is_empty());
    let failure = admin.ensure_topics(&specs, 3, 1).await.unwrap_err();
    assert!(
        failure.reason().contains("has 2 partitions, expected 3"),
        "{failure}"
    );

    world.produce("rag.parts.v1", numbered(0..10)).await;
    let mut source = world.source("g", "rag.parts.v1");
    let read = records(&mut source, 10).await;
    source.commit(&positions(&read)).await.unwrap();
    source.close().await;
    let parts: Vec<TopicSpec> = specs
        .iter()
        .filter(|it| it.name == "rag.parts.v1")
        .cloned()
        .collect();
    admin.recreate(&parts, 2, 1).await.unwrap();
    let lags = lags(&world.config, "g", "rag.parts.v1").await.unwrap();
    assert!(
        lags.iter().all(|lag| lag.end == 0 && lag.records() == 0),
        "{lags:?}"
    );
    world.produce("rag.parts.v1", numbered(10..20)).await;
    let mut source = world.source("g", "rag.parts.v1");
    let mut got: Vec<String> = records(&mut source, 10).await.iter().map(value).collect();
    got.sort();
    assert_eq!(got, numbered(10..20));
    source.close().await;
    admin
        .delete_topics(&["rag.parts.v1", "never.was"])
        .await
        .unwrap();
    assert!(
        !admin
            .partitions()
            .await
            .unwrap()
            .contains_key("rag.parts.v1")
    );
}

pub(super) async fn folding_reads_to_the_end_also_of_empty_partitions(world: World) {
    world.topic("t", 5).await;
    assert!(world.values("t").await.is_empty());
    world.produce("t", ["only".to_owned()]).await;
    assert_eq!(world.values("t").await, ["only"]);
    world.produce("t", numbered(0..5000)).await;
    assert_eq!(world.values("t").await.len(), 5001);
    let failure = fold_topic(&world.config, &world.name("missing"), None, |_| Ok(()))
        .await
        .unwrap_err();
    assert_eq!(failure.class(), "fatal");
    let failure = fold_topic(&world.config, &world.name("t"), Some(&[9]), |_| Ok(()))
        .await
        .unwrap_err();
    assert!(failure.reason().contains("no partition 9"), "{failure}");
    let failure = fold_topic(&world.config, &world.name("t"), None, |_| {
        Err(Failure::poison("enough"))
    })
    .await;
    assert_eq!(failure.unwrap_err().reason(), "enough");
}

pub(super) async fn a_tail_hears_what_comes_after_it_and_nothing_before(world: World) {
    world.topic("t", 3).await;
    world.produce("t", numbered(0..50)).await;
    let mut tail = Tail::start(&world.config, &world.name("t")).await.unwrap();
    world.produce("t", numbered(50..100)).await;
    let mut got = Vec::new();
    while got.len() < 50 {
        let record = tokio::time::timeout(LIMIT, tail.next())
            .await
            .unwrap()
            .unwrap();
        got.push(value(&record).parse::<usize>().unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, (50..100).collect::<Vec<_>>());
}

pub(super) async fn the_ledger_is_read_back_newest_entry_by_document(mut world: World) {
    use penstock_schemas::{Codec, LedgerEntry, Message, topics::LEDGER};
    use penstock_stages::settle::{LedgerLog, TERM};

    // The topic's name is fixed: no other test of this broker may use it.
    world.prefix = String::new();
    world.topic(LEDGER.name(), 1).await;
    let examples = include_str!("../../../../../schemas/examples/ledger_entry.json");
    let examples: serde_json::Value = serde_json::from_str(examples).unwrap();
    let example: LedgerEntry = serde_json::from_value(examples[0]["record"].clone()).unwrap();
    let codec = Codec::default();
    let sink = KafkaSink::new(&world.config).unwrap();
    let record = |entry: &LedgerEntry, value: bool| Outgoing {
        topic: LEDGER.name().into(),
        key: Some(entry.key().into()),
        value: value.then(|| codec.encode(entry).unwrap()),
        headers: Vec::new(),
    };
    let (mut entry, mut other) = (example.clone(), example);
    other.document_guid = uuid::Uuid::from_u128(7);
    let mut records = vec![record(&entry, true), record(&other, true)];
    entry.group = "newer".to_owned();
    records.push(record(&entry, true));
    other.document_guid = uuid::Uuid::from_u128(8);
    records.extend([record(&other, true), record(&other, false)]);
    sink.produce(records).await.unwrap();
    let of_term = |term: i64, entry: &LedgerEntry, group: &str| {
        let mut entry = entry.clone();
        entry.group = group.to_owned();
        let headers = vec![(TERM.into(), term.to_string().into())];
        Outgoing {
            headers,
            ..record(&entry, true)
        }
    };
    let overtaken = of_term(5, &entry, "counts");
    let late = || of_term(3, &entry, "late");
    sink.produce(vec![overtaken, late()]).await.unwrap();
    let reader = LedgerReader::new(world.config.clone(), codec.clone());
    let claim = reader.claim(0).await.unwrap();
    let groups: BTreeSet<String> = claim.entries.iter().map(|it| it.group.clone()).collect();
    assert_eq!(claim.entries.len(), 2, "{claim:?}");
    assert!(groups.contains("counts"), "{groups:?}");
    assert!(claim.term > 5);
    let id = entry.document_guid;
    assert_eq!(claim.overtaken, [id]);
    assert_eq!(reader.overtaken().await.unwrap(), [(0, id)]);
    // From now on: what is of a lesser term, and no more than that.
    let own = of_term(claim.term, &other, "own");
    sink.produce(vec![own, late()]).await.unwrap();
    let deadline = Instant::now() + LIMIT;
    let heard = loop {
        let heard = reader.overtaken().await.unwrap();
        assert!(Instant::now() < deadline, "the late entry is not heard of");
        if !heard.is_empty() {
            break heard;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(heard, [(0, id)]);
}

pub(super) async fn what_shares_a_key_shares_a_partition_number(world: World) {
    world.topic("a", 4).await;
    world.topic("b", 4).await;
    world.produce("a", numbered(0..40)).await;
    world.produce("b", numbered(0..40).into_iter().rev()).await;
    let mut homes: [HashMap<String, i32>; 2] = Default::default();
    for (topic, homes) in ["a", "b"].iter().zip(&mut homes) {
        fold_topic(&world.config, &world.name(topic), None, |record| {
            homes.insert(value(&record), record.partition.number);
            Ok(())
        })
        .await
        .unwrap();
    }
    let [a, b] = homes;
    assert_eq!(a, b);
    assert_eq!(a.values().collect::<BTreeSet<_>>().len(), 4);
    // As Java's client has it: murmur2 of these bytes, modulo 4.
    assert_eq!(a["0"], murmur2(b"key of 0") % 4);
}

pub(super) async fn failures_name_whose_fault_it_is(world: World) {
    world.topic("t", 1).await;
    let sink = KafkaSink::new(&world.config).unwrap();
    let failure = sink
        .produce(vec![world.outgoing("missing", "x")])
        .await
        .unwrap_err();
    assert_eq!(failure.class(), "fatal", "{failure}");
    let huge = Outgoing {
        value: Some(Bytes::from(vec![0u8; 17 * 1024 * 1024])),
        ..world.outgoing("t", "huge")
    };
    let failure = sink
        .produce(vec![world.outgoing("t", "fits"), huge])
        .await
        .unwrap_err();
    assert_eq!(failure.class(), "poison", "{failure}");
    assert_eq!(world.values("t").await, ["fits"]);

    let mut source = world.source("g", "missing");
    let failure = loop {
        match tokio::time::timeout(LIMIT, source.next()).await.unwrap() {
            Ok(Event::Assigned(assignments)) => assert!(assignments.is_empty()),
            Ok(other) => panic!("{other:?}"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("topics apply"), "{failure}");
    source.close().await;
}

pub(super) async fn lag_is_counted_from_the_first_record_before_any_commit(world: World) {
    world.topic("t", 2).await;
    world.produce("t", numbered(0..10)).await;
    let before = world.lags("g", "t").await.unwrap();
    assert_eq!(before.iter().map(Lag::records).sum::<i64>(), 10);
    assert!(
        before.iter().all(|lag| lag.committed.is_none()),
        "{before:?}"
    );
    let failure = world.lags("g", "missing").await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(
        failure.reason().contains("missing does not exist"),
        "{failure}"
    );
}

/// Kafka's default partitioner, from its definition.
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    for (index, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) as i32
}
