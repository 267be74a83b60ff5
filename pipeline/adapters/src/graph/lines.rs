//! The visible graph in a canonical order, for comparisons.

use penstock_schemas::About;
use serde_json::{Value, json};
use uuid::Uuid;

/// One JSON object per visible node and edge. `key`, `from` and `to` are the same in every run over the same documents
/// and decide the order; what depends on the version, and so on the run, stands apart in `ids`, `edition`, `version`
/// and `stamped`.
#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

/// What orders a line (nodes before edges, then kind, then keys), and the line.
type Line = ([String; 5], String);

/// Where a chunk stands, and its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkKey {
    pub document: Uuid,
    pub part: i64,
    pub ordinal: i64,
    pub chunk: Uuid,
}

pub(crate) struct ChunkNode {
    pub edition: Uuid,
    pub start_char: i64,
    pub end_char: i64,
    pub page_first: Option<i64>,
    pub page_last: Option<i64>,
    pub content_hash: String,
    pub text: String,
}

impl Lines {
    pub fn sorted(mut self) -> Vec<String> {
        self.0.sort();
        self.0.into_iter().map(|(_, line)| line).collect()
    }

    pub fn source(&mut self, group: &str, name: &str) {
        self.node(
            "Source",
            source_key(group, name),
            json!({"group": group, "name": name}),
        );
    }

    /// `shown`: edition and version.
    pub fn document(
        &mut self,
        document: Uuid,
        group: &str,
        about: &About,
        shown: [Uuid; 2],
        stamped: i64,
    ) {
        let [edition, version] = shown;
        self.node(
            "Document",
            document.to_string(),
            json!({"group": group, "about": about, "edition": edition, "version": version, "stamped": stamped}),
        );
    }

    /// `heading_path` is a JSON list, which also is the section's name in keys.
    pub fn section(&mut self, document: Uuid, heading_path: &str, section: Uuid, edition: Uuid) {
        let headings: Value = serde_json::from_str(heading_path).unwrap_or_default();
        self.node(
            "Section",
            section_key(document, heading_path),
            json!({"heading_path": headings, "ids": [section], "edition": edition}),
        );
    }

    pub fn chunk(&mut self, key: ChunkKey, node: &ChunkNode) {
        self.node(
            "Chunk",
            chunk_key(key),
            json!({
                "ids": [key.chunk], "edition": node.edition, "start_char": node.start_char, "end_char": node.end_char,
                "page_first": node.page_first, "page_last": node.page_last, "content_hash": node.content_hash,
                "text": node.text,
            }),
        );
    }

    pub fn entity(
        &mut self,
        entity: Uuid,
        group: &str,
        label: &str,
        normal_form: &str,
        fields: &Value,
    ) {
        self.node(
            "Entity",
            entity.to_string(),
            json!({"group": group, "label": label, "normal_form": normal_form, "fields": fields}),
        );
    }

    /// FROM.
    pub fn from(&mut self, document: Uuid, group: &str, source: &str) {
        let to = source_key(group, source);
        self.edge("FROM", document.to_string(), to, 0, json!({}));
    }

    /// PART_OF, of a section.
    pub fn section_part_of(&mut self, document: Uuid, heading_path: &str, section: Uuid) {
        self.edge(
            "PART_OF",
            section_key(document, heading_path),
            document.to_string(),
            0,
            json!({"ids": [section, document]}),
        );
    }

    /// PART_OF, of a chunk: in a section (heading path and id), or else in its document.
    pub fn chunk_part_of(&mut self, key: ChunkKey, section: Option<(&str, Uuid)>) {
        let (to, id) = match section {
            Some((heading_path, section)) => (section_key(key.document, heading_path), section),
            None => (key.document.to_string(), key.document),
        };
        let ids = json!({"ids": [key.chunk, id]});
        self.edge("PART_OF", chunk_key(key), to, 0, ids);
    }

    /// NEXT.
    pub fn next(&mut self, key: ChunkKey, following: ChunkKey) {
        let ids = json!({"ids": [key.chunk, following.chunk]});
        self.edge("NEXT", chunk_key(key), chunk_key(following), 0, ids);
    }

    /// MENTIONS; `place`: start and end.
    pub fn mentions(
        &mut self,
        key: ChunkKey,
        entity: Uuid,
        place: [i64; 2],
        passage: &str,
        fields: &Value,
    ) {
        let [start, end] = place;
        self.edge(
            "MENTIONS",
            chunk_key(key),
            entity.to_string(),
            start,
            json!({"ids": [key.chunk, entity], "start": start, "end": end, "passage": passage, "fields": fields}),
        );
    }

    fn node(&mut self, label: &str, key: String, properties: Value) {
        let order = ["node", label, &key, "", ""].map(String::from);
        let line = json!({"node": label, "key": key, "properties": properties});
        self.0.push((order, line.to_string()));
    }

    fn edge(&mut self, relation: &str, from: String, to: String, place: i64, properties: Value) {
        // "~" sorts behind "node".
        let order = ["~edge", relation, &from, &to, &format!("{place:020}")].map(String::from);
        let line = json!({"edge": relation, "from": from, "to": to, "properties": properties});
        self.0.push((order, line.to_string()));
    }
}

fn source_key(group: &str, name: &str) -> String {
    format!("{group}/{name}")
}

fn section_key(document: Uuid, heading_path: &str) -> String {
    format!("{document}/{heading_path}")
}

fn chunk_key(key: ChunkKey) -> String {
    format!("{}/{:06}/{:06}", key.document, key.part, key.ordinal)
}
