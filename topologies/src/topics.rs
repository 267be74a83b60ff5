//! The topics of a cluster, and the schemas of their records in its registry: made and compared by `penstock topics`, and
//! looked for before a stage starts.

use std::collections::BTreeSet;

use penstock_adapters::kafka::{Admin, Difference, Remedy};
use penstock_adapters::registry::{self, Gap, Registry};
use penstock_runtime::Failure;
use penstock_schemas::{attempts_of, dead_letters_of, topics as declared};
use serde::{Deserialize, Serialize};

use crate::cli::TopicsCommand;
use crate::commands::print;
use crate::config::Config;
use crate::pipeline::topology;

/// What `topics check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub differences: Vec<Difference>,
    /// Schemas of this release that the registry does not have.
    pub schemas: Vec<Gap>,
}

/// What `topics apply` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Topics.
    pub created: Vec<String>,
    pub changed: Vec<Difference>,
    /// Subjects.
    pub registered: Vec<String>,
}

pub async fn topics(config: &Config, what: TopicsCommand, json: bool) -> Result<u8, Failure> {
    if config.is_embedded() {
        return Err(Failure::fatal(
            "topics needs kafka.brokers: without a cluster the topics are made by themselves",
        ));
    }
    let admin = Admin::new(&config.cluster())?;
    let (specs, shape) = (declared::all(), config.topic_shape());
    let registry = config.registry().as_ref().map(Registry::new).transpose()?;
    let subjects = declared::subjects();
    let schemas = match &registry {
        Some(registry) => registry::gaps(registry, &subjects).await?,
        None => Vec::new(),
    };
    match what {
        TopicsCommand::Check => {
            let differences = admin.differences(&specs, shape).await?;
            let checked = Checked {
                differences,
                schemas,
            };
            print(json, &checked, || checked.print());
            Ok(if checked.is_as_declared() { 0 } else { 2 })
        }
        TopicsCommand::Apply => {
            // Before anything is changed.
            registry::refuse(&schemas)?;
            let done = admin.apply(&specs, shape).await?;
            let (created, changed): (Vec<_>, Vec<_>) =
                done.into_iter().partition(|it| it.remedy == Remedy::Create);
            let created = created.into_iter().map(|it| it.topic).collect();
            let registered = match &registry {
                Some(registry) => registry::register(registry, &subjects, &schemas).await?,
                None => Vec::new(),
            };
            let applied = Applied {
                created,
                changed,
                registered,
            };
            print(json, &applied, || applied.print());
            Ok(0)
        }
    }
}

impl Checked {
    fn is_as_declared(&self) -> bool {
        self.differences.is_empty() && self.schemas.is_empty()
    }

    fn print(&self) -> String {
        if self.is_as_declared() {
            return format!("{} topics, all as declared\n", declared::all().len());
        }
        let differences = self.differences.iter().map(|it| format!("{it}\n"));
        let schemas = self.schemas.iter().map(|it| format!("schema {it}\n"));
        differences.chain(schemas).collect()
    }
}

impl Applied {
    fn print(&self) -> String {
        let created = self.created.iter().map(|it| format!("created {it}\n"));
        let changed = self.changed.iter().map(|it| {
            let was = it.is.as_deref().unwrap_or("not set");
            format!(
                "{}: {} was {was}, is {}\n",
                it.topic, it.setting, it.should_be
            )
        });
        let registered = self.registered.iter();
        let registered = registered.map(|it| format!("registered the schema of {it}\n"));
        let done: String = created.chain(changed).chain(registered).collect();
        match done.is_empty() {
            true => "nothing to do\n".to_owned(),
            false => done,
        }
    }
}

/// Fatal where a topic that the stages (none named: all) read or write is not there: on a cluster topics are made by
/// those who answer for it.
pub async fn are_there(config: &Config, stages: &[String]) -> Result<(), Failure> {
    let admin = Admin::new(&config.cluster())?;
    let missing = admin.missing(&needed_by(stages)).await?;
    let which = match missing.as_slice() {
        [] => return Ok(()),
        [one] => format!("topic {one} is"),
        [first, others @ ..] => format!("topic {first} and {} others are", others.len()),
    };
    Err(Failure::fatal(format!(
        "{which} missing on the cluster; create what is missing with `penstock topics apply`"
    )))
}

fn needed_by(stages: &[String]) -> Vec<String> {
    let mut needed = BTreeSet::from([declared::HEARTBEATS.name().to_owned()]);
    let chosen = |name: &str| stages.is_empty() || stages.iter().any(|it| it == name);
    for stage in topology().into_iter().filter(|it| chosen(it.name)) {
        needed.extend(stage.to.iter().map(|it| (*it).to_owned()));
        needed.insert(stage.from.to_owned());
        needed.insert(dead_letters_of(stage.from));
        needed.insert(attempts_of(stage.from));
        needed.insert(declared::PROGRESS.name().to_owned());
    }
    needed.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_needs_its_own_topics_only() {
        assert_eq!(
            needed_by(&["embed".to_owned()]),
            [
                "rag.chunks.v1",
                "rag.chunks.v1.attempts",
                "rag.chunks.v1.dlq",
                "rag.embeddings.v1",
                "rag.heartbeats.v1",
                "rag.progress.v1",
            ]
        );
        let all: BTreeSet<String> = declared::all().into_iter().map(|it| it.name).collect();
        let needed = needed_by(&[]);
        assert!(needed.iter().all(|it| all.contains(it)), "{needed:?}");
        assert!(needed.contains(&"rag.ledger.v1".to_owned()));
    }
}
