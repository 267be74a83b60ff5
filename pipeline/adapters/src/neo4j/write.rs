//! Chunks and their mentions into the graph, invisible.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use neo4rs::{BoltType, Query};
use penstock_runtime::Failure;
use penstock_schemas::{Chunk, entity_guid, source_guid};
use penstock_stages::link::{Linked, Mention};
use serde::Deserialize;
use uuid::Uuid;

use super::classify::Trouble;
use super::rows::{Rows, ids, json, list};
use super::statements::{
    CHUNKS_OF_DOCUMENTS, CHUNKS_OF_SECTIONS, DOCUMENTS, KNOWN, LABELS, MENTIONS, SECTIONS, SOURCES,
    entities,
};
use super::transaction::{Transaction, Work};
use crate::graph::section_guid;

/// Merges a batch. A chunk that is there stays as it is, with its mentions: ids are derived from content, so it is the
/// same, and what readers see never changes under them. So mentions are made without a look at those that are there,
/// and a replay sends ids only.
pub(super) struct Write<'a> {
    documents: BTreeMap<Uuid, Owner<'a>>,
    /// In the order in which locks are taken: documents, then sections.
    chunks: BTreeMap<(Uuid, Option<Uuid>, Uuid), &'a Chunk>,
    /// By entity, which is a hash and the order of locks for all writers, and the chunk and start.
    mentions: BTreeMap<(Uuid, Uuid, usize), &'a Mention>,
    entities: BTreeMap<Uuid, Entity<'a>>,
}

/// A chunk that is not there yet.
struct New<'a> {
    document: Uuid,
    section: Option<Uuid>,
    chunk: &'a Chunk,
}

struct Owner<'a> {
    group: &'a str,
    source: &'a str,
}

struct Entity<'a> {
    group: &'a str,
    label: &'static str,
    normal_form: &'a str,
}

#[derive(Deserialize)]
struct Known {
    kind: String,
    id: Uuid,
    group: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    id: Uuid,
    group: String,
    placed: bool,
}

#[derive(Deserialize)]
struct Count {
    count: usize,
}

impl<'a> Write<'a> {
    pub fn of(rows: &'a [Linked]) -> Result<Self, Failure> {
        let mut write = Self {
            documents: BTreeMap::new(),
            chunks: BTreeMap::new(),
            mentions: BTreeMap::new(),
            entities: BTreeMap::new(),
        };
        let mut seen = BTreeSet::new();
        for row in rows {
            let lineage = &row.chunk.lineage;
            let owner = write
                .documents
                .entry(lineage.document_guid)
                .or_insert(Owner {
                    group: &lineage.group,
                    source: &row.chunk.about.source,
                });
            refuse_another_group(lineage.document_guid, owner.group, &lineage.group)?;
            if seen.insert(row.chunk.chunk_guid) {
                write.add(row)?;
            }
        }
        Ok(write)
    }

    fn add(&mut self, row: &'a Linked) -> Result<(), Failure> {
        let chunk = &row.chunk;
        let (document, group) = (chunk.lineage.document_guid, chunk.lineage.group.as_str());
        let section = if chunk.heading_path.is_empty() {
            None
        } else {
            let heading_path = json(&chunk.heading_path)?;
            Some(section_guid(chunk.lineage.edition, &heading_path))
        };
        self.chunks
            .insert((document, section, chunk.chunk_guid), chunk);
        for mention in &row.mentions {
            let Some(label) = LABELS.iter().find(|label| **label == mention.label) else {
                return Err(Failure::fatal(format!(
                    "the graph knows no entities of label {:?}: add it to LABELS of the Neo4j adapter",
                    mention.label
                )));
            };
            let entity = entity_guid(group, label, &mention.normal_form);
            self.entities.entry(entity).or_insert(Entity {
                group,
                label,
                normal_form: &mention.normal_form,
            });
            self.mentions
                .entry((entity, chunk.chunk_guid, mention.start))
                .or_insert(mention);
        }
        Ok(())
    }

    /// The ids of chunks and entities that are there.
    async fn known(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Known>, Trouble> {
        let question = Query::new(KNOWN.into())
            .param("documents", ids(self.documents.keys()))
            .param("chunks", ids(self.chunks.keys().map(|(_, _, chunk)| chunk)))
            .param("entities", ids(self.entities.keys()));
        transaction.rows(question).await
    }

    /// Merges the documents of `new` chunks; those that come from nowhere yet.
    async fn documents(
        &self,
        transaction: &mut Transaction<'_>,
        new: &[New<'a>],
    ) -> Result<Vec<Uuid>, Trouble> {
        let wanted: BTreeSet<Uuid> = new.iter().map(|it| it.document).collect();
        let mut rows = Rows::default();
        for document in wanted {
            if let Some(owner) = self.documents.get(&document) {
                let row = vec![document.to_string().into(), owner.group.into()];
                rows.push(row, owner.group.len());
            }
        }
        let mut unplaced = Vec::new();
        for rows in rows.batches() {
            let query = Query::new(DOCUMENTS.into()).param("rows", rows);
            for document in transaction.rows::<Document>(query).await? {
                self.refuse_stranger(document.id, &document.group)?;
                if !document.placed {
                    unplaced.push(document.id);
                }
            }
        }
        Ok(unplaced)
    }

    fn refuse_stranger(&self, document: Uuid, owner: &str) -> Result<(), Failure> {
        match self.documents.get(&document) {
            Some(ours) => refuse_another_group(document, owner, ours.group),
            None => Ok(()),
        }
    }

    async fn sections(
        &self,
        transaction: &mut Transaction<'_>,
        new: &[New<'a>],
    ) -> Result<(), Trouble> {
        let mut rows = Rows::default();
        let mut last = None;
        for it in new {
            // They are in the order of their sections.
            let Some(section) = it.section.filter(|it| last.replace(*it) != Some(*it)) else {
                continue;
            };
            let headings = it.chunk.heading_path.clone();
            let size = headings.iter().map(|it| it.len() + 8).sum::<usize>();
            rows.push(
                vec![
                    section.to_string().into(),
                    it.document.to_string().into(),
                    it.chunk.lineage.edition.to_string().into(),
                    headings.into(),
                ],
                size + 120,
            );
        }
        for rows in rows.batches() {
            transaction
                .run(Query::new(SECTIONS.into()).param("rows", rows))
                .await?;
        }
        Ok(())
    }

    async fn chunks(
        &self,
        transaction: &mut Transaction<'_>,
        new: &[New<'a>],
    ) -> Result<(), Trouble> {
        let mut parts = Parts::default();
        let (mut in_sections, mut in_documents) = (Rows::default(), Rows::default());
        for it in new {
            let part = parts.of(it.chunk)?;
            let rows = match it.section {
                Some(_) => &mut in_sections,
                None => &mut in_documents,
            };
            let above = it.section.unwrap_or(it.document).to_string();
            rows.push(chunk_row(it.chunk, above, part), it.chunk.text.len() + 250);
        }
        let parts = list(parts.rows);
        for (statement, rows) in [
            (CHUNKS_OF_DOCUMENTS, in_documents),
            (CHUNKS_OF_SECTIONS, in_sections),
        ] {
            create(transaction, statement, rows, Some(&parts)).await?;
        }
        Ok(())
    }

    async fn entities(
        &self,
        transaction: &mut Transaction<'_>,
        known: &BTreeSet<Uuid>,
        mentioned: &BTreeSet<Uuid>,
    ) -> Result<(), Trouble> {
        for label in LABELS {
            let mut rows = Rows::default();
            for (id, entity) in &self.entities {
                if entity.label == label && mentioned.contains(id) && !known.contains(id) {
                    let row = vec![
                        id.to_string().into(),
                        entity.group.into(),
                        entity.normal_form.into(),
                    ];
                    rows.push(row, entity.group.len() + entity.normal_form.len() + 50);
                }
            }
            for rows in rows.batches() {
                transaction
                    .run(Query::new(entities(label)).param("rows", rows))
                    .await?;
            }
        }
        Ok(())
    }

    async fn sources(
        &self,
        transaction: &mut Transaction<'_>,
        unplaced: Vec<Uuid>,
    ) -> Result<(), Trouble> {
        let mut wanted = BTreeSet::new();
        for document in unplaced {
            if let Some(owner) = self.documents.get(&document) {
                let source = source_guid(owner.group, owner.source);
                wanted.insert((source, document, owner.group, owner.source));
            }
        }
        let mut rows = Rows::default();
        for (id, document, group, source) in wanted {
            let row = vec![
                document.to_string().into(),
                id.to_string().into(),
                group.into(),
                source.into(),
            ];
            rows.push(row, group.len() + source.len() + 80);
        }
        for rows in rows.batches() {
            transaction
                .run(Query::new(SOURCES.into()).param("rows", rows))
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Work for Write<'_> {
    const DOING: &'static str = "write to";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        let (mut chunks, mut entities) = (BTreeSet::new(), BTreeSet::new());
        for known in self.known(transaction).await? {
            match known.kind.as_str() {
                "chunk" => drop(chunks.insert(known.id)),
                "entity" => drop(entities.insert(known.id)),
                _ => self.refuse_stranger(known.id, known.group.as_deref().unwrap_or_default())?,
            }
        }
        let new: Vec<New<'_>> = self
            .chunks
            .iter()
            .filter(|((_, _, id), _)| !chunks.contains(id))
            .map(|((document, section, _), chunk)| New {
                document: *document,
                section: *section,
                chunk,
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let unplaced = self.documents(transaction, &new).await?;
        self.sections(transaction, &new).await?;
        self.chunks(transaction, &new).await?;

        let mut rows = Rows::default();
        let mut mentioned = BTreeSet::new();
        for ((entity, chunk, start), mention) in &self.mentions {
            if chunks.contains(chunk) {
                continue;
            }
            mentioned.insert(*entity);
            let fields = (!mention.fields.is_empty()).then(|| json(&mention.fields));
            let fields = fields.transpose()?;
            let size = mention.passage.len() + fields.as_ref().map_or(0, String::len) + 100;
            let row = vec![
                chunk.to_string().into(),
                entity.to_string().into(),
                (*start as i64).into(),
                (mention.end as i64).into(),
                mention.passage.as_str().into(),
                fields.into(),
            ];
            rows.push(row, size);
        }
        self.entities(transaction, &entities, &mentioned).await?;
        create(transaction, MENTIONS, rows, None).await?;
        self.sources(transaction, unplaced).await
    }
}

/// Creates `rows`. What they hang on may have gone since it was merged or found; then all of it begins again.
async fn create(
    transaction: &mut Transaction<'_>,
    statement: &str,
    rows: Rows,
    parts: Option<&BoltType>,
) -> Result<(), Trouble> {
    let wanted = rows.count();
    let mut created = 0;
    for rows in rows.batches() {
        let mut query = Query::new(statement.into()).param("rows", rows);
        if let Some(parts) = parts {
            query = query.param("parts", parts.clone());
        }
        let count = transaction.one::<Count>(query).await?;
        created += count.map_or(0, |it| it.count);
    }
    if created == wanted {
        return Ok(());
    }
    Err(transaction.again("what the rows hang on has just been swept"))
}

/// What chunks share: document, group, edition, version, time of stamping, and what is known of the document.
#[derive(Default)]
struct Parts {
    rows: Vec<BoltType>,
    places: HashMap<(Uuid, String), i64>,
}

impl Parts {
    fn of(&mut self, chunk: &Chunk) -> Result<i64, Failure> {
        let lineage = &chunk.lineage;
        let key = (lineage.edition, json(&chunk.about)?);
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let place = self.rows.len() as i64;
        self.rows.push(list(vec![
            lineage.document_guid.to_string().into(),
            lineage.group.as_str().into(),
            lineage.edition.to_string().into(),
            lineage.version.to_string().into(),
            lineage.stamped.into(),
            key.1.as_str().into(),
        ]));
        self.places.insert(key, place);
        Ok(place)
    }
}

fn chunk_row(chunk: &Chunk, above: String, part: i64) -> Vec<BoltType> {
    vec![
        above.into(),
        part.into(),
        chunk.chunk_guid.to_string().into(),
        chunk.part.into(),
        chunk.ordinal.into(),
        chunk.start_char.into(),
        chunk.end_char.into(),
        chunk.page_first.into(),
        chunk.page_last.into(),
        chunk.content_hash.as_str().into(),
        chunk.text.as_str().into(),
    ]
}

fn refuse_another_group(document: Uuid, owner: &str, group: &str) -> Result<(), Failure> {
    if owner == group {
        return Ok(());
    }
    Err(Failure::poison(format!(
        "document {document} belongs to another group than {group}: give it an id of its own"
    )))
}
