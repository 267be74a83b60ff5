use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Failure, Headers, Outgoing, Record, Sink, lineage};

const FROM: &str = "attempt.from";
const ALONE: &str = "attempt.alone";

/// What outlives a process of its work on a partition. None is left of one that let go in good order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The lowest unresolved position when it was written.
    pub from: i64,
    /// Records that ran alone and did not close, with how often.
    pub alone: BTreeMap<i64, u32>,
}

/// Reads trails back.
#[async_trait]
pub trait Trails: Send + Sync {
    /// Every record of a small topic; of each key, the newest last.
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure>;
}

/// The trails of one group, on a compacted topic beside the one it reads, and the right to run a record alone.
#[derive(Clone)]
pub struct Attempts {
    group: Arc<str>,
    topic: Arc<str>,
    trails: Arc<dyn Trails>,
    sink: Arc<dyn Sink>,
    /// One record runs alone in the whole process: where two do, nobody can say which of them killed it.
    alone: Arc<Semaphore>,
}

impl Attempts {
    /// `topic` takes the trails. `alone` has one permit and is shared by all stages of the process.
    pub fn new(
        group: &str,
        topic: &str,
        trails: Arc<dyn Trails>,
        sink: Arc<dyn Sink>,
        alone: Arc<Semaphore>,
    ) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            trails,
            sink,
            alone,
        }
    }

    /// The group's trails, by partition.
    pub async fn read(&self) -> Result<BTreeMap<i32, Trail>, Failure> {
        let mut found = BTreeMap::new();
        for record in self.trails.records(&self.topic).await? {
            let Some(number) = self.partition_of(&record) else {
                continue;
            };
            match trail_of(&record) {
                Some(trail) => found.insert(number, trail),
                None => found.remove(&number),
            };
        }
        Ok(found)
    }

    /// None takes a trail back.
    pub async fn write(&self, trails: &[(i32, Option<Trail>)]) -> Result<(), Failure> {
        let records = trails.iter().map(|(number, trail)| Outgoing {
            topic: self.topic.to_string().into(),
            key: Some(Bytes::from(format!("{}/{number}", self.group))),
            // Compaction drops what has no value.
            value: trail.as_ref().map(|_| Bytes::new()),
            headers: trail.as_ref().map(headers_of).unwrap_or_default(),
        });
        self.sink.produce(records.collect()).await
    }

    /// Waits until no other record of this process runs alone.
    pub async fn alone(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.alone.clone().acquire_owned().await;
        permit.map_err(|error| Failure::fatal(format!("run a record alone: {error}")))
    }

    fn partition_of(&self, record: &Record) -> Option<i32> {
        let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let (group, number) = key.rsplit_once('/')?;
        (group == &*self.group).then(|| number.parse().ok())?
    }
}

fn headers_of(trail: &Trail) -> Headers {
    let alone: Vec<String> = trail
        .alone
        .iter()
        .map(|(offset, times)| format!("{offset}:{times}"))
        .collect();
    vec![
        (FROM.into(), Bytes::from(trail.from.to_string())),
        (ALONE.into(), Bytes::from(alone.join(" "))),
    ]
}

/// None where there is no value, or one of something else.
fn trail_of(record: &Record) -> Option<Trail> {
    record.value.as_ref()?;
    let alone = lineage::text(&record.headers, ALONE)?;
    let pair = |pair: &str| {
        let (offset, times) = pair.split_once(':')?;
        Some((offset.parse().ok()?, times.parse().ok()?))
    };
    Some(Trail {
        from: lineage::parsed(&record.headers, FROM)?,
        alone: alone.split(' ').filter_map(pair).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bus;

    fn attempts(bus: &Bus, group: &str) -> Attempts {
        let trails: Arc<dyn Trails> = Arc::new(bus.clone());
        let alone = Arc::new(Semaphore::new(1));
        Attempts::new(group, "t.attempts", trails, Arc::new(bus.sink()), alone)
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_taken_back() {
        let bus = Bus::new();
        bus.create("t.attempts", 3);
        let (ours, others) = (attempts(&bus, "g"), attempts(&bus, "g/2"));
        let note = |from| Trail {
            from,
            alone: BTreeMap::from([(from, 1), (from + 7, 2)]),
        };
        let bare = Trail {
            from: -1,
            alone: BTreeMap::new(),
        };
        ours.write(&[(0, Some(note(5))), (1, Some(bare.clone()))])
            .await
            .unwrap();
        others.write(&[(0, Some(note(9)))]).await.unwrap();
        assert_eq!(
            ours.read().await.unwrap(),
            BTreeMap::from([(0, note(5)), (1, bare.clone())])
        );
        ours.write(&[(0, None), (1, Some(note(6)))]).await.unwrap();
        assert_eq!(ours.read().await.unwrap(), BTreeMap::from([(1, note(6))]));
        assert_eq!(others.read().await.unwrap(), BTreeMap::from([(0, note(9))]));
    }

    #[tokio::test]
    async fn what_is_no_trail_is_passed_over() {
        let bus = Bus::new();
        bus.create("t.attempts", 1);
        let header =
            |name: &'static str, value: &'static [u8]| (name.into(), Bytes::from_static(value));
        for (key, headers) in [
            ("g/0", vec![]),
            ("g/0", vec![header(FROM, b"x"), header(ALONE, b"")]),
            ("g/0", vec![header(FROM, b"1"), header(ALONE, b"\xFF")]),
            ("g/x", vec![header(FROM, b"1"), header(ALONE, b"")]),
            ("g", vec![header(FROM, b"1"), header(ALONE, b"")]),
            ("g/4", vec![header(FROM, b"1"), header(ALONE, b"7 8:x 9:2")]),
        ] {
            let record = Outgoing {
                topic: "t.attempts".into(),
                key: Some(key.into()),
                value: Some(Bytes::new()),
                headers,
            };
            bus.append(record).unwrap();
        }
        let found = attempts(&bus, "g").read().await.unwrap();
        let note = Trail {
            from: 1,
            alone: BTreeMap::from([(9, 2)]),
        };
        assert_eq!(found, BTreeMap::from([(4, note)]));
    }
}
