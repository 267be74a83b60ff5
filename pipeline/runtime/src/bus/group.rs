//! Consumer groups: who owns which partition, and how it changes hands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::timeout;

use super::{Bus, State};
use crate::{Assignment, Event, Partition, RevokeAck};

#[derive(Debug, Default)]
pub(super) struct Group {
    pub committed: BTreeMap<Partition, i64>,
    pub members: BTreeMap<u64, Membership>,
    /// Turns the distribution, so that a rebalance moves partitions.
    turn: usize,
}

#[derive(Debug)]
pub(super) struct Membership {
    pub topic: String,
    pub events: VecDeque<Event>,
    /// Partitions owned, with the next offset to hand out. Owned until let go: that long commits are lawful.
    pub owned: BTreeMap<Partition, i64>,
    /// Being let go: nothing more is handed out.
    pub leaving: BTreeSet<Partition>,
    pub paused: BTreeSet<Partition>,
}

impl Membership {
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            events: VecDeque::new(),
            owned: BTreeMap::new(),
            leaving: BTreeSet::new(),
            paused: BTreeSet::new(),
        }
    }
}

/// A member takes its leave: without word of it (it crashed) or with.
pub(super) fn leave(bus: &Bus, group: &str, member: u64) {
    {
        let mut state = bus.lock();
        if let Some(group) = state.groups.get_mut(group) {
            group.members.remove(&member);
        }
    }
    reconcile(bus, group);
}

/// Moves every partition on by one member; a member alone loses all and gets all back.
pub(super) fn shuffle(bus: &Bus, group: &str) {
    let alone = {
        let mut state = bus.lock();
        let Some(group) = state.groups.get_mut(group) else {
            return;
        };
        group.turn += 1;
        let only = group.members.keys().next().copied();
        only.filter(|_| group.members.len() == 1)
    };
    if let Some(member) = alone {
        let partitions = {
            let state = bus.lock();
            let owned = state
                .groups
                .get(group)
                .and_then(|group| group.members.get(&member));
            owned
                .map(|member| member.owned.keys().cloned().collect())
                .unwrap_or_default()
        };
        revoke(bus, group, member, partitions);
    }
    reconcile(bus, group);
}

/// Brings ownership towards what it should be: asks for what must move, gives out what nobody owns.
pub(super) fn reconcile(bus: &Bus, group: &str) {
    let mut to_revoke = Vec::new();
    {
        let mut state = bus.lock();
        let targets = targets(&state, group);
        let State { groups, .. } = &mut *state;
        let Some(found) = groups.get_mut(group) else {
            return;
        };
        let mut owned_somewhere = BTreeSet::new();
        for (id, member) in &found.members {
            owned_somewhere.extend(member.owned.keys().cloned());
            let keep = targets.get(id);
            let moving: Vec<Partition> = member
                .owned
                .keys()
                .filter(|partition| !keep.is_some_and(|keep| keep.contains(*partition)))
                .cloned()
                .collect();
            if !moving.is_empty() {
                to_revoke.push((*id, moving));
            }
        }
        for (id, target) in targets {
            let Some(member) = found.members.get_mut(&id) else {
                continue;
            };
            let mut given = Vec::new();
            for partition in target {
                if owned_somewhere.contains(&partition) {
                    continue;
                }
                let start = found.committed.get(&partition).copied().unwrap_or(0);
                member.owned.insert(partition.clone(), start);
                member.paused.remove(&partition);
                given.push(Assignment { partition, start });
            }
            if !given.is_empty() {
                member.events.push_back(Event::Assigned(given));
            }
        }
    }
    bus.announce();
    for (member, partitions) in to_revoke {
        revoke(bus, group, member, partitions);
    }
}

/// Asks a member to let go; when it has, or its time is up, they are given out anew.
fn revoke(bus: &Bus, group: &str, member: u64, mut partitions: Vec<Partition>) {
    let (ack, acknowledged) = RevokeAck::new();
    let patience = {
        let mut state = bus.lock();
        let patience = state.settings.revoke_timeout;
        let found = state
            .groups
            .get_mut(group)
            .and_then(|group| group.members.get_mut(&member));
        let Some(found) = found else {
            return;
        };
        partitions.retain(|partition| found.leaving.insert(partition.clone()));
        if partitions.is_empty() {
            return;
        }
        found
            .events
            .push_back(Event::Revoked(partitions.clone(), ack));
        patience
    };
    bus.announce();
    let bus = bus.clone();
    let group = group.to_owned();
    // Without a runtime everything is being torn down, and nobody waits for the partitions.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        // Too late, or gone without an answer: either way the partitions move on.
        let _ = timeout(patience, acknowledged).await;
        {
            let mut state = bus.lock();
            let found = state
                .groups
                .get_mut(&group)
                .and_then(|group| group.members.get_mut(&member));
            if let Some(found) = found {
                for partition in &partitions {
                    found.owned.remove(partition);
                    found.leaving.remove(partition);
                    found.paused.remove(partition);
                }
            }
        }
        reconcile(&bus, &group);
    });
}

/// Who should own what: partitions dealt out in turn, per topic.
fn targets(state: &State, group: &str) -> BTreeMap<u64, Vec<Partition>> {
    let mut targets: BTreeMap<u64, Vec<Partition>> = BTreeMap::new();
    let Some(group) = state.groups.get(group) else {
        return targets;
    };
    let topics: BTreeSet<&str> = group
        .members
        .values()
        .map(|member| member.topic.as_str())
        .collect();
    for topic in topics {
        let members: Vec<u64> = group
            .members
            .iter()
            .filter(|(_, member)| member.topic == topic)
            .map(|(id, _)| *id)
            .collect();
        for (place, number) in state.log.ends(topic).into_keys().enumerate() {
            let turn = (place + group.turn) % members.len().max(1);
            if let Some(member) = members.get(turn) {
                targets.entry(*member).or_default().push(Partition {
                    topic: topic.into(),
                    number,
                });
            }
        }
    }
    targets
}
