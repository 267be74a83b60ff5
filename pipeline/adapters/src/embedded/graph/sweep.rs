//! What no reader needs any more goes, and what it alone held up goes with it.

use std::collections::BTreeSet;

use libsql::params;
use penstock_runtime::Failure;
use uuid::Uuid;

use super::super::sql::{Db, id};
use super::show::{derive, entities_of};

/// Deletes the edition's chunks that are not in `chunks`.
pub(super) fn retain_chunks(
    db: &Db,
    document: Uuid,
    edition: Uuid,
    chunks: &[Uuid],
) -> Result<(), Failure> {
    let kept: BTreeSet<Uuid> = chunks.iter().copied().collect();
    let here = db.rows(
        "SELECT chunk FROM chunks WHERE document = ?1 AND edition = ?2",
        [id(document), id(edition)],
        |row| row.id(0),
    )?;
    let mentioned = db.prepare("SELECT DISTINCT entity FROM mentions WHERE chunk = ?1")?;
    let delete = db.prepare("DELETE FROM chunks WHERE chunk = ?1")?;
    let mut touched = BTreeSet::new();
    let mut gap = false;
    for chunk in here.into_iter().filter(|chunk| !kept.contains(chunk)) {
        touched.extend(mentioned.rows([id(chunk)], |row| row.id(0))?);
        // Its mentions, facts and NEXT go with it.
        delete.run([id(chunk)])?;
        gap = true;
    }
    if gap {
        forget_empty(db, document)?;
        derive(db, &touched)?;
    }
    Ok(())
}

/// Deletes what belongs to these editions of the document.
pub(super) fn drop_editions(db: &Db, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
    let mut touched = BTreeSet::new();
    for edition in editions.iter().copied() {
        touched.extend(entities_of(db, document, Some(edition))?);
        // Chunks before sections, which they refer to.
        for table in ["chunks", "sections", "editions"] {
            db.run(
                &format!("DELETE FROM {table} WHERE document = ?1 AND edition = ?2"),
                [id(document), id(edition)],
            )?;
        }
    }
    forget_empty(db, document)?;
    derive(db, &touched)
}

/// Deletes these chunks, of whichever documents.
pub(super) fn remove_chunks(db: &Db, chunks: &[Uuid]) -> Result<(), Failure> {
    let document = db.prepare("SELECT document FROM chunks WHERE chunk = ?1")?;
    let mentioned = db.prepare("SELECT DISTINCT entity FROM mentions WHERE chunk = ?1")?;
    let delete = db.prepare("DELETE FROM chunks WHERE chunk = ?1")?;
    let (mut touched, mut documents) = (BTreeSet::new(), BTreeSet::new());
    for chunk in chunks {
        touched.extend(mentioned.rows([id(*chunk)], |row| row.id(0))?);
        documents.extend(document.first([id(*chunk)], |row| row.id(0))?);
        delete.run([id(*chunk)])?;
    }
    for document in documents {
        forget_empty(db, document)?;
    }
    derive(db, &touched)
}

/// Deletes what `counts` finds dangling. From the edges to what they join: one may hold up the next.
pub(super) fn remove_dangling(db: &Db) -> Result<(), Failure> {
    for sql in [
        "DELETE FROM chunks WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.document = chunks.document)",
        "UPDATE chunks SET section = NULL WHERE section IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM sections s WHERE s.section = chunks.section)",
        "DELETE FROM next_chunks WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = next_chunks.chunk) \
         OR NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = next_chunks.following)",
        "DELETE FROM mentions WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = mentions.chunk) \
         OR NOT EXISTS (SELECT 1 FROM entities e WHERE e.entity = mentions.entity)",
        "DELETE FROM facts WHERE NOT EXISTS (SELECT 1 FROM mentions m WHERE m.entity = facts.entity AND m.chunk = facts.chunk)",
        "DELETE FROM entities WHERE NOT EXISTS (SELECT 1 FROM mentions m WHERE m.entity = entities.entity)",
        "DELETE FROM sections WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.section = sections.section)",
        "DELETE FROM documents WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.document = documents.document) \
         OR NOT EXISTS (SELECT 1 FROM sources s WHERE s.source = documents.source)",
        "DELETE FROM sources WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.source = sources.source) \
         AND NOT EXISTS (SELECT 1 FROM editions e WHERE e.source = sources.source)",
    ] {
        db.run(sql, ())?;
    }
    Ok(())
}

/// Drops sections, editions, the document and its source where nothing is left below them.
fn forget_empty(db: &Db, document: Uuid) -> Result<(), Failure> {
    for sql in [
        "DELETE FROM sections WHERE document = ?1 \
         AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.section = sections.section)",
        "DELETE FROM editions WHERE document = ?1 AND NOT EXISTS \
         (SELECT 1 FROM chunks c WHERE c.document = editions.document AND c.edition = editions.edition)",
        // A document whose visible edition is gone is as good as one never shown.
        "UPDATE documents SET edition = NULL, about = NULL WHERE document = ?1 AND edition IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM editions e WHERE e.document = documents.document AND e.edition = documents.edition)",
        "DELETE FROM documents WHERE document = ?1 \
         AND NOT EXISTS (SELECT 1 FROM editions e WHERE e.document = documents.document)",
    ] {
        db.run(sql, params![id(document)])?;
    }
    db.run(
        "DELETE FROM sources WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.source = sources.source) \
         AND NOT EXISTS (SELECT 1 FROM editions e WHERE e.source = sources.source)",
        (),
    )?;
    Ok(())
}
