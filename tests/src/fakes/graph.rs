use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::{Chunk, entity_guid};
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use penstock_stages::scope::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Faults, lock};

/// A knowledge graph. Sections, documents, sources and entities are there for as long as a chunk names them, so they
/// are read off the chunks.
#[derive(Debug, Default)]
pub struct FakeGraph {
    pub faults: Faults,
    graph: Mutex<Graph>,
}

#[derive(Debug, Default)]
struct Graph {
    chunks: BTreeMap<Uuid, Node>,
    /// NEXT.
    following: BTreeMap<Uuid, Uuid>,
    /// The visible edition by document.
    shown: BTreeMap<Uuid, Uuid>,
}

#[derive(Debug)]
struct Node {
    linked: Linked,
    visible: bool,
}

impl Node {
    fn chunk(&self) -> &Chunk {
        &self.linked.chunk
    }

    fn is_of(&self, document: Uuid) -> bool {
        self.chunk().lineage.document_guid == document
    }

    /// Id, label and normal form of what it mentions, and the fields it gives.
    fn mentions(&self) -> impl Iterator<Item = (Uuid, &str, &str, &BTreeMap<String, String>)> {
        let group = &self.chunk().lineage.group;
        self.linked.mentions.iter().map(move |it| {
            let id = entity_guid(group, &it.label, &it.normal_form);
            (id, it.label.as_str(), it.normal_form.as_str(), &it.fields)
        })
    }
}

impl FakeGraph {
    /// All there is, invisible nodes included, a line each.
    pub fn contents(&self) -> Vec<String> {
        lock(&self.graph).lines(|_| true)
    }

    /// The edition of a document that readers see.
    pub fn visible_edition(&self, document: Uuid) -> Option<Uuid> {
        lock(&self.graph).shown.get(&document).copied()
    }

    /// Chunks of a document along NEXT, from the first.
    pub fn order(&self, document: Uuid) -> Vec<Uuid> {
        let graph = lock(&self.graph);
        let seen = graph
            .chunks
            .values()
            .filter(|it| it.is_of(document) && it.visible);
        let followers: BTreeSet<Uuid> = graph.following.values().copied().collect();
        let mut next = seen
            .map(|it| it.chunk().chunk_guid)
            .find(|id| !followers.contains(id));
        let mut order = Vec::new();
        while let Some(id) = next {
            order.push(id);
            next = graph.following.get(&id).copied();
        }
        order
    }
}

impl Graph {
    /// Drops what hung on chunks that are gone.
    fn tidy(&mut self) {
        let chunks = &self.chunks;
        self.following
            .retain(|from, to| chunks.contains_key(from) && chunks.contains_key(to));
        self.shown.retain(|document, edition| {
            let mut of_it = chunks.values().filter(|it| it.is_of(*document));
            of_it.any(|it| it.chunk().lineage.edition == *edition)
        });
    }

    /// Nodes and edges of the chunks that are wanted.
    fn lines(&self, wanted: impl Fn(&Node) -> bool) -> Vec<String> {
        let mut lines = BTreeSet::new();
        let mut add = |line: Value| lines.insert(line.to_string());
        let mut fields: BTreeMap<Uuid, BTreeSet<(&String, &String)>> = BTreeMap::new();
        for (id, node) in self.chunks.iter().filter(|(_, node)| wanted(node)) {
            let (chunk, lineage) = (node.chunk(), &node.chunk().lineage);
            let (document, edition) = (lineage.document_guid, lineage.edition);
            let source = &chunk.about.source;
            add(json!({
                "node": "Chunk", "id": id, "edition": edition, "visible": node.visible,
                "part": chunk.part, "ordinal": chunk.ordinal, "text": chunk.text,
            }));
            add(json!({"node": "Source", "group": lineage.group, "name": source}));
            add(json!({"edge": "FROM", "from": document, "to": source}));
            add(json!({"edge": "PART_OF", "from": id, "to": chunk.heading_path, "of": document}));
            for (entity, label, normal_form, given) in node.mentions() {
                add(json!({"node": label, "id": entity, "normal_form": normal_form}));
                add(json!({"edge": "MENTIONS", "from": id, "to": entity}));
                if node.visible {
                    fields.entry(entity).or_default().extend(given);
                }
            }
            if let Some(next) = self.following.get(id) {
                add(json!({"edge": "NEXT", "from": id, "to": next}));
            }
            if node.visible && self.shown.get(&document) == Some(&edition) {
                let version = lineage.version;
                add(json!({
                    "node": "Document", "id": document, "edition": edition, "version": version,
                }));
            }
        }
        for (entity, given) in fields {
            add(json!({"fields": given, "of": entity}));
        }
        lines.into_iter().collect()
    }
}

#[async_trait]
impl GraphStore for FakeGraph {
    async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure> {
        self.faults.begin("write nodes").await?;
        for linked in rows {
            let visible = false;
            let node = Node { linked, visible };
            lock(&self.graph)
                .chunks
                .entry(node.chunk().chunk_guid)
                .or_insert(node);
        }
        self.faults.end("write nodes").await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        self.faults.begin("retain nodes").await?;
        {
            let mut graph = lock(&self.graph);
            graph.chunks.retain(|id, it| {
                !it.is_of(document) || it.chunk().lineage.edition != edition || chunks.contains(id)
            });
            graph.tidy();
        }
        self.faults.end("retain nodes").await
    }

    async fn show(&self, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
        self.faults.begin("show nodes").await?;
        {
            let mut graph = lock(&self.graph);
            let mut known = false;
            for it in graph.chunks.values_mut().filter(|it| it.is_of(document)) {
                it.visible = it.chunk().lineage.edition == edition;
                known |= it.visible;
            }
            if known {
                graph.shown.insert(document, edition);
            }
            let Graph {
                chunks, following, ..
            } = &mut *graph;
            following.retain(|from, _| chunks.get(from).is_some_and(|it| !it.is_of(document)));
            let here: Vec<Uuid> = order
                .iter()
                .copied()
                .filter(|id| chunks.contains_key(id))
                .collect();
            following.extend(here.windows(2).filter_map(|pair| match pair {
                [from, to] => Some((*from, *to)),
                _ => None,
            }));
        }
        self.faults.end("show nodes").await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        self.faults.begin("drop editions").await?;
        {
            let mut graph = lock(&self.graph);
            graph.chunks.retain(|_, it| {
                !it.is_of(document) || !editions.contains(&it.chunk().lineage.edition)
            });
            graph.tidy();
        }
        self.faults.end("drop editions").await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        self.faults.begin("remove nodes").await?;
        {
            let mut graph = lock(&self.graph);
            graph.chunks.retain(|id, _| !chunks.contains(id));
            graph.tidy();
        }
        self.faults.end("remove nodes").await
    }

    /// Nothing dangles here: all but chunks is read off them.
    async fn remove_dangling(&self) -> Result<(), Failure> {
        self.faults.begin("remove dangling").await?;
        self.faults.end("remove dangling").await
    }

    async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
        self.faults.begin("neighbours").await?;
        let graph = lock(&self.graph);
        Ok(chunks.iter().map(|id| graph.neighbours(*id)).collect())
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure> {
        self.faults.begin("scroll nodes").await?;
        let graph = lock(&self.graph);
        let behind = graph.chunks.iter().filter(|(id, _)| Some(**id) > after);
        let refs = behind.take(limit).map(|(id, it)| ChunkRef {
            chunk_guid: *id,
            document_guid: it.chunk().lineage.document_guid,
            edition: it.chunk().lineage.edition,
            version: it.chunk().lineage.version,
            group: it.chunk().lineage.group.clone(),
            visible: it.visible,
            part: it.chunk().part,
            ordinal: it.chunk().ordinal,
            content_hash: it.chunk().content_hash.clone(),
        });
        Ok(refs.collect())
    }

    async fn dump(&self) -> Result<Vec<String>, Failure> {
        self.faults.begin("dump graph").await?;
        Ok(lock(&self.graph).lines(|it| it.visible))
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        self.faults.begin("count nodes").await?;
        let lines = lock(&self.graph).lines(|it| match scope {
            Scope::Document(id) => it.is_of(*id),
            Scope::Group(name) => it.chunk().lineage.group == *name,
        });
        let nodes = lines.iter().filter(|it| it.contains("\"node\":"));
        Ok(nodes.count() as u64)
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        self.faults.begin("count nodes").await?;
        let graph = lock(&self.graph);
        let seen = graph.chunks.values().filter(|it| it.visible);
        let entities: BTreeSet<Uuid> = seen.flat_map(|it| it.mentions().map(|it| it.0)).collect();
        let lines = graph.lines(|_| true);
        let naming = |what: &str| lines.iter().filter(|it| it.contains(what)).count() as u64;
        let edges = naming("\"edge\":");
        Ok(GraphCounts {
            nodes: naming("\"node\":"),
            edges,
            dangling: 0,
            entities: entities.len() as u64,
        })
    }

    async fn health(&self) -> Result<String, Failure> {
        self.faults.begin("health").await?;
        Ok(format!(
            "{} chunks in memory",
            lock(&self.graph).chunks.len()
        ))
    }
}

impl Graph {
    /// None of a chunk that readers do not see.
    fn neighbours(&self, id: Uuid) -> Vec<Neighbour> {
        let plain = |relation: &str, label: &str, name: String| Neighbour {
            relation: relation.to_owned(),
            label: label.to_owned(),
            name,
            fields: BTreeMap::new(),
        };
        let seen = |id: &Uuid| self.chunks.get(id).filter(|it| it.visible);
        let Some(node) = seen(&id) else {
            return Vec::new();
        };
        let chunk = node.chunk();
        let mut found = Vec::new();
        if !chunk.heading_path.is_empty() {
            found.push(plain("PART_OF", "Section", chunk.heading_path.join(" > ")));
        }
        let path = &chunk.about.path;
        let title = chunk.about.title.as_ref().unwrap_or(path);
        found.push(plain("PART_OF", "Document", title.clone()));
        found.push(plain("FROM", "Source", chunk.about.source.clone()));
        let before = self.following.iter().find(|(_, to)| **to == id);
        let beside = before.map(|(from, _)| from).into_iter();
        for other in beside.chain(self.following.get(&id)).filter_map(seen) {
            found.push(plain("NEXT", "Chunk", other.chunk().text.clone()));
        }
        found.extend(node.mentions().map(|(_, label, name, fields)| Neighbour {
            fields: fields.clone(),
            ..plain("MENTIONS", label, name.to_owned())
        }));
        found
    }
}
