-- The knowledge graph as tables. Nodes: sources, documents, sections, chunks, entities.
-- Edges: FROM (documents.source), PART_OF (sections.document, chunks.section or chunks.document), NEXT (next_chunks),
-- MENTIONS (mentions). Ids are UUIDs, 16 bytes.

CREATE TABLE layout (version INTEGER NOT NULL) STRICT;

CREATE TABLE sources (
    source INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- edition and about stay null until an edition is shown.
CREATE TABLE documents (
    document BLOB PRIMARY KEY CHECK (length(document) = 16),
    tenant   TEXT NOT NULL,
    source   INTEGER NOT NULL REFERENCES sources,
    edition  BLOB CHECK (length(edition) = 16),
    about    TEXT,
    CHECK ((edition IS NULL) = (about IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_by_source ON documents (source);

CREATE TABLE editions (
    document BLOB NOT NULL REFERENCES documents ON DELETE CASCADE,
    edition  BLOB NOT NULL CHECK (length(edition) = 16),
    version  BLOB NOT NULL CHECK (length(version) = 16),
    stamped  INTEGER NOT NULL,
    source   INTEGER NOT NULL REFERENCES sources,
    PRIMARY KEY (document, edition)
) STRICT, WITHOUT ROWID;
CREATE INDEX editions_by_source ON editions (source);

-- What each part of an edition says of its document; the first part's words become the document's when it is shown.
CREATE TABLE parts (
    document BLOB NOT NULL,
    edition  BLOB NOT NULL,
    part     INTEGER NOT NULL,
    about    TEXT NOT NULL,
    PRIMARY KEY (document, edition, part),
    FOREIGN KEY (document, edition) REFERENCES editions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE sections (
    section      BLOB PRIMARY KEY CHECK (length(section) = 16),
    document     BLOB NOT NULL,
    edition      BLOB NOT NULL,
    heading_path TEXT NOT NULL,
    FOREIGN KEY (document, edition) REFERENCES editions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX sections_by_edition ON sections (document, edition);

-- section is null where the text stands under no heading.
CREATE TABLE chunks (
    chunk        BLOB PRIMARY KEY CHECK (length(chunk) = 16),
    document     BLOB NOT NULL,
    edition      BLOB NOT NULL,
    section      BLOB REFERENCES sections,
    part         INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    start_char   INTEGER NOT NULL,
    end_char     INTEGER NOT NULL,
    page_first   INTEGER,
    page_last    INTEGER,
    content_hash TEXT NOT NULL,
    text         TEXT NOT NULL,
    visible      INTEGER NOT NULL DEFAULT 0 CHECK (visible IN (0, 1)),
    FOREIGN KEY (document, edition) REFERENCES editions ON DELETE CASCADE
) STRICT;
CREATE INDEX chunks_by_edition ON chunks (document, edition, part, ordinal);
CREATE INDEX chunks_by_section ON chunks (section);

CREATE TABLE next_chunks (
    chunk     BLOB PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    following BLOB NOT NULL UNIQUE REFERENCES chunks ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- fields is derived from facts.
CREATE TABLE entities (
    entity      BLOB PRIMARY KEY CHECK (length(entity) = 16),
    tenant      TEXT NOT NULL,
    label       TEXT NOT NULL,
    normal_form TEXT NOT NULL,
    fields      TEXT NOT NULL DEFAULT '{}',
    UNIQUE (tenant, label, normal_form)
) STRICT, WITHOUT ROWID;

CREATE TABLE mentions (
    chunk      BLOB NOT NULL REFERENCES chunks ON DELETE CASCADE,
    entity     BLOB NOT NULL REFERENCES entities,
    start_char INTEGER NOT NULL,
    end_char   INTEGER NOT NULL,
    passage    TEXT NOT NULL,
    fields     TEXT NOT NULL,
    PRIMARY KEY (chunk, entity, start_char)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_entity ON mentions (entity);

-- What visible mentions state of an entity, best first: the smallest rank of a field is its value.
CREATE TABLE facts (
    entity BLOB NOT NULL REFERENCES entities,
    field  TEXT NOT NULL,
    rank   BLOB NOT NULL,
    value  TEXT NOT NULL,
    chunk  BLOB NOT NULL REFERENCES chunks ON DELETE CASCADE,
    PRIMARY KEY (entity, field, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_by_chunk ON facts (chunk);

INSERT INTO layout (version) VALUES (1);
