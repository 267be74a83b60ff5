//! The visible graph, for comparisons. Records are taken one by one as they come.

use async_trait::async_trait;
use neo4rs::Query;
use penstock_runtime::Failure;
use penstock_schemas::About;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::classify::Trouble;
use super::facts::Facts;
use super::rows;
use super::transaction::{Transaction, Work};
use crate::graph::{ChunkKey, ChunkNode, Lines};

const DOCUMENTS: &str = "MATCH (d:Document) WHERE d.edition IS NOT NULL OPTIONAL MATCH (d)-[:FROM]->(s:Source) \
    RETURN d.document_guid AS document, d.group_guid AS group, d.about AS about, d.edition AS edition, \
    d.version AS version, d.stamped AS stamped, s.group_guid AS source_group, s.name AS source";

const SOURCES: &str = "MATCH (s:Source) WHERE EXISTS {(s)<-[:FROM]-(d:Document) WHERE d.edition IS NOT NULL} \
    RETURN s.group_guid AS group, s.name AS name";

const SECTIONS: &str = "MATCH (s:Section) WHERE EXISTS {(s)<-[:PART_OF]-(c:Chunk) WHERE c.visible} \
    RETURN s.section_guid AS section, s.document_guid AS document, s.edition AS edition, \
    s.heading_path AS heading_path, EXISTS {(s)-[:PART_OF]->(:Document)} AS placed";

const CHUNKS: &str = "MATCH (c:Chunk) WHERE c.visible OPTIONAL MATCH (c)-[:PART_OF]->(above) \
    RETURN c.document_guid AS document, c.part AS part, c.chunk_index AS ordinal, c.chunk_guid AS chunk, \
    c.edition AS edition, c.start_char AS start_char, c.end_char AS end_char, c.page_first AS page_first, \
    c.page_last AS page_last, c.content_hash AS content_hash, c.text AS text, above IS NOT NULL AS placed, \
    above.section_guid AS section, above.heading_path AS heading_path";

const ENTITIES: &str = "MATCH (e:Entity) WHERE EXISTS {(e)<-[:MENTIONS]-(c:Chunk) WHERE c.visible} \
    RETURN e.entity_guid AS entity, e.group_guid AS group, e.label AS label, e.normal_form AS normal_form, \
    e.facts AS facts";

const NEXT: &str = "MATCH (c:Chunk)-[:NEXT]->(f:Chunk) WHERE c.visible AND f.visible \
    RETURN c.document_guid AS document, c.part AS part, c.chunk_index AS ordinal, c.chunk_guid AS chunk, \
    f.document_guid AS to_document, f.part AS to_part, f.chunk_index AS to_ordinal, f.chunk_guid AS to_chunk";

const MENTIONS: &str = "MATCH (c:Chunk)-[m:MENTIONS]->(e:Entity) WHERE c.visible \
    RETURN c.document_guid AS document, c.part AS part, c.chunk_index AS ordinal, c.chunk_guid AS chunk, \
    e.entity_guid AS entity, m.start AS start, m.end AS end, m.passage AS passage, m.fields AS fields";

pub(super) struct Dump;

#[derive(Deserialize)]
struct Source {
    group: String,
    name: String,
}

#[derive(Deserialize)]
struct Document {
    document: Uuid,
    group: String,
    about: String,
    edition: Uuid,
    version: Uuid,
    stamped: i64,
    source_group: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Section {
    section: Uuid,
    document: Uuid,
    edition: Uuid,
    heading_path: Vec<String>,
    placed: bool,
}

#[derive(Deserialize)]
struct Chunk {
    document: Uuid,
    part: i64,
    ordinal: i64,
    chunk: Uuid,
    edition: Uuid,
    start_char: i64,
    end_char: i64,
    page_first: Option<i64>,
    page_last: Option<i64>,
    content_hash: String,
    text: String,
    placed: bool,
    section: Option<Uuid>,
    heading_path: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Entity {
    entity: Uuid,
    group: String,
    label: String,
    normal_form: String,
    facts: Option<String>,
}

#[derive(Deserialize)]
struct Next {
    document: Uuid,
    part: i64,
    ordinal: i64,
    chunk: Uuid,
    to_document: Uuid,
    to_part: i64,
    to_ordinal: i64,
    to_chunk: Uuid,
}

#[derive(Deserialize)]
struct Mention {
    document: Uuid,
    part: i64,
    ordinal: i64,
    chunk: Uuid,
    entity: Uuid,
    start: i64,
    end: i64,
    passage: String,
    fields: Option<String>,
}

#[async_trait]
impl Work for Dump {
    const DOING: &'static str = "dump";
    type Told = Vec<String>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        let mut lines = Lines::default();
        let ask = |statement: &str| Query::new(statement.into());
        transaction
            .long_each::<Source>(ask(SOURCES), |it| {
                lines.source(&it.group, &it.name);
                Ok(())
            })
            .await?;
        transaction
            .long_each(ask(DOCUMENTS), |it| document(&mut lines, &it))
            .await?;
        transaction
            .long_each(ask(SECTIONS), |it| section(&mut lines, &it))
            .await?;
        transaction
            .long_each(ask(CHUNKS), |it| chunk(&mut lines, it))
            .await?;
        transaction
            .long_each::<Entity>(ask(ENTITIES), |it| {
                let fields = json!(Facts::read(it.facts.as_deref())?.fields());
                lines.entity(it.entity, &it.group, &it.label, &it.normal_form, &fields);
                Ok(())
            })
            .await?;
        transaction
            .long_each::<Next>(ask(NEXT), |it| {
                let following = key(it.to_document, it.to_part, it.to_ordinal, it.to_chunk);
                lines.next(key(it.document, it.part, it.ordinal, it.chunk), following);
                Ok(())
            })
            .await?;
        transaction
            .long_each::<Mention>(ask(MENTIONS), |it| {
                let fields = it.fields.as_deref().unwrap_or("{}");
                let fields: Value =
                    serde_json::from_str(fields).map_err(|error| not_ours(&error))?;
                let key = key(it.document, it.part, it.ordinal, it.chunk);
                lines.mentions(key, it.entity, [it.start, it.end], &it.passage, &fields);
                Ok(())
            })
            .await?;
        Ok(lines.sorted())
    }
}

fn document(lines: &mut Lines, it: &Document) -> Result<(), Failure> {
    let about: About = serde_json::from_str(&it.about).map_err(|error| not_ours(&error))?;
    let shown = [it.edition, it.version];
    lines.document(it.document, &it.group, &about, shown, it.stamped);
    if let (Some(group), Some(source)) = (&it.source_group, &it.source) {
        lines.from(it.document, group, source);
    }
    Ok(())
}

fn section(lines: &mut Lines, it: &Section) -> Result<(), Failure> {
    let heading_path = rows::json(&it.heading_path)?;
    lines.section(it.document, &heading_path, it.section, it.edition);
    if it.placed {
        lines.section_part_of(it.document, &heading_path, it.section);
    }
    Ok(())
}

fn chunk(lines: &mut Lines, it: Chunk) -> Result<(), Failure> {
    let key = key(it.document, it.part, it.ordinal, it.chunk);
    let node = ChunkNode {
        edition: it.edition,
        start_char: it.start_char,
        end_char: it.end_char,
        page_first: it.page_first,
        page_last: it.page_last,
        content_hash: it.content_hash,
        text: it.text,
    };
    lines.chunk(key, &node);
    if it.placed {
        let heading_path = it.heading_path.as_ref().map(rows::json).transpose()?;
        lines.chunk_part_of(key, heading_path.as_deref().zip(it.section));
    }
    Ok(())
}

fn key(document: Uuid, part: i64, ordinal: i64, chunk: Uuid) -> ChunkKey {
    ChunkKey {
        document,
        part,
        ordinal,
        chunk,
    }
}

fn not_ours(error: &serde_json::Error) -> Failure {
    Failure::fatal(format!(
        "what stands in neo4j is not ours ({error}): who wrote to it? rebuild the graph"
    ))
}
