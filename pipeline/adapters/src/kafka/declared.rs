//! What is declared of a topic, held against what is.

use std::collections::BTreeMap;

use penstock_schemas::TopicSpec;
use serde::{Deserialize, Serialize};

use super::admin::Shape;
use super::config::MAX_RECORD;

/// Where a topic is not as declared. Only what is declared is compared: other settings are the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub topic: String,
    /// `topic`, `partitions`, `replication`, or Kafka's name of a setting.
    pub setting: String,
    /// None where there is nothing.
    pub is: Option<String>,
    pub should_be: String,
    #[serde(skip, default = "by_hand")]
    pub remedy: Remedy,
}

/// What `apply` does about a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    Create,
    Grow(i32),
    Alter,
    /// Nothing, because of this.
    ByHand(&'static str),
}

fn by_hand() -> Remedy {
    Remedy::ByHand("")
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            topic,
            setting,
            is,
            should_be,
            ..
        } = self;
        match is {
            None if self.remedy == Remedy::Create => write!(formatter, "{topic}: is missing"),
            None => write!(
                formatter,
                "{topic}: {setting} is not set, should be {should_be}"
            ),
            Some(is) => write!(
                formatter,
                "{topic}: {setting} is {is}, should be {should_be}"
            ),
        }
    }
}

/// A topic's settings in force, by name.
pub(super) type Settings = BTreeMap<String, Found>;

/// A setting of a topic.
pub(super) struct Found {
    pub(super) value: String,
    /// Set on the topic itself, not inherited from the broker.
    pub(super) is_own: bool,
}

pub(super) fn compare_shape(spec: &TopicSpec, is: Shape, want: Shape) -> Vec<Difference> {
    let difference = |setting: &str, is: i32, want: i32, remedy| {
        (is != want).then(|| Difference {
            topic: spec.name.clone(),
            setting: setting.to_owned(),
            is: Some(is.to_string()),
            should_be: want.to_string(),
            remedy,
        })
    };
    let partitions = if spec.co_partitioned {
        Remedy::ByHand(
            "the count is fixed, for state is kept by partition; set kafka.partitions to what it is",
        )
    } else if is.partitions > want.partitions {
        Remedy::ByHand("a topic cannot shrink; set kafka.partitions to what it is")
    } else {
        Remedy::Grow(want.partitions)
    };
    let replication = Remedy::ByHand(
        "replicas are moved with kafka-reassign-partitions; do that, or set kafka.replication to what it is",
    );
    [
        difference("partitions", is.partitions, want.partitions, partitions),
        difference("replication", is.replication, want.replication, replication),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn compare_settings(
    spec: &TopicSpec,
    found: Option<&Settings>,
    replication: i32,
) -> Vec<Difference> {
    let parts = |list: &str| {
        let mut parts: Vec<String> = list.split(',').map(|it| it.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    settings_of(spec, replication)
        .into_iter()
        .filter_map(|(name, want)| {
            let is = found.and_then(|it| it.get(name)).map(|it| it.value.clone());
            let same = is.as_deref().is_some_and(|is| parts(is) == parts(&want));
            (!same).then(|| Difference {
                topic: spec.name.clone(),
                setting: name.to_owned(),
                is,
                should_be: want,
                remedy: Remedy::Alter,
            })
        })
        .collect()
}

/// A topic's settings, by Kafka's names.
pub(super) fn settings_of(spec: &TopicSpec, replication: i32) -> Vec<(&'static str, String)> {
    let policy = match (spec.compacted, spec.retention_hours) {
        (true, Some(_)) => "compact,delete",
        (true, None) => "compact",
        (false, _) => "delete",
    };
    let retention = spec
        .retention_hours
        .map_or(-1, |hours| i64::from(hours) * 3_600_000);
    let mut settings = vec![
        ("cleanup.policy", policy.to_owned()),
        // As the producer compressed it: the brokers have other work.
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", MAX_RECORD.to_string()),
        ("retention.ms", retention.to_string()),
    ];
    // With three copies a write waits for two, so that it outlives the loss of any one broker, and one may be away.
    if replication >= 3 {
        settings.push(("min.insync.replicas", "2".to_owned()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_follow_from_the_declaration() {
        let check = |compacted, retention_hours, replication, expect: [&str; 3]| {
            let spec = TopicSpec {
                name: "t".to_owned(),
                compacted,
                retention_hours,
                co_partitioned: false,
                intermediate: false,
            };
            let settings: BTreeMap<_, _> = settings_of(&spec, replication).into_iter().collect();
            let of = |name: &str| settings.get(name).map_or("", String::as_str);
            let found = [
                of("cleanup.policy"),
                of("retention.ms"),
                of("min.insync.replicas"),
            ];
            assert_eq!(found, expect);
        };
        check(false, Some(1), 1, ["delete", "3600000", ""]);
        check(false, None, 2, ["delete", "-1", ""]);
        check(true, None, 3, ["compact", "-1", "2"]);
        check(true, Some(24), 5, ["compact,delete", "86400000", "2"]);
    }
}
