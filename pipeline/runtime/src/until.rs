use std::collections::HashMap;

use async_trait::async_trait;

use crate::{Event, Failure, Partition, Position, Record, Source};

/// Which records of a replay are done again.
pub type Wanted = Box<dyn Fn(&Record) -> bool + Send>;

/// A source that ends where the log ended when a replay began, and leaves out what is not wanted.
///
/// It ends once every partition it holds has been read up to there. Of several members of one replay each ends by itself:
/// what it leaves goes to the others, and is at its end there too.
pub struct Until {
    inner: Box<dyn Source>,
    /// One past the last offset to read; a partition that is not named is read to no end at all.
    ends: HashMap<Partition, i64>,
    wanted: Wanted,
    /// The next offset of each partition that is held.
    at: HashMap<Partition, i64>,
    ended: bool,
}

impl Until {
    pub fn new(inner: Box<dyn Source>, ends: HashMap<Partition, i64>, wanted: Wanted) -> Self {
        Self {
            inner,
            ends,
            wanted,
            at: HashMap::new(),
            ended: false,
        }
    }

    fn at_its_end(&self) -> bool {
        let done = |(partition, next): (&Partition, &i64)| {
            self.ends.get(partition).is_some_and(|end| next >= end)
        };
        !self.at.is_empty() && self.at.iter().all(done)
    }

    /// Notes that a record was read; whether it is done again.
    fn passes(&mut self, record: &Record) -> bool {
        self.at.insert(record.partition.clone(), record.offset + 1);
        let end = self.ends.get(&record.partition);
        let beyond = end.is_some_and(|end| record.offset >= *end);
        !beyond && (self.wanted)(record)
    }
}

#[async_trait]
impl Source for Until {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if !self.ended && self.at_its_end() {
                self.ended = true;
                return Ok(Event::End);
            }
            let event = self.inner.next().await?;
            match &event {
                Event::Assigned(given) => {
                    for it in given {
                        self.at.insert(it.partition.clone(), it.start);
                    }
                }
                Event::Revoked(taken, _) => {
                    for partition in taken {
                        self.at.remove(partition);
                    }
                }
                Event::Record(record) if !self.passes(record) => continue,
                Event::Record(_) | Event::End => {}
            }
            return Ok(event);
        }
    }

    fn ready(&mut self) -> Option<Record> {
        loop {
            let record = self.inner.ready()?;
            if self.passes(&record) {
                return Some(record);
            }
        }
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        self.inner.pause(partitions)
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        self.inner.resume(partitions)
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        self.inner.commit(positions).await
    }

    async fn close(&mut self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bus;

    fn bus(records: i64) -> Bus {
        let bus = Bus::new();
        bus.create("t", 2);
        for number in 0..records {
            let partition = (number % 2) as i32;
            bus.append_to("t", partition, Some(number.to_string().into()), Vec::new())
                .unwrap();
        }
        bus
    }

    fn until(bus: &Bus, ends: [i64; 2], wanted: Wanted) -> Until {
        let partition = |number| Partition {
            topic: "t".into(),
            number,
        };
        let ends = (0..)
            .zip(ends)
            .map(|(n, end)| (partition(n), end))
            .collect();
        Until::new(Box::new(bus.join("g", "t")), ends, wanted)
    }

    /// Values up to the end.
    async fn read(source: &mut Until) -> Vec<String> {
        let mut values = Vec::new();
        loop {
            match source.next().await.unwrap() {
                Event::Record(record) => {
                    let value = record.value.unwrap_or_default().to_vec();
                    values.push(String::from_utf8(value).unwrap());
                }
                Event::Revoked(_, ack) => ack.done(),
                Event::Assigned(_) => {}
                Event::End => break,
            }
        }
        values.sort();
        values
    }

    #[tokio::test(start_paused = true)]
    async fn ends_where_it_is_told_though_more_has_come() {
        let bus = bus(10);
        let mut source = until(&bus, [3, 2], Box::new(|_| true));
        assert_eq!(read(&mut source).await, ["0", "1", "2", "3", "4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_wanted_is_left_out_and_counts_for_the_end() {
        let bus = bus(10);
        let odd = |record: &Record| record.partition.number == 1;
        let mut source = until(&bus, [5, 5], Box::new(odd));
        assert_eq!(read(&mut source).await, ["1", "3", "5", "7", "9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_across_the_end_ends_it() {
        let bus = bus(4);
        bus.skip_offsets("t", 0, 5).unwrap();
        bus.append_to("t", 0, Some("far".into()), Vec::new())
            .unwrap();
        let mut source = until(&bus, [6, 2], Box::new(|_| true));
        assert_eq!(read(&mut source).await, ["0", "1", "2", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn resumed_at_the_end_it_ends_at_once() {
        let bus = bus(4);
        let mut first = until(&bus, [2, 2], Box::new(|_| true));
        assert_eq!(read(&mut first).await.len(), 4);
        let done = [0, 1].map(|number| Position {
            partition: Partition {
                topic: "t".into(),
                number,
            },
            offset: 2,
        });
        first.commit(&done).await.unwrap();
        first.close().await;
        let mut again = until(&bus, [2, 2], Box::new(|_| true));
        assert!(read(&mut again).await.is_empty());
    }
}
