//! Chunks and their mentions into the graph, invisible.

use libsql::params;
use penstock_runtime::Failure;
use penstock_schemas::{Chunk, entity_guid};
use penstock_stages::link::Linked;

use super::super::sql::{Db, Prepared, id, json};
use crate::graph::section_guid;

/// Merges `rows`. A chunk that is there stays as it is, with its mentions: ids are derived from content, so it is the
/// same, and what readers see never changes under them.
pub(super) fn write(db: &Db, rows: &[Linked]) -> Result<(), Failure> {
    let insert = Inserts::prepare(db)?;
    for row in rows {
        insert.edition(&row.chunk)?;
        if insert.chunk(&row.chunk)? {
            insert.mentions(row)?;
        }
    }
    Ok(())
}

/// One prepared statement per table, used for every row.
struct Inserts<'a> {
    source: Prepared<'a>,
    document: Prepared<'a>,
    tenant: Prepared<'a>,
    edition: Prepared<'a>,
    part: Prepared<'a>,
    section: Prepared<'a>,
    chunk: Prepared<'a>,
    entity: Prepared<'a>,
    mention: Prepared<'a>,
}

impl<'a> Inserts<'a> {
    fn prepare(db: &'a Db) -> Result<Self, Failure> {
        Ok(Self {
            source: db.prepare(
                "INSERT INTO sources (tenant, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?,
            document: db.prepare(
                "INSERT INTO documents (document, tenant, source) \
                 SELECT ?1, ?2, source FROM sources WHERE tenant = ?2 AND name = ?3 ON CONFLICT DO NOTHING",
            )?,
            tenant: db.prepare("SELECT tenant FROM documents WHERE document = ?1")?,
            edition: db.prepare(
                "INSERT INTO editions (document, edition, version, stamped, source) \
                 SELECT ?1, ?2, ?3, ?4, source FROM sources WHERE tenant = ?5 AND name = ?6 ON CONFLICT DO NOTHING",
            )?,
            // Chunks of one part agree; should they not, the result must still not depend on who came first.
            part: db.prepare(
                "INSERT INTO parts (document, edition, part, about) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET about = max(about, excluded.about)",
            )?,
            section: db.prepare(
                "INSERT INTO sections (section, document, edition, heading_path) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO NOTHING",
            )?,
            chunk: db.prepare(
                "INSERT INTO chunks (chunk, document, edition, section, part, ordinal, start_char, end_char, page_first, \
                 page_last, content_hash, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
                 ON CONFLICT DO NOTHING",
            )?,
            entity: db.prepare(
                "INSERT INTO entities (entity, tenant, label, normal_form) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?,
            mention: db.prepare(
                "INSERT INTO mentions (chunk, entity, start_char, end_char, passage, fields) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?,
        })
    }

    /// The source, document, edition and part that `chunk` belongs to.
    fn edition(&self, chunk: &Chunk) -> Result<(), Failure> {
        let lineage = &chunk.lineage;
        let document = id(lineage.document_guid);
        let source = &chunk.about.source;
        self.source
            .run(params![lineage.group.as_str(), source.as_str()])?;
        self.document.run(params![
            document.clone(),
            lineage.group.as_str(),
            source.as_str()
        ])?;
        let owner = self.tenant.first([document.clone()], |row| row.text(0))?;
        if owner.as_ref() != Some(&lineage.group) {
            return Err(Failure::poison(format!(
                "document {} belongs to another group than {}: give it an id of its own",
                lineage.document_guid, lineage.group
            )));
        }
        self.edition.run(params![
            document.clone(),
            id(lineage.edition),
            id(lineage.version),
            lineage.stamped,
            lineage.group.as_str(),
            source.as_str()
        ])?;
        self.part.run(params![
            document,
            id(lineage.edition),
            chunk.part,
            json(&chunk.about)?
        ])?;
        Ok(())
    }

    /// False where the chunk was there.
    fn chunk(&self, chunk: &Chunk) -> Result<bool, Failure> {
        let document = id(chunk.lineage.document_guid);
        let edition = id(chunk.lineage.edition);
        let section = if chunk.heading_path.is_empty() {
            None
        } else {
            let heading_path = json(&chunk.heading_path)?;
            let section = id(section_guid(chunk.lineage.edition, &heading_path));
            self.section.run(params![
                section.clone(),
                document.clone(),
                edition.clone(),
                heading_path
            ])?;
            Some(section)
        };
        let inserted = self.chunk.run(params![
            id(chunk.chunk_guid),
            document,
            edition,
            section,
            chunk.part,
            chunk.ordinal,
            chunk.start_char,
            chunk.end_char,
            chunk.page_first,
            chunk.page_last,
            chunk.content_hash.as_str(),
            chunk.text.as_str()
        ])?;
        Ok(inserted == 1)
    }

    fn mentions(&self, row: &Linked) -> Result<(), Failure> {
        let group = &row.chunk.lineage.group;
        for mention in &row.mentions {
            let entity = id(entity_guid(group, &mention.label, &mention.normal_form));
            self.entity.run(params![
                entity.clone(),
                group.as_str(),
                mention.label.as_str(),
                mention.normal_form.as_str()
            ])?;
            self.mention.run(params![
                id(row.chunk.chunk_guid),
                entity,
                mention.start as i64,
                mention.end as i64,
                mention.passage.as_str(),
                json(&mention.fields)?
            ])?;
        }
        Ok(())
    }
}
