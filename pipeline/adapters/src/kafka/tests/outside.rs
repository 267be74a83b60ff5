//! Groups seen and moved from outside, and readings from a place.

use super::*;

pub(super) async fn a_group_is_moved_only_while_nobody_is_in_it(world: World) {
    world.topic("t", 1).await;
    world.produce("t", numbered(0..5)).await;
    assert!(
        standing_of(&world.config, &world.name("g"))
            .await
            .unwrap()
            .is_empty()
    );
    let to = |offset| Position {
        partition: Partition {
            topic: world.name("t").into(),
            number: 0,
        },
        offset,
    };
    // One nobody ever joined can be moved as well.
    commit_for(&world.config, &world.name("g"), &to(1))
        .await
        .unwrap();

    let mut source = world.source("g", "t");
    assert_eq!(records(&mut source, 1).await[0].offset, 1);
    let standing = standing_of(&world.config, &world.name("g")).await.unwrap();
    assert!(!standing.is_empty(), "{standing:?}");
    assert_eq!(standing.members.len(), 1, "{standing:?}");
    assert!(standing.members[0].starts_with("penstock@"), "{standing:?}");

    source.close().await;
    let deadline = Instant::now() + LIMIT;
    while !standing_of(&world.config, &world.name("g"))
        .await
        .unwrap()
        .is_empty()
    {
        assert!(Instant::now() < deadline, "the member is still there");
    }
    commit_for(&world.config, &world.name("g"), &to(4))
        .await
        .unwrap();
    let lags = world.lags("g", "t").await.unwrap();
    assert_eq!(lags[0].committed, Some(4));

    // The same client in the same place, and another member.
    let mut again = world.source("g", "t");
    assert_eq!(records(&mut again, 1).await[0].offset, 4);
    let back = standing_of(&world.config, &world.name("g")).await.unwrap();
    assert_eq!(back.members, standing.members);
    assert_eq!(back.ids.len(), 1, "{back:?}");
    assert_ne!(back.ids, standing.ids);
    again.close().await;
}

pub(super) async fn a_reading_starts_where_asked_and_ends_where_the_topic_ended(world: World) {
    world.topic("t", 1).await;
    world.produce("t", numbered(0..5)).await;
    let mut reading = Reading::start_at(&world.config, &world.name("t"), 0, 3)
        .await
        .unwrap();
    world.produce("t", numbered(5..9)).await;
    let mut read = Vec::new();
    while let Some(record) = reading.next().await.unwrap() {
        read.push(record.offset);
    }
    assert_eq!(read, [3, 4], "what came later is not read");
    assert!(
        reading.next().await.unwrap().is_none(),
        "it stays at its end"
    );
    let mut behind = Reading::start_at(&world.config, &world.name("t"), 0, 99)
        .await
        .unwrap();
    assert!(behind.next().await.unwrap().is_none());
    assert!(
        Reading::start_at(&world.config, &world.name("t"), 7, 0)
            .await
            .is_err()
    );
}

pub(super) async fn a_time_is_the_first_record_not_older(world: World) {
    world.topic("t", 2).await;
    let topic = world.name("t");
    let mut times: Vec<i64> = Vec::new();
    // Of several times, however fast the broker is.
    while times.first() == times.last() {
        world.produce("t", numbered(0..3)).await;
        times.clear();
        fold_topic(&world.config, &topic, None, |record| {
            times.push(record.timestamp);
            Ok(())
        })
        .await
        .unwrap();
        times.sort_unstable();
    }
    for time in [
        0,
        times[0],
        times[times.len() - 1],
        times[times.len() - 1] + 1,
    ] {
        let mut expect: BTreeMap<i32, Option<i64>> = BTreeMap::from([(0, None), (1, None)]);
        fold_topic(&world.config, &topic, None, |record| {
            let first = expect.entry(record.partition.number).or_default();
            if first.is_none() && record.timestamp >= time {
                *first = Some(record.offset);
            }
            Ok(())
        })
        .await
        .unwrap();
        let found = offsets_at(&world.config, &topic, time).await.unwrap();
        assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expect);
    }
}
