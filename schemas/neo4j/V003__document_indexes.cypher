// What belongs to an edition, whether or not it still hangs on its document: for audits and sweeps by hand.
CREATE INDEX chunk_document_edition IF NOT EXISTS FOR (n:Chunk) ON (n.document_guid, n.edition);
CREATE INDEX section_document_edition IF NOT EXISTS FOR (n:Section) ON (n.document_guid, n.edition);

// Of one group, by path, by name of the source. Text indexes, because a range index takes no value of more than 8 kB.
CREATE TEXT INDEX document_group_text IF NOT EXISTS FOR (n:Document) ON (n.group_guid);
CREATE TEXT INDEX document_path_text IF NOT EXISTS FOR (n:Document) ON (n.path);
CREATE TEXT INDEX source_name_text IF NOT EXISTS FOR (n:Source) ON (n.name);
