//! What the graph says: to `query`, to `audit`, and to comparisons.

use libsql::params;
use penstock_runtime::Failure;
use penstock_schemas::About;
use penstock_stages::link::{ChunkRef, GraphCounts, Neighbour};
use penstock_stages::scope::Scope;
use uuid::Uuid;

use super::super::sql::{Columns, Db, Prepared, id};
use crate::graph::{excerpt, plain};

pub(super) fn neighbours(db: &Db, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
    let reads = Reads::prepare(db)?;
    chunks.iter().map(|chunk| reads.of(*chunk)).collect()
}

struct Reads<'a> {
    place: Prepared<'a>,
    next: Prepared<'a>,
    mentions: Prepared<'a>,
}

impl<'a> Reads<'a> {
    fn prepare(db: &'a Db) -> Result<Self, Failure> {
        Ok(Self {
            place: db.prepare(
                "SELECT s.heading_path, d.about FROM chunks c \
                 JOIN documents d ON d.document = c.document AND d.edition = c.edition \
                 LEFT JOIN sections s ON s.section = c.section WHERE c.chunk = ?1 AND c.visible = 1",
            )?,
            next: db.prepare(
                "SELECT 0, c.text FROM next_chunks n JOIN chunks c ON c.chunk = n.chunk WHERE n.following = ?1 AND c.visible = 1 \
                 UNION ALL \
                 SELECT 1, c.text FROM next_chunks n JOIN chunks c ON c.chunk = n.following WHERE n.chunk = ?1 AND c.visible = 1 \
                 ORDER BY 1",
            )?,
            mentions: db.prepare(
                "SELECT e.label, e.normal_form, e.fields FROM mentions m JOIN entities e ON e.entity = m.entity \
                 WHERE m.chunk = ?1 GROUP BY e.entity ORDER BY min(m.start_char), e.label, e.normal_form",
            )?,
        })
    }

    /// None of a chunk that readers do not see.
    fn of(&self, chunk: Uuid) -> Result<Vec<Neighbour>, Failure> {
        let place = self.place.first([id(chunk)], |row| {
            let about: About = row.json(1)?;
            let heading_path: Option<Vec<String>> = row.maybe_json(0)?;
            Ok((heading_path, about))
        })?;
        let Some((heading_path, about)) = place else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        if let Some(heading_path) = heading_path {
            found.push(plain("PART_OF", "Section", heading_path.join(" > ")));
        }
        let title = about.title.filter(|title| !title.trim().is_empty());
        found.push(plain("PART_OF", "Document", title.unwrap_or(about.path)));
        found.push(plain("FROM", "Source", about.source));
        found.extend(self.next.rows([id(chunk)], |row| {
            Ok(plain("NEXT", "Chunk", excerpt(&row.text(1)?)))
        })?);
        found.extend(self.mentions.rows([id(chunk)], |row| {
            Ok(Neighbour {
                relation: "MENTIONS".into(),
                label: row.text(0)?,
                name: row.text(1)?,
                fields: row.json(2)?,
            })
        })?);
        Ok(found)
    }
}

pub(super) fn scroll(db: &Db, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.rows(
        "SELECT c.chunk, c.document, c.edition, c.visible, e.version, coalesce(d.tenant, ''), c.part, c.ordinal, c.content_hash \
         FROM chunks c LEFT JOIN editions e ON e.document = c.document AND e.edition = c.edition \
         LEFT JOIN documents d ON d.document = c.document \
         WHERE ?1 IS NULL OR c.chunk > ?1 ORDER BY c.chunk LIMIT ?2",
        params![after.map(id), limit],
        |row: &Columns| {
            Ok(ChunkRef {
                chunk_guid: row.id(0)?,
                document_guid: row.id(1)?,
                edition: row.id(2)?,
                version: row.maybe_id(4)?.unwrap_or_default(),
                group: row.text(5)?,
                visible: row.integer(3)? == 1,
                part: i32::try_from(row.integer(6)?).unwrap_or(-1),
                ordinal: i32::try_from(row.integer(7)?).unwrap_or(-1),
                content_hash: row.text(8)?,
            })
        },
    )
}

pub(super) fn count_of(db: &Db, scope: &Scope) -> Result<u64, Failure> {
    let found = match scope {
        Scope::Document(document) => db.rows(
            "SELECT count(*) FROM documents WHERE document = ?1 UNION ALL \
             SELECT count(*) FROM sections WHERE document = ?1 UNION ALL SELECT count(*) FROM chunks WHERE document = ?1",
            [id(*document)],
            |row| row.integer(0),
        ),
        Scope::Group(name) => db.rows(
            "SELECT count(*) FROM sources WHERE tenant = ?1 UNION ALL SELECT count(*) FROM entities WHERE tenant = ?1 \
             UNION ALL SELECT count(*) FROM documents WHERE tenant = ?1 \
             UNION ALL SELECT count(*) FROM sections s JOIN documents d ON d.document = s.document WHERE d.tenant = ?1 \
             UNION ALL SELECT count(*) FROM chunks c JOIN documents d ON d.document = c.document WHERE d.tenant = ?1",
            params![name.as_str()],
            |row| row.integer(0),
        ),
    };
    Ok(u64::try_from(found?.into_iter().sum::<i64>()).unwrap_or(0))
}

pub(super) fn counts(db: &Db) -> Result<GraphCounts, Failure> {
    let count = |sql: &str| -> Result<u64, Failure> {
        let total: i64 = db.rows(sql, (), |row| row.integer(0))?.into_iter().sum();
        Ok(u64::try_from(total).unwrap_or(0))
    };
    Ok(GraphCounts {
        nodes: count(
            "SELECT count(*) FROM sources UNION ALL SELECT count(*) FROM documents UNION ALL \
             SELECT count(*) FROM sections UNION ALL SELECT count(*) FROM chunks UNION ALL SELECT count(*) FROM entities",
        )?,
        // FROM of documents, PART_OF of sections and chunks, NEXT, MENTIONS.
        edges: count(
            "SELECT count(*) FROM documents UNION ALL SELECT count(*) FROM sections UNION ALL SELECT count(*) FROM chunks \
             UNION ALL SELECT count(*) FROM next_chunks UNION ALL SELECT count(*) FROM mentions",
        )?,
        dangling: count(DANGLING)?,
        entities: count(
            "SELECT count(*) FROM entities e WHERE EXISTS \
             (SELECT 1 FROM mentions m JOIN chunks c ON c.chunk = m.chunk WHERE m.entity = e.entity AND c.visible = 1)",
        )?,
    })
}

/// The constraints forbid most of these; they are looked for all the same.
const DANGLING: &str = "\
SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.source = d.source) \
UNION ALL SELECT count(*) FROM sections s WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.document = s.document) \
UNION ALL SELECT count(*) FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.document = c.document) \
UNION ALL SELECT count(*) FROM chunks c WHERE c.section IS NOT NULL \
  AND NOT EXISTS (SELECT 1 FROM sections s WHERE s.section = c.section) \
UNION ALL SELECT count(*) FROM next_chunks n WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = n.chunk) \
UNION ALL SELECT count(*) FROM next_chunks n WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = n.following) \
UNION ALL SELECT count(*) FROM mentions m WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.chunk = m.chunk) \
UNION ALL SELECT count(*) FROM mentions m WHERE NOT EXISTS (SELECT 1 FROM entities e WHERE e.entity = m.entity) \
UNION ALL SELECT count(*) FROM entities e WHERE NOT EXISTS (SELECT 1 FROM mentions m WHERE m.entity = e.entity) \
UNION ALL SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.document = d.document) \
UNION ALL SELECT count(*) FROM sections s WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.section = s.section)";

pub(super) fn health(db: &Db) -> Result<String, Failure> {
    let one = |sql: &str| -> Result<i64, Failure> {
        Ok(db
            .rows(sql, (), |row| row.integer(0))?
            .into_iter()
            .next()
            .unwrap_or(0))
    };
    let bytes = one("PRAGMA page_count")?.saturating_mul(one("PRAGMA page_size")?);
    Ok(format!(
        "SQLite at {}, {:.1} MB, {} chunks, {} entities",
        db.file().display(),
        bytes as f64 / 1e6,
        one("SELECT count(*) FROM chunks")?,
        one("SELECT count(*) FROM entities")?
    ))
}
