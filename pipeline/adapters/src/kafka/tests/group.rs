//! Members of a group.

use super::*;

pub(super) async fn records_come_back_as_they_were_sent(world: World) {
    world.topic("t", 1).await;
    let sink = KafkaSink::new(&world.config).unwrap();
    let large = Bytes::from(vec![7u8; 4 * 1024 * 1024]);
    let header = |name: &'static str, value: &str| (name.into(), Bytes::from(value.to_owned()));
    let sent = vec![
        Outgoing {
            headers: vec![header("a", "1"), header("b", ""), header("a", "2")],
            ..world.outgoing("t", "ä 漢")
        },
        Outgoing {
            value: None,
            ..world.outgoing("t", "null value")
        },
        Outgoing {
            key: None,
            ..world.outgoing("t", "no key")
        },
        Outgoing {
            value: Some(large),
            headers: vec![header("size", "4 MB")],
            ..world.outgoing("t", "large")
        },
        world.outgoing("t", "last"),
    ];
    for record in sent.clone() {
        sink.produce(vec![record]).await.unwrap();
    }
    let mut source = world.source("g", "t");
    let start = assigned(&mut source).await;
    assert_eq!(start.iter().map(|it| it.start).collect::<Vec<_>>(), [0]);
    let got = records(&mut source, sent.len()).await;
    for (offset, (got, sent)) in got.iter().zip(&sent).enumerate() {
        assert_eq!(got.offset, offset as i64);
        assert_eq!(got.key, sent.key);
        assert_eq!(got.value, sent.value);
        assert_eq!(got.headers, sent.headers);
        assert!(got.timestamp > 1_600_000_000_000, "{}", got.timestamp);
    }
    source.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_where_it_committed_also_after_a_restart_of_the_broker() {
    let mut world = World::embedded().await;
    world.topic("t", 3).await;
    world.produce("t", numbered(0..300)).await;
    let mut seen = BTreeSet::new();
    let mut source = world.source("g", "t");
    let first = records(&mut source, 100).await;
    seen.extend(first.iter().map(value));
    source.commit(&positions(&first)).await.unwrap();
    source.close().await;

    world.restart().await;
    let begun = Instant::now();
    let mut source = world.source("g", "t");
    let mut starts: Vec<i64> = assigned(&mut source)
        .await
        .iter()
        .map(|it| it.start)
        .collect();
    println!("joined after {:?}", begun.elapsed());
    let mut committed: Vec<i64> = positions(&first).iter().map(|it| it.offset).collect();
    committed.resize(3, 0);
    starts.sort_unstable();
    committed.sort_unstable();
    assert_eq!(starts, committed);
    let rest = records(&mut source, 200).await;
    for record in &rest {
        assert!(seen.insert(value(record)), "{} came twice", value(record));
    }
    assert_eq!(seen.len(), 300);
    source.commit(&positions(&rest)).await.unwrap();
    let lags = world.lags("g", "t").await.unwrap();
    assert_eq!(lags.iter().map(|lag| lag.end).sum::<i64>(), 300);
    assert!(lags.iter().all(|lag| lag.records() == 0), "{lags:?}");
    source.close().await;
}

/// What is committed stays so, and nothing comes twice; one that merely has nothing to do is left alone.
pub(super) async fn a_consumer_that_is_given_nothing_is_made_anew(world: World) {
    world.topic("t", 2).await;
    world.produce("t", numbered(0..20)).await;
    let mut source = world.source("g", "t");
    source.be_wary(Duration::from_millis(500));
    let head = records(&mut source, 20).await;
    source.stick();
    world.produce("t", numbered(20..40)).await;
    let mut seen: BTreeSet<String> = head.iter().map(value).collect();
    let mut renewals = 0;
    let deadline = Instant::now() + LIMIT;
    while seen.len() < 40 {
        let event = tokio::time::timeout_at(deadline.into(), source.next()).await;
        match event.expect("made anew in time").unwrap() {
            Event::Record(record) => assert!(seen.insert(value(&record)), "it came twice"),
            Event::Revoked(partitions, ack) => {
                assert_eq!(partitions.len(), 2);
                source.commit(&positions(&head)).await.unwrap();
                ack.done();
                renewals += 1;
            }
            _ => {}
        }
    }
    assert_eq!(renewals, 1);
    let idle = tokio::time::timeout(Duration::from_secs(3), source.next()).await;
    assert!(idle.is_err(), "{idle:?}");
    source.close().await;
}

pub(super) async fn a_second_member_takes_its_share_and_nothing_is_lost_or_committed_late(
    world: World,
) {
    world.topic("t", 4).await;
    world.produce("t", numbered(0..400)).await;
    let mut first = world.source("g", "t");
    let head = records(&mut first, 400).await;
    first.commit(&positions(&head)).await.unwrap();

    let mut second = world.source("g", "t");
    let (mut taken, mut given) = (BTreeSet::new(), BTreeSet::new());
    let deadline = Instant::now() + LIMIT;
    while taken.len() < 2 || given.len() < 2 {
        assert!(
            Instant::now() < deadline,
            "taken {taken:?}, given {given:?}"
        );
        tokio::select! {
            event = first.next() => match event.unwrap() {
                Event::Revoked(partitions, ack) => {
                    // Until the ack a commit counts.
                    let one: Vec<Position> =
                        positions(&head).into_iter().filter(|it| partitions.contains(&it.partition)).collect();
                    first.commit(&one).await.unwrap();
                    ack.done();
                    given.extend(partitions);
                }
                Event::Record(record) => panic!("a record came twice: {record:?}"),
                _ => {}
            },
            event = second.next() => match event.unwrap() {
                Event::Assigned(assignments) => taken.extend(assignments.into_iter().map(|it| it.partition)),
                Event::Record(record) => panic!("a record came twice: {record:?}"),
                _ => {}
            },
        }
    }
    assert_eq!(taken, given);

    // What the second has commited, a late commit of the first does not turn back.
    world.produce("t", numbered(400..800)).await;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut tail = Vec::new();
    while seen.len() < 400 {
        assert!(Instant::now() < deadline, "only {} of 400", seen.len());
        let record = tokio::select! {
            event = first.next() => event.unwrap(),
            event = second.next() => event.unwrap(),
        };
        if let Event::Record(record) = record {
            *seen.entry(value(&record)).or_default() += 1;
            tail.push(record);
        }
    }
    assert!(seen.values().all(|times| *times == 1));
    second.commit(&positions(&tail)).await.unwrap();
    first.commit(&positions(&head)).await.unwrap();
    let lags = world.lags("g", "t").await.unwrap();
    for lag in lags {
        let partition = Partition {
            topic: world.name("t").into(),
            number: lag.partition,
        };
        let behind = lag.records();
        assert_eq!(behind == 0, taken.contains(&partition), "{lag:?}");
    }
    first.close().await;
    second.close().await;
}

pub(super) async fn a_paused_partition_is_silent_and_loses_nothing(world: World) {
    world.topic("t", 2).await;
    world.produce("t", numbered(0..2000)).await;
    let mut source = world.source("g", "t");
    let assignments = assigned(&mut source).await;
    let paused = assignments[0].partition.clone();
    source.pause(std::slice::from_ref(&paused)).unwrap();
    let ends: HashMap<i32, i64> = world
        .lags("g", "t")
        .await
        .unwrap()
        .iter()
        .map(|lag| (lag.partition, lag.end))
        .collect();
    let other = ends.values().sum::<i64>() - ends[&paused.number];
    for record in records(&mut source, other as usize).await {
        assert_ne!(record.partition, paused);
    }
    let silence = tokio::time::timeout(Duration::from_millis(500), source.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    // Twice, and for one that is not paused: no harm.
    source
        .resume(&[paused.clone(), assignments[1].partition.clone()])
        .unwrap();
    source.resume(std::slice::from_ref(&paused)).unwrap();
    let rest = records(&mut source, ends[&paused.number] as usize).await;
    let offsets: Vec<i64> = rest.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..ends[&paused.number]).collect::<Vec<_>>());
    source.close().await;
}

pub(super) async fn a_pause_outlives_a_rebalance(world: World) {
    world.topic("t", 2).await;
    let mut first = world.source("g", "t");
    let mine = assigned(&mut first).await;
    let both: Vec<Partition> = mine.iter().map(|it| it.partition.clone()).collect();
    first.pause(&both).unwrap();
    let mut second = world.source("g", "t");
    let mut lost = None;
    let deadline = Instant::now() + LIMIT;
    let mut settled = false;
    while !settled {
        assert!(Instant::now() < deadline);
        tokio::select! {
            event = first.next() => match event.unwrap() {
                Event::Revoked(partitions, ack) => { ack.done(); lost = partitions.first().cloned(); }
                Event::Record(record) => panic!("paused, and yet {record:?}"),
                _ => {}
            },
            event = second.next() => if let Event::Assigned(assignments) = event.unwrap() {
                settled = !assignments.is_empty();
            },
        }
    }
    let lost = lost.unwrap();
    world.produce("t", numbered(0..200)).await;
    let theirs = world.lags("g", "t").await.unwrap();
    let count = |number: i32| {
        theirs
            .iter()
            .find(|lag| lag.partition == number)
            .unwrap()
            .end as usize
    };
    let got = tokio::select! {
        got = records(&mut second, count(lost.number)) => got,
        event = first.next() => panic!("paused, and yet {event:?}"),
    };
    assert!(got.iter().all(|record| record.partition == lost));
    let kept = both
        .into_iter()
        .find(|partition| *partition != lost)
        .unwrap();
    first.resume(std::slice::from_ref(&kept)).unwrap();
    let got = records(&mut first, count(kept.number)).await;
    assert!(got.iter().all(|record| record.partition == kept));
    first.close().await;
    second.close().await;
}

pub(super) async fn a_slow_loop_keeps_its_membership_and_its_place(mut world: World) {
    // Far shorter than the loop's silence below.
    world
        .config
        .properties
        .insert("session.timeout.ms".into(), "6000".into());
    world
        .config
        .properties
        .insert("max.poll.interval.ms".into(), "6000".into());
    world.topic("t", 1).await;
    world.produce("t", numbered(0..20_000)).await;
    let mut source = world.source("g", "t");
    assigned(&mut source).await;
    // The loop takes nothing, and the consumer must not be thrown out meanwhile: that would show as a Revoked.
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(9) {
        let lag = &world.lags("other", "t").await.unwrap()[0];
        assert_eq!(lag.end, 20_000);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for expect in 0..20_000 {
        match next(&mut source).await {
            Event::Record(record) => assert_eq!(record.offset, expect),
            other => panic!("{other:?}"),
        }
    }
    source.close().await;
}

pub(super) async fn a_dropped_source_leaves_its_group(world: World) {
    world.topic("t", 1).await;
    let mut first = world.source("g", "t");
    assert_eq!(assigned(&mut first).await.len(), 1);
    drop(first);
    let mut second = world.source("g", "t");
    let mut mine = 0;
    while mine == 0 {
        mine = assigned(&mut second).await.len();
    }
    second.close().await;
}

pub(super) async fn next_may_be_dropped_at_any_time(world: World) {
    world.topic("t", 1).await;
    world.produce("t", numbered(0..3000)).await;
    let mut source = world.source("g", "t");
    assigned(&mut source).await;
    let mut offset = 0;
    let mut dropped = 0u32;
    while offset < 3000 {
        // Polled at most once: what is not there at once is dropped half-way.
        tokio::select! {
            biased;
            event = source.next() => if let Event::Record(record) = event.unwrap() {
                assert_eq!(record.offset, offset);
                offset += 1;
            },
            () = tokio::task::yield_now() => dropped += 1,
        }
    }
    assert!(dropped > 0);
    source.close().await;
}
