//! An entity's fields, derived from what its visible mentions state.
//!
//! The entity keeps each field's value with the rank of the mention that states it best, so that most changes need a
//! look at one document's mentions only: all the others are read where the best one went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use neo4rs::{BoltMap, BoltType, Query};
use penstock_runtime::Failure;
use serde::Deserialize;
use uuid::Uuid;

use super::classify::Trouble;
use super::rows::{Rows, id_rows, json};
use super::statements::{LOCK_ENTITIES, PROPERTIES, SET_FACTS, STATED_ELSEWHERE};
use super::transaction::Transaction;
use crate::graph::rank;

/// By field: the rank, in hex digits that order as it does, and the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts(BTreeMap<String, (String, String)>);

/// What a mention states.
#[derive(Debug, Deserialize)]
pub(super) struct Stated {
    pub entity: Uuid,
    /// Whether readers see it once the transaction is done.
    pub shown: bool,
    pub version: Uuid,
    pub document: Uuid,
    pub part: i64,
    pub chunk_index: i64,
    pub start: i64,
    pub fields: String,
}

#[derive(Deserialize)]
struct Locked {
    id: Uuid,
    facts: Option<String>,
}

impl Facts {
    /// As it stands in the graph.
    pub fn read(facts: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = facts else {
            return Ok(Self::default());
        };
        serde_json::from_str(text).map(Self).map_err(|error| {
            Failure::fatal(format!(
                "an entity's facts in neo4j are not ours ({error}): who wrote to it? rebuild the graph"
            ))
        })
    }

    pub fn fields(&self) -> BTreeMap<String, String> {
        let fields = self.0.iter();
        fields
            .map(|(field, (_, value))| (field.clone(), value.clone()))
            .collect()
    }

    /// Keeps the better of two statements of each field.
    fn state(&mut self, stated: &Stated) -> Result<(), Failure> {
        let place = [stated.part, stated.chunk_index, stated.start];
        let rank = rank(stated.version, stated.document, place);
        let rank = rank.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let fields: BTreeMap<String, String> =
            serde_json::from_str(&stated.fields).map_err(|error| {
                Failure::fatal(format!(
                    "the fields of a mention in neo4j are not ours ({error}): who wrote to it? rebuild the graph"
                ))
            })?;
        for (field, value) in fields {
            match self.0.get(&field) {
                Some((best, _)) if *best <= rank => {}
                _ => drop(self.0.insert(field, (rank.clone(), value))),
            }
        }
        Ok(())
    }

    /// These, where `document` states `now` instead of what it stated before. None where that takes a look at what all
    /// the others state: the best statement of a field was this document's, and is gone.
    fn restated(&self, document: Uuid, now: &Self) -> Option<Self> {
        let own = document.simple().to_string();
        let mut facts = now.clone();
        for (field, (best, value)) in &self.0 {
            // Of the rank, the document's id stands behind the version's.
            let is_own = best.get(32..64) == Some(own.as_str());
            match facts.0.get(field) {
                Some((rank, _)) if rank <= best => {}
                _ if is_own => return None,
                _ => drop(facts.0.insert(field.clone(), (best.clone(), value.clone()))),
            }
        }
        Some(facts)
    }

    /// Properties that people query by: those that are stated, and null for those that are no more.
    fn properties(&self, before: &Self) -> BoltType {
        let mut map = BoltMap::default();
        for name in PROPERTIES {
            let value = self.0.get(name).map(|(_, value)| value.as_str());
            if value.is_some() || before.0.contains_key(name) {
                map.put(name.into(), value.into());
            }
        }
        BoltType::Map(map)
    }
}

/// Takes the locks of `entities`, in the order of their ids, and reads their facts. Entities that are gone are left
/// out.
pub(super) async fn lock(
    transaction: &mut Transaction<'_>,
    entities: &BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, Facts>, Trouble> {
    let mut all = BTreeMap::new();
    for ids in id_rows(entities).batches() {
        let query = Query::new(LOCK_ENTITIES.into()).param("ids", ids);
        for locked in transaction.rows::<Locked>(query).await? {
            all.insert(locked.id, Facts::read(locked.facts.as_deref())?);
        }
    }
    Ok(all)
}

/// Derives the facts of entities whose locks are held: `before` is what stands there, `stated` what visible mentions of
/// the document state from now on.
pub(super) async fn derive(
    transaction: &mut Transaction<'_>,
    document: Uuid,
    before: &BTreeMap<Uuid, Facts>,
    stated: &[Stated],
) -> Result<(), Trouble> {
    let mut own: BTreeMap<Uuid, Facts> = BTreeMap::new();
    for stated in stated.iter().filter(|it| it.shown) {
        own.entry(stated.entity).or_default().state(stated)?;
    }
    let mut derived = BTreeMap::new();
    let mut open = BTreeSet::new();
    for (entity, before) in before {
        let now = own.remove(entity).unwrap_or_default();
        match before.restated(document, &now) {
            Some(facts) => drop(derived.insert(*entity, facts)),
            None => {
                open.insert(*entity);
                derived.insert(*entity, now);
            }
        }
    }
    for ids in id_rows(&open).batches() {
        let query = Query::new(STATED_ELSEWHERE.into())
            .param("ids", ids)
            .param("document", document.to_string());
        transaction
            .each::<Stated>(query, |stated| {
                derived.entry(stated.entity).or_default().state(&stated)
            })
            .await?;
    }
    let mut rows = Rows::default();
    for (entity, facts) in &derived {
        let Some(before) = before.get(entity).filter(|before| *before != facts) else {
            continue;
        };
        let text = json(&facts.0)?;
        let size = text.len() * 2 + 50;
        let row = vec![
            entity.to_string().into(),
            text.into(),
            facts.properties(before),
        ];
        rows.push(row, size);
    }
    for rows in rows.batches() {
        transaction
            .run(Query::new(SET_FACTS.into()).param("rows", rows))
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(document: u128, version: u128, fields: &str) -> Facts {
        let mut facts = Facts::default();
        let fields: BTreeMap<&str, &str> = fields
            .split_terminator(',')
            .filter_map(|field| field.split_once('='))
            .collect();
        let stated = Stated {
            entity: Uuid::nil(),
            shown: true,
            version: Uuid::from_u128(version),
            document: Uuid::from_u128(document),
            part: 0,
            chunk_index: 1,
            start: 2,
            fields: json(&fields).unwrap(),
        };
        facts.state(&stated).unwrap();
        facts
    }

    #[test]
    fn most_changes_need_no_look_at_other_documents() {
        let check = |before: &Facts, now: &Facts, expect: Option<&str>| {
            let found = before.restated(Uuid::from_u128(1), now);
            let found = found.map(|it| {
                let fields: Vec<String> = it
                    .fields()
                    .iter()
                    .map(|(a, b)| format!("{a}={b}"))
                    .collect();
                fields.join(",")
            });
            assert_eq!(found.as_deref(), expect);
        };
        let (none, ours, theirs) = (
            Facts::default(),
            facts(1, 5, "status=ours"),
            facts(2, 7, "status=theirs"),
        );
        check(&none, &ours, Some("status=ours"));
        check(&theirs, &ours, Some("status=theirs"));
        check(&theirs, &facts(1, 9, "status=newer"), Some("status=newer"));
        check(&theirs, &none, Some("status=theirs"));
        check(&ours, &ours, Some("status=ours"));
        check(&ours, &facts(1, 6, "status=newer"), Some("status=newer"));
        check(&ours, &facts(1, 4, "status=older"), None);
        check(&ours, &facts(1, 6, "make=other"), None);
        check(&ours, &none, None);
        check(&none, &none, Some(""));
    }

    #[test]
    fn what_is_not_ours_is_said() {
        for text in ["", "[]", "{\"status\": \"open\"}", "{\"status\": [\"a\"]}"] {
            let failure = Facts::read(Some(text)).unwrap_err();
            assert_eq!(failure.class(), "fatal");
            assert!(failure.reason().contains("rebuild the graph"), "{failure}");
        }
        let ours = facts(1, 5, "status=ours");
        let again = Facts::read(Some(&json(&ours.0).unwrap())).unwrap();
        assert_eq!(again, ours);
        assert_eq!(Facts::read(None).unwrap(), Facts::default());
    }
}
