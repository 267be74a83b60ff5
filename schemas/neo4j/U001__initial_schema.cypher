// Stop link and settle first: without these constraints writers make nodes twice, and look for each by reading all.
// enterprise-only
DROP CONSTRAINT section_document_exists IF EXISTS;
// enterprise-only
DROP CONSTRAINT chunk_edition_exists IF EXISTS;
// enterprise-only
DROP CONSTRAINT chunk_document_exists IF EXISTS;

DROP CONSTRAINT entity_guid IF EXISTS;
DROP CONSTRAINT chunk_guid IF EXISTS;
DROP CONSTRAINT section_guid IF EXISTS;
DROP CONSTRAINT document_guid IF EXISTS;
DROP CONSTRAINT source_guid IF EXISTS;
