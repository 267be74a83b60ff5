//! What every graph store does, stated once: each store has all of these tests.

mod behaviour;
mod editions;

use std::collections::BTreeMap;

use async_trait::async_trait;
use penstock_schemas::{
    About, Chunk, Lineage, chunk_guid, content_hash, document_guid, edition_id,
};
use penstock_stages::link::{GraphStore, Linked, Mention};
use uuid::Uuid;

pub(crate) use behaviour::*;
pub(crate) use editions::*;

/// A store, empty at first.
#[async_trait(?Send)]
pub(crate) trait World {
    fn graph(&self) -> &dyn GraphStore;
    /// Nothing is in the store from now on.
    async fn empty(&mut self);
    /// The same store by another process.
    async fn reopen(&mut self);
    /// How much chance there is time for.
    fn rounds(&self) -> u64;
}

/// A test for each behaviour, on a store that `$world` makes.
macro_rules! behaviours {
    ($world:path) => {
        $crate::graph::tests::behaviours! { $world:
            an_edition_is_seen_once_shown
            doing_a_thing_again_changes_nothing_and_it_outlives_the_process
            next_follows_the_order_and_passes_over_what_is_missing
            runs_over_the_same_documents_differ_only_in_what_depends_on_the_version
            pages_of_the_scroll_join_up
            groups_never_meet
            a_newer_edition_replaces_an_older_one_and_never_the_other_way
            what_the_last_run_does_not_name_is_swept
            two_editions_of_one_version_do_not_mix
            the_newest_version_states_a_field_in_any_order
            any_interleaving_and_any_replay_gives_the_same_graph
        }
    };
    ($world:path: $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::graph::tests::$name(&mut $world()).await;
        }
    )*};
}
pub(crate) use behaviours;

pub(crate) const LOAD: &str = "LD-48213";

/// An edition of a document, in as many chunks as there are `texts`.
pub(crate) struct Edition {
    pub lineage: Lineage,
    pub rows: Vec<Linked>,
}

impl Edition {
    pub fn ids(&self) -> Vec<Uuid> {
        self.rows.iter().map(|row| row.chunk.chunk_guid).collect()
    }

    pub async fn put(&self, graph: &dyn GraphStore) {
        graph.write(self.rows.clone()).await.unwrap();
    }

    pub async fn show(&self, graph: &dyn GraphStore) {
        let (document, edition) = (self.lineage.document_guid, self.lineage.edition);
        graph
            .retain_chunks(document, edition, &self.ids())
            .await
            .unwrap();
        graph.show(document, edition, &self.ids()).await.unwrap();
        let others = graph.scroll(None, usize::MAX).await.unwrap();
        let others: Vec<Uuid> = others
            .iter()
            .filter(|it| it.document_guid == document && it.edition != edition)
            .map(|it| it.edition)
            .collect();
        graph.drop_editions(document, &others).await.unwrap();
    }
}

/// `mentions` per chunk: (label, normal form, field=value …).
pub(crate) fn edition(key: &str, version: u64, mentions: &[&[(&str, &str, &str)]]) -> Edition {
    edition_by("recipe", key, version, mentions)
}

pub(crate) fn edition_by(
    recipe: &str,
    key: &str,
    version: u64,
    mentions: &[&[(&str, &str, &str)]],
) -> Edition {
    let document = document_guid("freight", "docs", key);
    let version = uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + version, &[1; 10])
        .into_uuid();
    let lineage = Lineage {
        group: "freight".into(),
        document_guid: document,
        version,
        edition: edition_id(document, version, recipe),
        stamped: 1,
    };
    let rows = mentions
        .iter()
        .enumerate()
        .map(|(ordinal, mentions)| {
            let ordinal = ordinal as i32;
            let text = format!("{key} {recipe} {ordinal} {mentions:?}");
            let hash = content_hash(text.as_bytes());
            Linked {
                chunk: Chunk {
                    lineage: lineage.clone(),
                    part: 0,
                    chunk_guid: chunk_guid(document, lineage.edition, 0, ordinal, &hash),
                    ordinal,
                    text,
                    start_char: 0,
                    end_char: 10,
                    page_first: Some(1),
                    page_last: None,
                    heading_path: if ordinal == 0 {
                        Vec::new()
                    } else {
                        vec!["Guide".into(), "Loading".into()]
                    },
                    content_hash: hash,
                    tokens: 4,
                    about: About {
                        source: "docs".into(),
                        key: key.into(),
                        path: format!("docs/{key}"),
                        title: Some(format!("Title of {key} {version}")),
                        author: None,
                        language: None,
                        created_at: None,
                        attributes: BTreeMap::new(),
                    },
                },
                mentions: mentions
                    .iter()
                    .enumerate()
                    .map(|(at, mention)| mentioned(at, mention))
                    .collect(),
            }
        })
        .collect();
    Edition { lineage, rows }
}

fn mentioned(at: usize, (label, normal_form, fields): &(&str, &str, &str)) -> Mention {
    let fields = fields
        .split_terminator(',')
        .filter_map(|field| field.split_once('='));
    Mention {
        label: (*label).into(),
        normal_form: (*normal_form).into(),
        passage: (*normal_form).into(),
        start: at * 10,
        end: at * 10 + 5,
        fields: fields
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    }
}

/// The fields of an entity, as `a=b,c=d`; none where no reader sees it.
pub(crate) async fn fields(graph: &dyn GraphStore, normal_form: &str) -> Option<String> {
    let lines = graph.dump().await.unwrap();
    let nodes = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let found = nodes
        .map(|node| node["properties"].clone())
        .find(|it| it["normal_form"] == normal_form)?;
    let fields = found["fields"].as_object().unwrap().iter();
    Some(
        fields
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(","),
    )
}
