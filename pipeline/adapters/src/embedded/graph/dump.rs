//! The visible graph, for comparisons.

use penstock_runtime::Failure;
use penstock_schemas::About;
use serde_json::Value;

use super::super::sql::{Columns, Db};
use crate::graph::{ChunkKey, ChunkNode, Lines};

pub(super) fn dump(db: &Db) -> Result<Vec<String>, Failure> {
    let mut lines = Lines::default();
    nodes(db, &mut lines)?;
    edges(db, &mut lines)?;
    Ok(lines.sorted())
}

fn nodes(db: &Db, lines: &mut Lines) -> Result<(), Failure> {
    db.rows(
        "SELECT tenant, name FROM sources s WHERE EXISTS \
         (SELECT 1 FROM documents d WHERE d.source = s.source AND d.edition IS NOT NULL)",
        (),
        |row| {
            lines.source(&row.text(0)?, &row.text(1)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT d.document, d.tenant, d.about, d.edition, e.version, e.stamped FROM documents d \
         JOIN editions e ON e.document = d.document AND e.edition = d.edition",
        (),
        |row| {
            let about: About = row.json(2)?;
            let shown = [row.id(3)?, row.id(4)?];
            lines.document(row.id(0)?, &row.text(1)?, &about, shown, row.integer(5)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT s.document, s.heading_path, s.section, s.edition FROM sections s WHERE EXISTS \
         (SELECT 1 FROM chunks c WHERE c.section = s.section AND c.visible = 1)",
        (),
        |row| {
            lines.section(row.id(0)?, &row.text(1)?, row.id(2)?, row.id(3)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT document, part, ordinal, chunk, edition, start_char, end_char, page_first, page_last, content_hash, text \
         FROM chunks WHERE visible = 1",
        (),
        |row| {
            let node = ChunkNode {
                edition: row.id(4)?,
                start_char: row.integer(5)?,
                end_char: row.integer(6)?,
                page_first: row.maybe_integer(7)?,
                page_last: row.maybe_integer(8)?,
                content_hash: row.text(9)?,
                text: row.text(10)?,
            };
            lines.chunk(chunk_key(row, 0)?, &node);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT entity, tenant, label, normal_form, fields FROM entities e WHERE EXISTS \
         (SELECT 1 FROM mentions m JOIN chunks c ON c.chunk = m.chunk WHERE m.entity = e.entity AND c.visible = 1)",
        (),
        |row| {
            let fields: Value = row.json(4)?;
            lines.entity(row.id(0)?, &row.text(1)?, &row.text(2)?, &row.text(3)?, &fields);
            Ok(())
        },
    )?;
    Ok(())
}

fn edges(db: &Db, lines: &mut Lines) -> Result<(), Failure> {
    db.rows(
        "SELECT d.document, s.tenant, s.name FROM documents d JOIN sources s ON s.source = d.source \
         WHERE d.edition IS NOT NULL",
        (),
        |row| {
            lines.from(row.id(0)?, &row.text(1)?, &row.text(2)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT s.document, s.heading_path, s.section FROM sections s WHERE EXISTS \
         (SELECT 1 FROM chunks c WHERE c.section = s.section AND c.visible = 1)",
        (),
        |row| {
            lines.section_part_of(row.id(0)?, &row.text(1)?, row.id(2)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT c.document, c.part, c.ordinal, c.chunk, s.section, s.heading_path FROM chunks c \
         LEFT JOIN sections s ON s.section = c.section WHERE c.visible = 1",
        (),
        |row| {
            let heading_path;
            let section = match row.maybe_id(4)? {
                Some(section) => {
                    heading_path = row.text(5)?;
                    Some((heading_path.as_str(), section))
                }
                None => None,
            };
            lines.chunk_part_of(chunk_key(row, 0)?, section);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT a.document, a.part, a.ordinal, a.chunk, b.document, b.part, b.ordinal, b.chunk FROM next_chunks n \
         JOIN chunks a ON a.chunk = n.chunk JOIN chunks b ON b.chunk = n.following WHERE a.visible = 1 AND b.visible = 1",
        (),
        |row| {
            lines.next(chunk_key(row, 0)?, chunk_key(row, 4)?);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT c.document, c.part, c.ordinal, c.chunk, m.entity, m.start_char, m.end_char, m.passage, m.fields \
         FROM mentions m JOIN chunks c ON c.chunk = m.chunk WHERE c.visible = 1",
        (),
        |row| {
            let fields: Value = row.json(8)?;
            let place = [row.integer(5)?, row.integer(6)?];
            lines.mentions(chunk_key(row, 0)?, row.id(4)?, place, &row.text(7)?, &fields);
            Ok(())
        },
    )?;
    Ok(())
}

/// Document, part, ordinal and id, which stand in this order from `column` on.
fn chunk_key(row: &Columns, column: i32) -> Result<ChunkKey, Failure> {
    Ok(ChunkKey {
        document: row.id(column)?,
        part: row.integer(column + 1)?,
        ordinal: row.integer(column + 2)?,
        chunk: row.id(column + 3)?,
    })
}
