// Entities by what they are and how they are called. Indexes are filled in the background while the pipeline writes.
CREATE INDEX entity_label IF NOT EXISTS FOR (n:Entity) ON (n.label);

// Names, their substrings and endings. A text index, because a range index takes no value of more than 8 kB.
CREATE TEXT INDEX entity_normal_form_text IF NOT EXISTS FOR (n:Entity) ON (n.normal_form);

// Of one group. A text index, because a range index takes no value of more than 8 kB.
CREATE TEXT INDEX entity_group_text IF NOT EXISTS FOR (n:Entity) ON (n.group_guid);

// Words, ranked: CALL db.index.fulltext.queryNodes('entity_search', 'acme AND freight').
CREATE FULLTEXT INDEX entity_search IF NOT EXISTS
FOR (n:Entity) ON EACH [n.normal_form, n.name, n.contact_email, n.make, n.model]
OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}};
