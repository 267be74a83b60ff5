//! Our subjects in a registry: looked up, compared, registered.

use std::fmt;
use std::sync::Arc;

use penstock_runtime::Failure;
use penstock_schemas::{Codec, Subject};
use serde::{Deserialize, Serialize};

use super::{Registry, Verdict};

/// A subject without the schema of this release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub subject: String,
    pub state: State,
    /// Why the registry would refuse it, in its own words.
    pub reason: Option<String>,
}

/// What there is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No such subject.
    Missing,
    /// Other versions, which go with this one.
    Other,
    Incompatible,
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.state {
            State::Missing => write!(formatter, "{subject}: is missing"),
            State::Other => write!(
                formatter,
                "{subject}: is there, without this release's schema"
            ),
            State::Incompatible => write!(
                formatter,
                "{subject}: this release's schema is incompatible with the one there: {}",
                self.reason.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// Encodes by the registry's ids of these subjects, and asks it for schemas of others. Fatal where a schema of this release
/// is not registered: who may register does so before.
pub async fn codec(registry: Registry, subjects: &[Subject]) -> Result<Codec, Failure> {
    let mut own = Vec::new();
    let mut missing = Vec::new();
    for subject in subjects {
        let name = subject.name();
        match registry.find(&name, subject.schema).await? {
            None => missing.push(name),
            // What is written under a wrong id nobody can read.
            Some(found) if !subject.is_schema(&found.schema) => {
                return Err(Failure::fatal(format!(
                    "the schema registry says that {name} has our schema as {}, and shows another one; is it a registry \
                     with Confluent's API? check registry.url",
                    found.id
                )));
            }
            Some(found) => own.push((*subject, found.id)),
        }
    }
    let which = match missing.as_slice() {
        [] => {
            return Codec::registered(own, Arc::new(registry))
                .map_err(|error| Failure::fatal(format!("our own schema is broken: {error}")));
        }
        [one] => format!("this release's schema of {one} is"),
        [first, others @ ..] => {
            format!(
                "this release's schemas of {first} and {} others are",
                others.len()
            )
        }
    };
    Err(Failure::fatal(format!(
        "{which} not in the schema registry; register them with `penstock topics apply`"
    )))
}

/// Every subject that lacks the schema of this release.
pub async fn gaps(registry: &Registry, subjects: &[Subject]) -> Result<Vec<Gap>, Failure> {
    let mut gaps = Vec::new();
    for subject in subjects {
        let name = subject.name();
        if registry.find(&name, subject.schema).await?.is_some() {
            continue;
        }
        let (state, reason) = match registry.judge(&name, subject.schema).await? {
            Verdict::NoSubject => (State::Missing, None),
            Verdict::Compatible => (State::Other, None),
            Verdict::Incompatible(words) => (State::Incompatible, Some(words)),
        };
        gaps.push(Gap {
            subject: name,
            state,
            reason,
        });
    }
    Ok(gaps)
}

/// Fatal where one of these cannot be mended.
pub fn refuse(gaps: &[Gap]) -> Result<(), Failure> {
    let refused: Vec<String> = gaps
        .iter()
        .filter(|gap| gap.state == State::Incompatible)
        .map(Gap::to_string)
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Failure::fatal(format!(
        "schemas and topics were left as they are: {}; {ADVICE}",
        refused.join("; ")
    )))
}

const ADVICE: &str = "delete what another program registered there, or have the registry hold the subject to BACKWARD, \
                      which is what releases keep to";

/// Registers what is missing. Returns the subjects.
pub async fn register(
    registry: &Registry,
    subjects: &[Subject],
    gaps: &[Gap],
) -> Result<Vec<String>, Failure> {
    let mut registered = Vec::new();
    for subject in subjects {
        let name = subject.name();
        if !gaps.iter().any(|gap| gap.subject == name) {
            continue;
        }
        if let Err(words) = registry.register(&name, subject.schema).await? {
            // Somebody else was faster, or the registry compares with more than the newest version.
            return Err(Failure::fatal(format!(
                "the schema registry does not take this release's schema of {name}: {words}; {ADVICE}"
            )));
        }
        registered.push(name);
    }
    Ok(registered)
}
