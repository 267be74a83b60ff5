//! What is declared, held against what is there.

use std::collections::BTreeMap;

use penstock_stages::index::CollectionSpec;
use serde::{Deserialize, Serialize};

use super::settings::{NOT_SET, Settings, alias_of, declared, index_of};

/// A field in which the collection on the cluster is not as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// As in the file, such as `vectors.dense.hnsw.m`; `collection` where there is none.
    pub field: String,
    pub declared: String,
    /// None where there is nothing.
    pub live: Option<String>,
    pub effect: Effect,
    /// What the change does, or why it is not made, and what to do then.
    pub reason: String,
}

impl Change {
    pub(super) fn is_of_alias(&self) -> bool {
        self.field.starts_with(&alias_of(""))
    }

    /// Whether readers and writers need it, or only those who look after the cluster.
    pub(super) fn is_needed(&self) -> bool {
        self.effect == Effect::Refused
            || self.field == "collection"
            || self.field.starts_with(&index_of(""))
            || self.field.ends_with(".modifier")
    }
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// `apply` makes it while the pipeline runs.
    InPlace,
    /// Something has to be built anew: only with `apply --rebuild`.
    Rebuild,
    /// Not made at all; nothing is applied beside it.
    Refused,
}

impl Effect {
    /// As a plan shows it.
    pub fn mark(self) -> &'static str {
        match self {
            Self::InPlace => "in place",
            Self::Rebuild => "rebuild",
            Self::Refused => "refused",
        }
    }
}

/// A collection as it is on the cluster, and where aliases point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// None: there is no such collection.
    pub(super) collection: Option<Settings>,
    /// Alias to collection.
    pub(super) aliases: BTreeMap<String, String>,
}

/// Field by field what has to change so that `live` is as declared. Only what is declared is compared: other indexes,
/// aliases and settings are the operator's own.
pub fn plan(spec: &CollectionSpec, live: &Live) -> Vec<Change> {
    let want = declared(spec);
    let alias = spec.alias.as_deref().map(alias_of);
    let target = spec.alias.as_ref().and_then(|it| live.aliases.get(it));
    let Some(settings) = &live.collection else {
        let mut changes = Vec::new();
        if live.aliases.contains_key(&spec.collection) {
            changes.push(refuse_name(spec, live));
        } else {
            changes.push(Change {
                field: "collection".to_owned(),
                declared: spec.collection.clone(),
                live: None,
                effect: Effect::InPlace,
                reason: "is made, with all its indexes".to_owned(),
            });
        }
        changes.extend(compare_alias(spec, target));
        return changes;
    };
    want.into_iter()
        .filter_map(|(field, value)| {
            if alias.as_ref() == Some(&field) {
                return compare_alias(spec, target);
            }
            let is = settings.get(&field).cloned();
            let same = is.as_deref().unwrap_or(NOT_SET) == value;
            (!same).then(|| difference(spec, field, value, is))
        })
        .collect()
}

fn difference(
    spec: &CollectionSpec,
    field: String,
    declared: String,
    live: Option<String>,
) -> Change {
    let (effect, reason) = effect_of(&field, live.is_some());
    let reason = match effect {
        Effect::Refused => format!(
            "{field} is {declared} declared in {}, {} in collection {} on the cluster: {reason}",
            spec.file,
            live.as_deref().unwrap_or("not there"),
            spec.collection
        ),
        _ => reason.to_owned(),
    };
    Change {
        field,
        declared,
        live,
        effect,
        reason,
    }
}

/// What Qdrant does about a field that differs.
fn effect_of(field: &str, is_there: bool) -> (Effect, &'static str) {
    use Effect::{InPlace, Rebuild, Refused};
    let is_vector = field.starts_with("vectors.") || field.starts_with("sparse_vectors.");
    match field {
        "vectors.dense.size" | "vectors.dense.distance" if !is_there => (
            Refused,
            "it is not a collection of ours; declare another name",
        ),
        "sparse_vectors.bm25.modifier" if !is_there => (
            Refused,
            "a collection without these vectors is not ours, or of an old release; declare another name, apply, and \
             replay index into it",
        ),
        "vectors.dense.size" | "vectors.dense.distance" => (
            Refused,
            "its vectors are of another model; go on with that model, or declare another collection, apply, and replay \
             embed and index into it",
        ),
        "shard_number" => (
            Rebuild,
            "is fixed when a collection is made: its points are dropped and come back by replaying index",
        ),
        "replication_factor" => (
            InPlace,
            "holds for shards to come; copies of those that are there are added with Qdrant's replicate_shard",
        ),
        _ if field.starts_with(&index_of("")) && is_there => (
            Rebuild,
            "the index is dropped and built again: until then filters on it are refused",
        ),
        _ if field.starts_with(&index_of("")) => (InPlace, "is built in the background"),
        _ if is_vector && !field.ends_with(".modifier") => {
            (InPlace, "segments are written anew in the background")
        }
        _ => (InPlace, "takes effect at once"),
    }
}

fn compare_alias(spec: &CollectionSpec, target: Option<&String>) -> Option<Change> {
    let alias = spec.alias.as_ref()?;
    if target == Some(&spec.collection) {
        return None;
    }
    let (effect, reason) = match target {
        None => (Effect::InPlace, "is made"),
        Some(_) => (
            Effect::Rebuild,
            "readers see the other collection until this one is filled: replay index, then move the alias with \
             --rebuild",
        ),
    };
    Some(Change {
        field: alias_of(alias),
        declared: spec.collection.clone(),
        live: target.cloned(),
        effect,
        reason: reason.to_owned(),
    })
}

/// The collection's name is taken by an alias.
fn refuse_name(spec: &CollectionSpec, live: &Live) -> Change {
    let target = live.aliases.get(&spec.collection).cloned();
    Change {
        field: "collection".to_owned(),
        declared: spec.collection.clone(),
        effect: Effect::Refused,
        reason: format!(
            "collection {} is declared in {}, on the cluster that is an alias of collection {}: declare another name, \
             or drop the alias",
            spec.collection,
            spec.file,
            target.as_deref().unwrap_or_default()
        ),
        live: target,
    }
}
