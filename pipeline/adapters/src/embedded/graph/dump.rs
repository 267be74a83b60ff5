//! The visible graph in a canonical order, for comparisons.

use penstock_runtime::Failure;
use penstock_schemas::About;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::sql::{Columns, Db};

/// One JSON object per visible node and edge. `key`, `from` and `to` are the same in every run over the same documents
/// and decide the order; what depends on the version, and so on the run, stands apart in `ids`, `edition`, `version`
/// and `stamped`.
pub(super) fn dump(db: &Db) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    nodes(db, &mut lines)?;
    edges(db, &mut lines)?;
    lines.sort();
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// What orders a line (nodes before edges, then kind, then keys), and the line.
type Line = ([String; 5], String);

fn nodes(db: &Db, lines: &mut Vec<Line>) -> Result<(), Failure> {
    let mut node = |label: &str, key: String, properties: Value| {
        let order = ["node", label, &key, "", ""].map(String::from);
        let line = json!({"node": label, "key": key, "properties": properties});
        lines.push((order, line.to_string()));
    };
    db.rows(
        "SELECT tenant, name FROM sources s WHERE EXISTS \
         (SELECT 1 FROM documents d WHERE d.source = s.source AND d.edition IS NOT NULL)",
        (),
        |row| {
            let (group, name) = (row.text(0)?, row.text(1)?);
            node(
                "Source",
                source_key(&group, &name),
                json!({"group": group, "name": name}),
            );
            Ok(())
        },
    )?;
    db.rows(
        "SELECT d.document, d.tenant, d.about, d.edition, e.version, e.stamped FROM documents d \
         JOIN editions e ON e.document = d.document AND e.edition = d.edition",
        (),
        |row| {
            let about: About = row.json(2)?;
            node(
                "Document",
                row.id(0)?.to_string(),
                json!({"group": row.text(1)?, "about": about, "edition": row.id(3)?, "version": row.id(4)?, "stamped": row.integer(5)?}),
            );
            Ok(())
        },
    )?;
    db.rows(
        "SELECT s.document, s.heading_path, s.section, s.edition FROM sections s WHERE EXISTS \
         (SELECT 1 FROM chunks c WHERE c.section = s.section AND c.visible = 1)",
        (),
        |row| {
            let heading_path: Vec<String> = row.json(1)?;
            node(
                "Section",
                section_key(row.id(0)?, &row.text(1)?),
                json!({"heading_path": heading_path, "ids": [row.id(2)?], "edition": row.id(3)?}),
            );
            Ok(())
        },
    )?;
    db.rows(
        "SELECT document, part, ordinal, chunk, edition, start_char, end_char, page_first, page_last, content_hash, text \
         FROM chunks WHERE visible = 1",
        (),
        |row| {
            node(
                "Chunk",
                chunk_key(row, 0)?,
                json!({
                    "ids": [row.id(3)?], "edition": row.id(4)?, "start_char": row.integer(5)?, "end_char": row.integer(6)?,
                    "page_first": row.maybe_integer(7)?, "page_last": row.maybe_integer(8)?, "content_hash": row.text(9)?,
                    "text": row.text(10)?,
                }),
            );
            Ok(())
        },
    )?;
    db.rows(
        "SELECT entity, tenant, label, normal_form, fields FROM entities e WHERE EXISTS \
         (SELECT 1 FROM mentions m JOIN chunks c ON c.chunk = m.chunk WHERE m.entity = e.entity AND c.visible = 1)",
        (),
        |row| {
            let fields: Value = row.json(4)?;
            node(
                "Entity",
                row.id(0)?.to_string(),
                json!({"group": row.text(1)?, "label": row.text(2)?, "normal_form": row.text(3)?, "fields": fields}),
            );
            Ok(())
        },
    )?;
    Ok(())
}

fn edges(db: &Db, lines: &mut Vec<Line>) -> Result<(), Failure> {
    let mut edge = |relation: &str, from: String, to: String, place: i64, properties: Value| {
        // "~" sorts behind "node".
        let order = ["~edge", relation, &from, &to, &format!("{place:020}")].map(String::from);
        let line = json!({"edge": relation, "from": from, "to": to, "properties": properties});
        lines.push((order, line.to_string()));
    };
    db.rows(
        "SELECT d.document, s.tenant, s.name FROM documents d JOIN sources s ON s.source = d.source \
         WHERE d.edition IS NOT NULL",
        (),
        |row| {
            let to = source_key(&row.text(1)?, &row.text(2)?);
            edge("FROM", row.id(0)?.to_string(), to, 0, json!({}));
            Ok(())
        },
    )?;
    db.rows(
        "SELECT s.document, s.heading_path, s.section FROM sections s WHERE EXISTS \
         (SELECT 1 FROM chunks c WHERE c.section = s.section AND c.visible = 1)",
        (),
        |row| {
            let document = row.id(0)?;
            let from = section_key(document, &row.text(1)?);
            edge(
                "PART_OF",
                from,
                document.to_string(),
                0,
                json!({"ids": [row.id(2)?, document]}),
            );
            Ok(())
        },
    )?;
    db.rows(
        "SELECT c.document, c.part, c.ordinal, c.chunk, s.section, s.heading_path FROM chunks c \
         LEFT JOIN sections s ON s.section = c.section WHERE c.visible = 1",
        (),
        |row| {
            let document = row.id(0)?;
            let section = row.maybe_id(4)?;
            let to = match section {
                Some(_) => section_key(document, &row.text(5)?),
                None => document.to_string(),
            };
            let ids = json!({"ids": [row.id(3)?, section.unwrap_or(document)]});
            edge("PART_OF", chunk_key(row, 0)?, to, 0, ids);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT a.document, a.part, a.ordinal, b.document, b.part, b.ordinal, a.chunk, b.chunk FROM next_chunks n \
         JOIN chunks a ON a.chunk = n.chunk JOIN chunks b ON b.chunk = n.following WHERE a.visible = 1 AND b.visible = 1",
        (),
        |row| {
            let ids = json!({"ids": [row.id(6)?, row.id(7)?]});
            edge("NEXT", chunk_key(row, 0)?, chunk_key(row, 3)?, 0, ids);
            Ok(())
        },
    )?;
    db.rows(
        "SELECT c.document, c.part, c.ordinal, c.chunk, m.entity, m.start_char, m.end_char, m.passage, m.fields \
         FROM mentions m JOIN chunks c ON c.chunk = m.chunk WHERE c.visible = 1",
        (),
        |row| {
            let (entity, start) = (row.id(4)?, row.integer(5)?);
            let fields: Value = row.json(8)?;
            edge(
                "MENTIONS",
                chunk_key(row, 0)?,
                entity.to_string(),
                start,
                json!({
                    "ids": [row.id(3)?, entity], "start": start, "end": row.integer(6)?, "passage": row.text(7)?, "fields": fields,
                }),
            );
            Ok(())
        },
    )?;
    Ok(())
}

fn source_key(group: &str, name: &str) -> String {
    format!("{group}/{name}")
}

fn section_key(document: Uuid, heading_path: &str) -> String {
    format!("{document}/{heading_path}")
}

/// Document, part and ordinal, which stand in this order from `column` on.
fn chunk_key(row: &Columns, column: i32) -> Result<String, Failure> {
    let document = row.id(column)?;
    let part = row.integer(column + 1)?;
    let ordinal = row.integer(column + 2)?;
    Ok(format!("{document}/{part:06}/{ordinal:06}"))
}
