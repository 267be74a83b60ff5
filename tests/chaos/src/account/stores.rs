//! Both stores, held against what the stages said they made.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use penstock::engines::open_stores;
use penstock_schemas::Step;
use serde::Serialize;
use uuid::Uuid;

use super::heard::{Heard, part_id};
use crate::Failed;

/// One store.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoreCount {
    pub store: String,
    /// Chunks readers should see.
    pub expected: u64,
    pub held: u64,
    /// Chunks that are there more than once.
    pub twice: u64,
    /// Chunks that nothing names any more.
    pub left_over: u64,
    pub missing: u64,
    /// Chunks readers see and should not.
    pub shown_wrongly: u64,
}

/// Chunks that should be seen, and those that may lie there unseen: of documents that failed half-way.
struct Expected {
    seen: HashSet<Uuid>,
    unseen: HashSet<Uuid>,
}

fn expected(heard: &Heard) -> Expected {
    let mut expected = Expected {
        seen: HashSet::new(),
        unseen: HashSet::new(),
    };
    // shard names the chunks of each part.
    let shard = heard.steps.get(2);
    let of_edition = |edition: Uuid, parts: i32| {
        let mut chunks = Vec::new();
        for part in 0..parts {
            let told = shard.and_then(|it| it.told.get(&part_id(edition, part)));
            let made = told.map_or(&[][..], |it| it.last.1.as_slice());
            chunks.extend(made.iter().copied().map(Uuid::from_u128));
        }
        chunks
    };
    for entry in heard.ledger.values() {
        if let Some(visible) = &entry.visible {
            let chunks = of_edition(visible.lineage.edition, visible.opened.parts);
            expected.seen.extend(chunks);
        }
        for open in entry.open.iter().filter(|it| it.step == Step::Failed) {
            let parts = open.opened.as_ref().map_or(0, |it| it.parts);
            let chunks = of_edition(open.lineage.edition, parts);
            expected.unseen.extend(chunks);
        }
    }
    expected
}

/// Counts what lies in the stores of `data`, which nobody may have open.
pub async fn count(data: &Path, heard: &Heard) -> Result<Vec<StoreCount>, Failed> {
    const PAGE: usize = 1000;
    let stores = open_stores(data)?;
    let expected = expected(heard);
    let mut points = Vec::new();
    let mut after = None;
    loop {
        let page = stores.vectors.scroll(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        points.extend(page.iter().map(|it| (it.chunk_guid, it.visible)));
    }
    let mut nodes = Vec::new();
    let mut after = None;
    loop {
        let page = stores.graph.scroll(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        nodes.extend(page.iter().map(|it| (it.chunk_guid, it.visible)));
    }
    Ok(vec![
        held("vectors", &points, &expected),
        held("graph", &nodes, &expected),
    ])
}

fn held(store: &str, held: &[(Uuid, bool)], expected: &Expected) -> StoreCount {
    let mut count = StoreCount {
        store: store.to_owned(),
        expected: expected.seen.len() as u64,
        held: held.len() as u64,
        ..StoreCount::default()
    };
    let mut found: HashMap<Uuid, bool> = HashMap::new();
    for (chunk, visible) in held {
        if found.insert(*chunk, *visible).is_some() {
            count.twice += 1;
        }
        let is_expected = expected.seen.contains(chunk);
        if !is_expected && !expected.unseen.contains(chunk) {
            count.left_over += 1;
        }
        if *visible && !is_expected {
            count.shown_wrongly += 1;
        }
    }
    let is_seen = |chunk: &&Uuid| found.get(*chunk) == Some(&true);
    count.missing = (expected.seen.len() - expected.seen.iter().filter(is_seen).count()) as u64;
    count
}
