// One node for each key: MERGE finds a node by its constraint's index, and without one two writers would make it twice.
// On a graph that is filled each of these checks what is there; writes to its label wait meanwhile.
CREATE CONSTRAINT source_guid IF NOT EXISTS FOR (n:Source) REQUIRE n.source_guid IS UNIQUE;
CREATE CONSTRAINT document_guid IF NOT EXISTS FOR (n:Document) REQUIRE n.document_guid IS UNIQUE;
CREATE CONSTRAINT section_guid IF NOT EXISTS FOR (n:Section) REQUIRE n.section_guid IS UNIQUE;
CREATE CONSTRAINT chunk_guid IF NOT EXISTS FOR (n:Chunk) REQUIRE n.chunk_guid IS UNIQUE;
CREATE CONSTRAINT entity_guid IF NOT EXISTS FOR (n:Entity) REQUIRE n.entity_guid IS UNIQUE;

// What the pipeline always writes, for those who write by hand.
// enterprise-only
CREATE CONSTRAINT chunk_document_exists IF NOT EXISTS FOR (n:Chunk) REQUIRE n.document_guid IS NOT NULL;
// enterprise-only
CREATE CONSTRAINT chunk_edition_exists IF NOT EXISTS FOR (n:Chunk) REQUIRE n.edition IS NOT NULL;
// enterprise-only
CREATE CONSTRAINT section_document_exists IF NOT EXISTS FOR (n:Section) REQUIRE n.document_guid IS NOT NULL;
