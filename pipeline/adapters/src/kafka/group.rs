//! A consumer group as seen, and moved, from outside.

use penstock_runtime::{Failure, Position};
use rdkafka::consumer::{CommitMode, Consumer};

use super::config::KafkaConfig;
use super::reader::{ask, blocking, reader};
use super::{classify, convert};

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// By Kafka's names: Empty, Dead, Stable, PreparingRebalance, CompletingRebalance.
    pub state: String,
    /// `client@host`, sorted.
    pub members: Vec<String>,
    /// The broker's own names of them, sorted. Who leaves and comes back has another.
    pub ids: Vec<String>,
}

impl Standing {
    /// Nobody is in the group, so its positions may be moved.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && matches!(self.state.as_str(), "" | "Empty" | "Dead")
    }
}

/// Who is in `group` now. One nobody ever joined is empty.
pub async fn standing_of(config: &KafkaConfig, group: &str) -> Result<Standing, Failure> {
    let (config, group) = (config.clone(), group.to_owned());
    blocking("look up a group", move || {
        let consumer = reader(&config, "penstock.admin")?;
        let doing = format!("look up group {group}");
        let list = ask(&consumer, &doing, |limit| {
            consumer.fetch_group_list(Some(&group), limit)
        })?;
        let found = list.groups().iter().find(|found| found.name() == group);
        let (mut members, mut ids): (Vec<String>, Vec<String>) = found
            .iter()
            .flat_map(|found| found.members())
            .map(|member| {
                let member_at = format!("{}@{}", member.client_id(), member.client_host());
                (member_at, member.id().to_owned())
            })
            .unzip();
        members.sort();
        ids.sort();
        Ok(Standing {
            state: found.map(|it| it.state().to_owned()).unwrap_or_default(),
            members,
            ids,
        })
    })
    .await
}

/// Commits a position for `group` without joining it. The broker refuses where somebody is in the group.
pub async fn commit_for(
    config: &KafkaConfig,
    group: &str,
    position: &Position,
) -> Result<(), Failure> {
    let (config, group, position) = (config.clone(), group.to_owned(), position.clone());
    blocking("move a group", move || {
        let doing = format!(
            "commit offset {} of {} for {group}",
            position.offset, position.partition
        );
        let consumer = reader(&config, &group)?;
        let list = convert::positions(&[position]).map_err(|error| classify(&error, &doing))?;
        consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|error| classify(&error, &doing))
    })
    .await
}
