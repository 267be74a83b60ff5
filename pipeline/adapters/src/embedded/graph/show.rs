//! An edition becomes the one readers see.

use std::collections::{BTreeMap, BTreeSet};

use libsql::params;
use penstock_runtime::Failure;
use uuid::Uuid;

use super::super::sql::{Db, id, json};
use crate::graph::rank;

/// Shows `edition`: its chunks visible and joined by NEXT along `order`, every other edition's hidden, the document's
/// properties its own, and the fields of every entity involved derived anew. An edition that is older than the one
/// shown is left hidden. Chunks that `order` names and the graph lacks are passed over; `audit` reports them.
pub(super) fn show(db: &Db, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
    if !may_show(db, document, edition)? {
        return Ok(());
    }
    let mut touched = entities_of(db, document, Some(edition))?;
    touched.extend(entities_of_visible(db, document)?);

    db.run(
        "DELETE FROM facts WHERE chunk IN (SELECT chunk FROM chunks WHERE document = ?1 AND visible = 1)",
        [id(document)],
    )?;
    db.run(
        "UPDATE chunks SET visible = (edition = ?2) WHERE document = ?1 AND visible <> (edition = ?2)",
        [id(document), id(edition)],
    )?;
    state_facts(db, document, edition)?;
    join(db, document, edition, order)?;
    db.run(
        "UPDATE documents SET edition = ?2, \
           source = (SELECT source FROM editions WHERE document = ?1 AND edition = ?2), \
           about = (SELECT about FROM parts WHERE document = ?1 AND edition = ?2 ORDER BY part LIMIT 1) \
         WHERE document = ?1",
        [id(document), id(edition)],
    )?;
    derive(db, &touched)
}

/// False where the edition is not here, or a newer one is shown.
fn may_show(db: &Db, document: Uuid, edition: Uuid) -> Result<bool, Failure> {
    let wanted = db.rows(
        "SELECT 1 FROM editions e WHERE e.document = ?1 AND e.edition = ?2 AND NOT EXISTS ( \
           SELECT 1 FROM documents d JOIN editions s ON s.document = d.document AND s.edition = d.edition \
           WHERE d.document = e.document AND (s.version, s.stamped) > (e.version, e.stamped))",
        [id(document), id(edition)],
        |row| row.integer(0),
    )?;
    Ok(!wanted.is_empty())
}

/// Entities mentioned by an edition of the document, or by all of them.
pub(super) fn entities_of(
    db: &Db,
    document: Uuid,
    edition: Option<Uuid>,
) -> Result<BTreeSet<Uuid>, Failure> {
    let found = db.rows(
        "SELECT DISTINCT m.entity FROM chunks c JOIN mentions m ON m.chunk = c.chunk \
         WHERE c.document = ?1 AND (?2 IS NULL OR c.edition = ?2)",
        params![id(document), edition.map(id)],
        |row| row.id(0),
    )?;
    Ok(found.into_iter().collect())
}

fn entities_of_visible(db: &Db, document: Uuid) -> Result<Vec<Uuid>, Failure> {
    db.rows(
        "SELECT DISTINCT m.entity FROM chunks c JOIN mentions m ON m.chunk = c.chunk \
         WHERE c.document = ?1 AND c.visible = 1",
        [id(document)],
        |row| row.id(0),
    )
}

/// What the edition's mentions state, as facts.
fn state_facts(db: &Db, document: Uuid, edition: Uuid) -> Result<(), Failure> {
    let stated = db.rows(
        "SELECT m.entity, m.chunk, m.fields, e.version, c.part, c.ordinal, m.start_char \
         FROM chunks c JOIN mentions m ON m.chunk = c.chunk \
         JOIN editions e ON e.document = c.document AND e.edition = c.edition \
         WHERE c.document = ?1 AND c.edition = ?2 AND m.fields <> '{}'",
        [id(document), id(edition)],
        |row| {
            let place = [row.integer(4)?, row.integer(5)?, row.integer(6)?];
            let rank = rank(row.id(3)?, document, place);
            let fields: BTreeMap<String, String> = row.json(2)?;
            Ok((row.id(0)?, row.id(1)?, rank, fields))
        },
    )?;
    let insert = db.prepare(
        "INSERT INTO facts (entity, field, rank, value, chunk) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET value = excluded.value, chunk = excluded.chunk",
    )?;
    for (entity, chunk, rank, fields) in stated {
        for (field, value) in fields {
            insert.run(params![id(entity), field, rank.clone(), value, id(chunk)])?;
        }
    }
    Ok(())
}

/// NEXT along `order`.
fn join(db: &Db, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
    db.run(
        "DELETE FROM next_chunks WHERE chunk IN (SELECT chunk FROM chunks WHERE document = ?1)",
        [id(document)],
    )?;
    let mut here: BTreeSet<Uuid> = db
        .rows(
            "SELECT chunk FROM chunks WHERE document = ?1 AND edition = ?2",
            [id(document), id(edition)],
            |row| row.id(0),
        )?
        .into_iter()
        .collect();
    let insert = db.prepare("INSERT INTO next_chunks (chunk, following) VALUES (?1, ?2)")?;
    let mut before: Option<Uuid> = None;
    for chunk in order {
        // Taking it out also makes sure that a chunk named twice is joined once.
        if !here.remove(chunk) {
            continue;
        }
        if let Some(before) = before {
            insert.run([id(before), id(*chunk)])?;
        }
        before = Some(*chunk);
    }
    Ok(())
}

/// Derives the fields of `entities` from what visible mentions state, and drops those that nothing mentions.
pub(super) fn derive(db: &Db, entities: &BTreeSet<Uuid>) -> Result<(), Failure> {
    let drop = db.prepare(
        "DELETE FROM entities WHERE entity = ?1 AND NOT EXISTS (SELECT 1 FROM mentions WHERE entity = ?1)",
    )?;
    // One seek per field, however often it is stated.
    let best = db.prepare(
        "SELECT field, value FROM facts WHERE entity = ?1 AND field > ?2 ORDER BY field, rank LIMIT 1",
    )?;
    let update =
        db.prepare("UPDATE entities SET fields = ?2 WHERE entity = ?1 AND fields <> ?2")?;
    for entity in entities {
        if drop.run([id(*entity)])? == 1 {
            continue;
        }
        let mut fields = BTreeMap::new();
        let mut last = String::new();
        while let Some((field, value)) = best.first(params![id(*entity), last.as_str()], |row| {
            Ok((row.text(0)?, row.text(1)?))
        })? {
            last.clone_from(&field);
            fields.insert(field, value);
        }
        update.run(params![id(*entity), json(&fields)?])?;
    }
    Ok(())
}
