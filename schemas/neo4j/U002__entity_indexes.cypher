DROP INDEX entity_search IF EXISTS;
DROP INDEX entity_group_text IF EXISTS;
DROP INDEX entity_normal_form_text IF EXISTS;
DROP INDEX entity_label IF EXISTS;
