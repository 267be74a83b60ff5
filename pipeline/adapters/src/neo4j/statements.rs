//! Every statement the adapter sends. Text never becomes part of one: values are parameters, and the only words put in
//! are labels of the list below. A statement takes its rows from one UNWIND and finds nodes by their ids alone, which
//! the schema declares unique.

/// Second labels of entities, as `schemas/entities` has them.
pub(super) const LABELS: [&str; 9] = [
    "Customer",
    "Date",
    "Driver",
    "Email",
    "Equipment",
    "Invoice",
    "Load",
    "Money",
    "Organisation",
];

/// Fields of entities that are properties too, for people and their queries; `facts` holds all of them, with what
/// decided.
pub(super) const PROPERTIES: [&str; 17] = [
    "amount",
    "contact_email",
    "credit_limit",
    "delivery_location",
    "employee_id",
    "equipment_number",
    "equipment_type",
    "invoice_date",
    "invoice_number",
    "license_number",
    "load_number",
    "make",
    "model",
    "name",
    "payment_terms",
    "pickup_location",
    "status",
];

/// Who takes writes, in the words of any server of a cluster.
pub(super) const WRITERS: &str = "CALL dbms.routing.getRoutingTable({}, $database) YIELD servers \
    UNWIND servers AS server WITH server WHERE server.role = 'WRITE' RETURN server.addresses AS addresses";

// Write. Nodes first that others need, and what many writers share last: the shorter a lock is held, the fewer wait.

/// What of a batch is there.
pub(super) const KNOWN: &str = "\
    UNWIND $documents AS id MATCH (d:Document {document_guid: id}) RETURN 'document' AS kind, id, d.group_guid AS group \
    UNION ALL UNWIND $chunks AS id MATCH (c:Chunk {chunk_guid: id}) RETURN 'chunk' AS kind, id, null AS group \
    UNION ALL UNWIND $entities AS id MATCH (e:Entity {entity_guid: id}) RETURN 'entity' AS kind, id, null AS group";

pub(super) const DOCUMENTS: &str = "\
    UNWIND $rows AS row MERGE (d:Document {document_guid: row[0]}) ON CREATE SET d.group_guid = row[1] \
    RETURN d.document_guid AS id, d.group_guid AS group, EXISTS {(d)-[:FROM]->()} AS placed";

pub(super) const SECTIONS: &str = "\
    UNWIND $rows AS row MERGE (s:Section {section_guid: row[0]}) \
    ON CREATE SET s.document_guid = row[1], s.edition = row[2], s.heading_path = row[3] \
    WITH s, row WHERE NOT EXISTS {(s)-[:PART_OF]->()} \
    MATCH (d:Document {document_guid: row[1]}) CREATE (s)-[:PART_OF]->(d)";

/// Chunks under a heading. What all chunks of a part share stands once, in `$parts`.
pub(super) const CHUNKS_OF_SECTIONS: &str = "\
    UNWIND $rows AS row WITH row, $parts[row[1]] AS part MATCH (above:Section {section_guid: row[0]}) \
    CREATE (c:Chunk {chunk_guid: row[2], document_guid: part[0], group_guid: part[1], edition: part[2], \
    version: part[3], stamped: part[4], about: part[5], part: row[3], chunk_index: row[4], start_char: row[5], \
    end_char: row[6], page_first: row[7], page_last: row[8], content_hash: row[9], text: row[10], visible: false})\
    -[:PART_OF]->(above) RETURN count(*) AS count";

/// Chunks under none.
pub(super) const CHUNKS_OF_DOCUMENTS: &str = "\
    UNWIND $rows AS row WITH row, $parts[row[1]] AS part MATCH (above:Document {document_guid: row[0]}) \
    CREATE (c:Chunk {chunk_guid: row[2], document_guid: part[0], group_guid: part[1], edition: part[2], \
    version: part[3], stamped: part[4], about: part[5], part: row[3], chunk_index: row[4], start_char: row[5], \
    end_char: row[6], page_first: row[7], page_last: row[8], content_hash: row[9], text: row[10], visible: false})\
    -[:PART_OF]->(above) RETURN count(*) AS count";

/// Entities of one label, which is one of `LABELS`.
pub(super) fn entities(label: &str) -> String {
    format!(
        "UNWIND $rows AS row MERGE (e:Entity {{entity_guid: row[0]}}) \
         ON CREATE SET e:{label}, e.label = '{label}', e.group_guid = row[1], e.normal_form = row[2]"
    )
}

/// The chunks are new, so that their mentions are too.
pub(super) const MENTIONS: &str = "\
    UNWIND $rows AS row MATCH (c:Chunk {chunk_guid: row[0]}) MATCH (e:Entity {entity_guid: row[1]}) \
    CREATE (c)-[:MENTIONS {start: row[2], end: row[3], passage: row[4], fields: row[5]}]->(e) RETURN count(*) AS count";

pub(super) const SOURCES: &str = "\
    UNWIND $rows AS row MERGE (s:Source {source_guid: row[1]}) ON CREATE SET s.group_guid = row[2], s.name = row[3] \
    WITH s, row MATCH (d:Document {document_guid: row[0]}) CREATE (d)-[:FROM]->(s)";

// Show and sweep. A lock on the document first, then on entities in the order of their ids, each before what it guards
// is read: that of two transactions which derive the same entity, the second one sees what the first one wrote.

/// Takes the lock: a property that is set and removed leaves nothing else.
pub(super) const LOCK_DOCUMENT: &str = "\
    MATCH (d:Document {document_guid: $document}) SET d.locked = true REMOVE d.locked \
    RETURN d.group_guid AS group, d.edition AS edition, d.version AS version, d.stamped AS stamped";

pub(super) const LOCK_ENTITIES: &str = "\
    UNWIND $ids AS id MATCH (e:Entity {entity_guid: id}) SET e.locked = true REMOVE e.locked \
    RETURN id, e.facts AS facts";

/// What the edition's first part says of its document.
pub(super) const EDITION: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF*1..2]-(c:Chunk) WHERE c.edition = $edition \
    RETURN c.version AS version, c.stamped AS stamped, c.about AS about ORDER BY c.part, c.about DESC LIMIT 1";

pub(super) const CHUNKS_OF_EDITIONS: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF*1..2]-(c:Chunk) WHERE c.edition IN $editions \
    RETURN c.chunk_guid AS id, c.visible AS visible";

/// What mentions of the edition, and of what is visible now, state.
pub(super) const STATED: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF*1..2]-(c:Chunk)-[m:MENTIONS]->(e:Entity) \
    WHERE m.fields IS NOT NULL AND (c.visible OR c.edition = $edition) \
    RETURN e.entity_guid AS entity, c.edition = $edition AS shown, c.version AS version, c.document_guid AS document, \
    c.part AS part, c.chunk_index AS chunk_index, m.start AS start, m.fields AS fields";

/// What visible mentions of all other documents state of entities.
pub(super) const STATED_ELSEWHERE: &str = "\
    UNWIND $ids AS id MATCH (e:Entity {entity_guid: id})<-[m:MENTIONS]-(c:Chunk) \
    WHERE m.fields IS NOT NULL AND c.visible AND c.document_guid <> $document \
    RETURN id AS entity, true AS shown, c.version AS version, c.document_guid AS document, c.part AS part, \
    c.chunk_index AS chunk_index, m.start AS start, m.fields AS fields";

pub(super) const SET_FACTS: &str = "\
    UNWIND $rows AS row MATCH (e:Entity {entity_guid: row[0]}) SET e.facts = row[1], e += row[2]";

pub(super) const FLIP: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF*1..2]-(c:Chunk) \
    WHERE c.visible <> (c.edition = $edition) SET c.visible = (c.edition = $edition)";

pub(super) const UNJOIN: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF*1..2]-(c:Chunk)-[n:NEXT]->() DELETE n";

pub(super) const JOIN: &str = "\
    UNWIND $rows AS row MATCH (a:Chunk {chunk_guid: row[0]}) MATCH (b:Chunk {chunk_guid: row[1]}) \
    CREATE (a)-[:NEXT]->(b)";

pub(super) const SHOW_DOCUMENT: &str = "\
    MATCH (d:Document {document_guid: $document}) SET d.edition = $edition, d.version = $version, \
    d.stamped = $stamped, d.about = $about, d += $properties";

/// Where the document comes from; the source of this id is looked for.
pub(super) const SOURCE_OF: &str = "\
    MATCH (d:Document {document_guid: $document})-[:FROM]->(s:Source) RETURN s.source_guid AS id";

pub(super) const UNPLACE: &str = "\
    MATCH (d:Document {document_guid: $document})-[f:FROM]->() DELETE f";

pub(super) const DROP_SOURCE: &str = "\
    MATCH (s:Source {source_guid: $source}) SET s.locked = true REMOVE s.locked \
    WITH s WHERE NOT EXISTS {(s)<-[:FROM]-()} DELETE s";

pub(super) const ENTITIES_OF_CHUNKS: &str = "\
    UNWIND $ids AS id MATCH (c:Chunk {chunk_guid: id})-[:MENTIONS]->(e:Entity) RETURN DISTINCT e.entity_guid AS id";

pub(super) const DROP_CHUNKS: &str = "\
    UNWIND $ids AS id MATCH (c:Chunk {chunk_guid: id}) DETACH DELETE c";

pub(super) const DROP_ENTITIES: &str = "\
    UNWIND $ids AS id MATCH (e:Entity {entity_guid: id}) WHERE NOT EXISTS {(e)<-[:MENTIONS]-()} DELETE e";

pub(super) const DROP_SECTIONS: &str = "\
    MATCH (d:Document {document_guid: $document})<-[:PART_OF]-(s:Section) WHERE NOT EXISTS {(s)<-[:PART_OF]-()} \
    DETACH DELETE s";

/// What is left of a document.
pub(super) const LEFT: &str = "\
    MATCH (d:Document {document_guid: $document}) RETURN EXISTS {(d)<-[:PART_OF]-()} AS full, \
    EXISTS { MATCH (d)<-[:PART_OF*1..2]-(c:Chunk) WHERE c.edition = d.edition } AS shown";

pub(super) const DROP_DOCUMENT: &str = "\
    MATCH (d:Document {document_guid: $document}) DETACH DELETE d";

pub(super) const HIDE_DOCUMENT: &str = "\
    MATCH (d:Document {document_guid: $document}) SET d.edition = null, d.version = null, d.stamped = null, \
    d.about = null, d += $properties";

// Reads.

/// A chunk that says something else than it should is read all the same.
pub(super) const SCROLL: &str = "\
    MATCH (c:Chunk) WHERE c.chunk_guid > $after RETURN c.chunk_guid AS chunk_guid, \
    toStringOrNull(c.document_guid) AS document_guid, toStringOrNull(c.edition) AS edition, toStringOrNull(c.version) AS version, \
    toStringOrNull(c.group_guid) AS group, c.visible = true AS visible, toIntegerOrNull(c.part) AS part, \
    toIntegerOrNull(c.chunk_index) AS ordinal, toStringOrNull(c.content_hash) AS content_hash \
    ORDER BY c.chunk_guid LIMIT $limit";

/// Whether they hang on the document or only name it.
pub(super) const COUNT_OF_DOCUMENT: &str = "\
    MATCH (n:Document {document_guid: $id}) RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (n:Section {document_guid: $id}) WHERE n.edition IS NOT NULL RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (n:Chunk {document_guid: $id}) WHERE n.edition IS NOT NULL RETURN 'nodes' AS kind, count(n) AS count";

pub(super) const COUNT_OF_GROUP: &str = "\
    MATCH (n:Source) WHERE n.group_guid = $id RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (n:Entity) WHERE n.group_guid = $id RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (n:Document) WHERE n.group_guid = $id RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (d:Document)<-[:PART_OF]-(n:Section) WHERE d.group_guid = $id RETURN 'nodes' AS kind, count(n) AS count \
    UNION ALL MATCH (n:Chunk) WHERE n.group_guid = $id RETURN 'nodes' AS kind, count(n) AS count";

/// Chunks by their ids alone, with the document they hang on.
pub(super) const NAMED_CHUNKS: &str = "\
    UNWIND $ids AS id MATCH (c:Chunk {chunk_guid: id}) OPTIONAL MATCH (c)-[:PART_OF*1..2]->(d:Document) \
    RETURN id, coalesce(c.visible = true, false) AS visible, d.document_guid AS document";

/// What `COUNT` calls dangling, from the edges to what they join: one may hold up the next. Some at a time.
pub(super) const DROP_DANGLING: [&str; 6] = [
    "MATCH (n:Document) WHERE NOT EXISTS {(n)-[:FROM]->(:Source)} WITH n LIMIT 1000 \
     OPTIONAL MATCH (n)<-[:PART_OF*1..2]-(below) WITH collect(DISTINCT n) + collect(DISTINCT below) AS all \
     UNWIND all AS it DETACH DELETE it RETURN count(*) AS count",
    "MATCH (n:Chunk) WHERE NOT EXISTS {(n)-[:PART_OF*1..2]->(:Document)} WITH n LIMIT 10000 \
     DETACH DELETE n RETURN count(*) AS count",
    "MATCH (n:Section) WHERE NOT EXISTS {(n)-[:PART_OF]->(:Document)} OR NOT EXISTS {(n)<-[:PART_OF]-(:Chunk)} \
     WITH n LIMIT 10000 DETACH DELETE n RETURN count(*) AS count",
    "MATCH (n:Document) WHERE NOT EXISTS {(n)<-[:PART_OF*1..2]-(:Chunk)} WITH n LIMIT 10000 \
     DETACH DELETE n RETURN count(*) AS count",
    "MATCH (n:Entity) WHERE NOT EXISTS {(n)<-[:MENTIONS]-()} WITH n LIMIT 10000 DETACH DELETE n RETURN count(*) AS count",
    "MATCH (n:Source) WHERE NOT EXISTS {(n)<-[:FROM]-()} WITH n LIMIT 10000 DETACH DELETE n RETURN count(*) AS count",
];

pub(super) const NEIGHBOURS: &str = "\
    UNWIND range(0, size($ids) - 1) AS place MATCH (c:Chunk {chunk_guid: $ids[place]}) WHERE c.visible \
    MATCH (d:Document {document_guid: c.document_guid}) WHERE d.edition = c.edition \
    OPTIONAL MATCH (c)-[:PART_OF]->(s:Section) \
    RETURN place, s.heading_path AS heading_path, d.about AS about, \
    [(b:Chunk)-[:NEXT]->(c) WHERE b.visible | b.text] AS before, \
    [(c)-[:NEXT]->(a:Chunk) WHERE a.visible | a.text] AS after, \
    [(c)-[m:MENTIONS]->(e:Entity) | {entity: e.entity_guid, label: e.label, normal_form: e.normal_form, \
    facts: e.facts, start: m.start}] AS mentions";

pub(super) const ABOUT_SERVER: &str = "\
    CALL dbms.components() YIELD versions, edition RETURN versions[0] AS version, edition LIMIT 1";

/// What is in the graph. The first statement reads the server's own counts; the others look at every node of a label.
pub(super) const COUNT: [&str; 7] = [
    "MATCH (n:Source) WITH count(n) AS count RETURN 'nodes' AS kind, count \
     UNION ALL MATCH (n:Document) WITH count(n) AS count RETURN 'nodes' AS kind, count \
     UNION ALL MATCH (n:Section) WITH count(n) AS count RETURN 'nodes' AS kind, count \
     UNION ALL MATCH (n:Chunk) WITH count(n) AS count RETURN 'nodes' AS kind, count \
     UNION ALL MATCH (n:Entity) WITH count(n) AS count RETURN 'nodes' AS kind, count \
     UNION ALL MATCH ()-[r:FROM]->() WITH count(r) AS count RETURN 'edges' AS kind, count \
     UNION ALL MATCH ()-[r:PART_OF]->() WITH count(r) AS count RETURN 'edges' AS kind, count \
     UNION ALL MATCH ()-[r:NEXT]->() WITH count(r) AS count RETURN 'edges' AS kind, count \
     UNION ALL MATCH ()-[r:MENTIONS]->() WITH count(r) AS count RETURN 'edges' AS kind, count",
    "MATCH (e:Entity) WHERE EXISTS {(e)<-[:MENTIONS]-(c:Chunk) WHERE c.visible} \
     RETURN 'entities' AS kind, count(e) AS count",
    "MATCH (e:Entity) WHERE NOT EXISTS {(e)<-[:MENTIONS]-()} RETURN 'dangling' AS kind, count(e) AS count",
    "MATCH (d:Document) WHERE NOT EXISTS {(d)-[:FROM]->(:Source)} RETURN 'dangling' AS kind, count(d) AS count",
    "MATCH (d:Document) WHERE NOT EXISTS {(d)<-[:PART_OF*1..2]-(:Chunk)} RETURN 'dangling' AS kind, count(d) AS count",
    "MATCH (s:Section) WITH s, EXISTS {(s)-[:PART_OF]->(:Document)} AS placed, EXISTS {(s)<-[:PART_OF]-(:Chunk)} AS full \
     WHERE NOT placed OR NOT full \
     RETURN 'dangling' AS kind, sum(CASE WHEN placed OR full THEN 1 ELSE 2 END) AS count",
    "MATCH (c:Chunk) WHERE NOT EXISTS {(c)-[:PART_OF*1..2]->(:Document)} RETURN 'dangling' AS kind, count(c) AS count",
];

/// Every statement that write, show and sweep send, for a look at their plans.
#[cfg(test)]
pub(super) fn changing() -> Vec<String> {
    let fixed = [
        KNOWN,
        DOCUMENTS,
        SECTIONS,
        CHUNKS_OF_SECTIONS,
        CHUNKS_OF_DOCUMENTS,
        MENTIONS,
        SOURCES,
        LOCK_DOCUMENT,
        LOCK_ENTITIES,
        EDITION,
        CHUNKS_OF_EDITIONS,
        STATED,
        STATED_ELSEWHERE,
        SET_FACTS,
        FLIP,
        UNJOIN,
        JOIN,
        SHOW_DOCUMENT,
        SOURCE_OF,
        UNPLACE,
        DROP_SOURCE,
        ENTITIES_OF_CHUNKS,
        DROP_CHUNKS,
        NAMED_CHUNKS,
        DROP_ENTITIES,
        DROP_SECTIONS,
        LEFT,
        DROP_DOCUMENT,
        HIDE_DOCUMENT,
    ];
    let fixed = fixed.into_iter().map(str::to_owned);
    fixed.chain(LABELS.into_iter().map(entities)).collect()
}
