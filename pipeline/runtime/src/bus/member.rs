use async_trait::async_trait;
use tokio::sync::watch;

use super::group::{self, Membership};
use super::log::Log;
use super::{Bus, Happened};
use crate::{Event, Failure, Partition, Position, Record, Source};

/// A consumer in a group. Dropped without `close` it has crashed: its partitions go to others unfinished.
#[derive(Debug)]
pub struct Member {
    bus: Bus,
    group: String,
    id: u64,
    changes: watch::Receiver<u64>,
    /// Ends of the partitions at the start, where the source is to end there.
    until: Option<Vec<(Partition, i64)>>,
    ended: bool,
}

impl Member {
    pub(super) fn join(bus: Bus, group: &str, topic: &str) -> Self {
        let changes = bus.0.changed.subscribe();
        let id = {
            let mut state = bus.lock();
            state.next_member += 1;
            let id = state.next_member;
            let found = state.groups.entry(group.to_owned()).or_default();
            found.members.insert(id, Membership::new(topic));
            id
        };
        group::reconcile(&bus, group);
        Self {
            bus,
            group: group.to_owned(),
            id,
            changes,
            until: None,
            ended: false,
        }
    }

    /// Ends where the topic ends now, as a replay does.
    pub fn bounded(mut self) -> Self {
        let state = self.bus.lock();
        let topic = self.membership(&state, |member| member.topic.clone());
        let ends = topic.map(|topic| {
            let ends = state.log.ends(&topic).into_iter();
            ends.map(|(number, end)| {
                let topic = topic.as_str().into();
                (Partition { topic, number }, end)
            })
            .collect()
        });
        drop(state);
        self.until = ends;
        self
    }

    fn membership<T>(&self, state: &super::State, ask: impl Fn(&Membership) -> T) -> Option<T> {
        let group = state.groups.get(&self.group)?;
        group.members.get(&self.id).map(ask)
    }

    fn poll(&mut self) -> Option<Event> {
        let mut guard = self.bus.lock();
        let state = &mut *guard;
        let member = state
            .groups
            .get_mut(&self.group)?
            .members
            .get_mut(&self.id)?;
        if let Some(event) = member.events.pop_front() {
            return Some(event);
        }
        if let Some(record) = take_next(member, &state.log, self.until.as_deref()) {
            return Some(Event::Record(record));
        }
        let at_end = |(partition, end): &(Partition, i64)| {
            let position = member.owned.get(partition);
            // Offsets may be missing up to the end, so what counts is that nothing is left to read.
            let next = |at: &i64| state.log.read(partition, *at).map(|record| record.offset);
            position.is_some_and(|at| next(at).is_none_or(|next| next >= *end))
        };
        let at_its_end = |until: &Vec<(Partition, i64)>| until.iter().all(at_end);
        let ended = !self.ended && self.until.as_ref().is_some_and(at_its_end);
        if ended {
            self.ended = true;
            return Some(Event::End);
        }
        None
    }
}

/// The record to read next. Of the partition that is furthest behind, so that none starves.
fn take_next(
    member: &mut Membership,
    log: &Log,
    until: Option<&[(Partition, i64)]>,
) -> Option<Record> {
    let within = |record: &&Record| {
        let is_its = |(partition, _): &&(Partition, i64)| *partition == record.partition;
        let end = until.into_iter().flatten().find(is_its);
        end.is_none_or(|(_, end)| record.offset < *end)
    };
    let next = member
        .owned
        .iter()
        .filter(|(partition, _)| {
            !member.paused.contains(*partition) && !member.leaving.contains(*partition)
        })
        .filter_map(|(partition, offset)| log.read(partition, *offset))
        .filter(within)
        .min_by_key(|record| (record.offset, record.partition.number))?;
    let at = next.offset + 1;
    member.owned.insert(next.partition.clone(), at);
    Some(next.clone())
}

#[async_trait]
impl Source for Member {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            self.changes.borrow_and_update();
            if let Some(event) = self.poll() {
                return Ok(event);
            }
            if self.changes.changed().await.is_err() {
                return Err(Failure::fatal("the bus is gone"));
            }
        }
    }

    fn ready(&mut self) -> Option<Record> {
        let mut guard = self.bus.lock();
        let state = &mut *guard;
        let member = state
            .groups
            .get_mut(&self.group)?
            .members
            .get_mut(&self.id)?;
        if !member.events.is_empty() {
            return None;
        }
        take_next(member, &state.log, self.until.as_deref())
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let mut state = self.bus.lock();
        let group = state.groups.get_mut(&self.group);
        if let Some(member) = group.and_then(|group| group.members.get_mut(&self.id)) {
            member.paused.extend(partitions.iter().cloned());
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let mut state = self.bus.lock();
        let group = state.groups.get_mut(&self.group);
        if let Some(member) = group.and_then(|group| group.members.get_mut(&self.id)) {
            for partition in partitions {
                member.paused.remove(partition);
            }
        }
        Ok(())
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        {
            let mut guard = self.bus.lock();
            let state = &mut *guard;
            if let Some(failure) = state.commit_faults.pop_front() {
                return Err(failure);
            }
            let Some(group) = state.groups.get_mut(&self.group) else {
                return Err(Failure::transient("not a member of the group"));
            };
            let mut trespassed = false;
            for position in positions {
                let partition = &position.partition;
                let member = group.members.get(&self.id);
                let lawful = member.is_some_and(|member| member.owned.contains_key(partition));
                let topic = partition.topic.clone();
                let (group_name, number) = (self.group.clone(), partition.number);
                let offset = position.offset;
                state.history.push(if lawful {
                    group.committed.insert(partition.clone(), offset);
                    Happened::Committed {
                        group: group_name,
                        topic,
                        partition: number,
                        offset,
                    }
                } else {
                    trespassed = true;
                    Happened::Trespassed {
                        group: group_name,
                        topic,
                        partition: number,
                        offset,
                    }
                });
            }
            if trespassed {
                return Err(Failure::transient(
                    "a partition is owned by another member by now",
                ));
            }
        }
        self.bus.announce();
        Ok(())
    }

    async fn close(&mut self) {
        group::leave(&self.bus, &self.group, self.id);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        group::leave(&self.bus, &self.group, self.id);
    }
}
