//! What the graph says: to `query`, to `audit`, and to people.

use async_trait::async_trait;
use neo4rs::Query;
use penstock_runtime::Failure;
use penstock_schemas::About;
use penstock_stages::link::{ChunkRef, GraphCounts, Neighbour};
use penstock_stages::scope::Scope;
use serde::Deserialize;
use uuid::Uuid;

use super::classify::Trouble;
use super::facts::Facts;
use super::rows::ids;
use super::statements::{
    ABOUT_SERVER, COUNT, COUNT_OF_DOCUMENT, COUNT_OF_GROUP, NEIGHBOURS, SCROLL,
};
use super::transaction::{Transaction, Work};
use crate::graph::{excerpt, plain};

pub(super) struct Neighbours<'a>(pub &'a [Uuid]);

#[derive(Deserialize)]
struct Around {
    place: usize,
    heading_path: Option<Vec<String>>,
    about: String,
    before: Vec<String>,
    after: Vec<String>,
    mentions: Vec<Mentioned>,
}

#[derive(Deserialize)]
struct Mentioned {
    entity: Uuid,
    label: String,
    normal_form: String,
    facts: Option<String>,
    start: i64,
}

#[async_trait]
impl Work for Neighbours<'_> {
    const DOING: &'static str = "read neighbours from";
    type Told = Vec<Vec<Neighbour>>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        let mut all = vec![Vec::new(); self.0.len()];
        if all.is_empty() {
            return Ok(all);
        }
        let query = Query::new(NEIGHBOURS.into()).param("ids", ids(self.0));
        transaction
            .each::<Around>(query, |around| {
                let place = around.place;
                let found = neighbours(around)?;
                if let Some(of) = all.get_mut(place) {
                    *of = found;
                }
                Ok(())
            })
            .await?;
        Ok(all)
    }
}

/// In the order of the port: section, document, source, before, after, entities.
fn neighbours(around: Around) -> Result<Vec<Neighbour>, Failure> {
    let about: About = serde_json::from_str(&around.about).map_err(|error| {
        Failure::fatal(format!(
            "what neo4j knows of a document is not ours ({error}): rebuild the graph"
        ))
    })?;
    let mut found = Vec::new();
    if let Some(heading_path) = around.heading_path {
        found.push(plain("PART_OF", "Section", heading_path.join(" > ")));
    }
    let title = about.title.filter(|title| !title.trim().is_empty());
    found.push(plain("PART_OF", "Document", title.unwrap_or(about.path)));
    found.push(plain("FROM", "Source", about.source));
    for text in around.before.iter().chain(&around.after) {
        found.push(plain("NEXT", "Chunk", excerpt(text)));
    }
    let mut mentions = around.mentions;
    // The first mention of each decides where it stands.
    mentions.sort_by_key(|it| (it.entity, it.start));
    mentions.dedup_by_key(|it| it.entity);
    mentions.sort_by(|a, b| {
        (a.start, &a.label, &a.normal_form).cmp(&(b.start, &b.label, &b.normal_form))
    });
    for mention in mentions {
        found.push(Neighbour {
            relation: "MENTIONS".into(),
            fields: Facts::read(mention.facts.as_deref())?.fields(),
            label: mention.label,
            name: mention.normal_form,
        });
    }
    Ok(found)
}

pub(super) struct Scroll {
    pub after: Option<Uuid>,
    pub limit: usize,
}

#[derive(Deserialize)]
struct Chunk {
    chunk_guid: Uuid,
    document_guid: Option<String>,
    edition: Option<String>,
    version: Option<String>,
    group: Option<String>,
    visible: Option<bool>,
    part: Option<i64>,
    ordinal: Option<i64>,
    content_hash: Option<String>,
}

impl From<Chunk> for ChunkRef {
    fn from(chunk: Chunk) -> Self {
        let id = |text: Option<String>| Uuid::try_parse(&text.unwrap_or_default());
        let id = |text| id(text).unwrap_or_default();
        let number = |found: Option<i64>| found.and_then(|it| i32::try_from(it).ok()).unwrap_or(-1);
        Self {
            chunk_guid: chunk.chunk_guid,
            document_guid: id(chunk.document_guid),
            edition: id(chunk.edition),
            version: id(chunk.version),
            group: chunk.group.unwrap_or_default(),
            visible: chunk.visible == Some(true),
            part: number(chunk.part),
            ordinal: number(chunk.ordinal),
            content_hash: chunk.content_hash.unwrap_or_default(),
        }
    }
}

#[async_trait]
impl Work for Scroll {
    const DOING: &'static str = "scroll";
    type Told = Vec<ChunkRef>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        // Any id is greater than no text.
        let after = self.after.map_or_else(String::new, |id| id.to_string());
        let query = Query::new(SCROLL.into())
            .param("after", after)
            .param("limit", i64::try_from(self.limit).unwrap_or(i64::MAX));
        let mut chunks = Vec::new();
        transaction
            .long_each::<Chunk>(query, |row| {
                chunks.push(row.into());
                Ok(())
            })
            .await?;
        Ok(chunks)
    }
}

/// Nodes of a document or a group.
pub(super) struct CountOf<'a>(pub &'a Scope);

#[async_trait]
impl Work for CountOf<'_> {
    const DOING: &'static str = "count in";
    type Told = u64;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        let query = match self.0 {
            Scope::Document(id) => Query::new(COUNT_OF_DOCUMENT.into()).param("id", id.to_string()),
            Scope::Group(name) => Query::new(COUNT_OF_GROUP.into()).param("id", name.as_str()),
        };
        let mut count = 0;
        transaction
            .long_each::<Count>(query, |found| {
                count += found.count;
                Ok(())
            })
            .await?;
        Ok(count)
    }
}

pub(super) struct Counts;

#[derive(Deserialize)]
struct Count {
    kind: String,
    count: u64,
}

#[async_trait]
impl Work for Counts {
    const DOING: &'static str = "count in";
    type Told = GraphCounts;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        let mut counts = GraphCounts::default();
        for statement in COUNT {
            transaction
                .long_each::<Count>(Query::new(statement.into()), |found| {
                    let count = match found.kind.as_str() {
                        "nodes" => &mut counts.nodes,
                        "edges" => &mut counts.edges,
                        "entities" => &mut counts.entities,
                        _ => &mut counts.dangling,
                    };
                    *count += found.count;
                    Ok(())
                })
                .await?;
        }
        Ok(counts)
    }
}

/// One line: version, edition and address.
pub(super) struct AboutServer;

#[derive(Deserialize)]
struct Server {
    version: String,
    edition: String,
}

#[async_trait]
impl Work for AboutServer {
    const DOING: &'static str = "ask for the health of";
    type Told = String;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble> {
        let address = transaction.address();
        let server = transaction
            .one::<Server>(Query::new(ABOUT_SERVER.into()))
            .await?;
        Ok(match server {
            Some(it) => format!("Neo4j {} {} at {address}", it.version, it.edition),
            None => format!("Neo4j at {address}, which does not tell its version"),
        })
    }
}
