DROP INDEX source_name_text IF EXISTS;
DROP INDEX document_path_text IF EXISTS;
DROP INDEX document_group_text IF EXISTS;
DROP INDEX section_document_edition IF EXISTS;
DROP INDEX chunk_document_edition IF EXISTS;
