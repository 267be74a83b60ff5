//! What no reader needs any more goes, and what it alone held up goes with it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use neo4rs::Query;
use serde::Deserialize;
use uuid::Uuid;

use super::classify::Trouble;
use super::facts;
use super::rows::{id_rows, ids};
use super::show::{Id, properties};
use super::statements::{
    CHUNKS_OF_EDITIONS, DROP_CHUNKS, DROP_DANGLING, DROP_DOCUMENT, DROP_ENTITIES, DROP_SECTIONS,
    DROP_SOURCE, ENTITIES_OF_CHUNKS, HIDE_DOCUMENT, LEFT, LOCK_DOCUMENT, NAMED_CHUNKS, SOURCE_OF,
    STATED,
};
use super::transaction::{Transaction, Work};

/// Deletes the edition's chunks that are not in `chunks`.
pub(super) struct Retain<'a> {
    pub document: Uuid,
    pub edition: Uuid,
    pub chunks: &'a [Uuid],
}

/// Deletes what belongs to these editions of the document.
pub(super) struct DropEditions<'a> {
    pub document: Uuid,
    pub editions: &'a [Uuid],
}

/// Deletes these chunks, of whichever documents.
pub(super) struct RemoveChunks<'a>(pub &'a [Uuid]);

/// Deletes what holds nothing up and is held by nothing.
pub(super) struct RemoveDangling;

#[derive(Deserialize)]
struct Named {
    id: Uuid,
    visible: bool,
    document: Option<Uuid>,
}

#[derive(Deserialize)]
struct Gone {
    count: u64,
}

/// A chunk of an edition.
#[derive(Deserialize)]
pub(super) struct ChunkOf {
    pub id: Uuid,
    pub visible: bool,
}

#[derive(Deserialize)]
struct Left {
    /// There are chunks or sections.
    full: bool,
    /// There are chunks of the edition that is shown.
    shown: bool,
}

#[async_trait]
impl Work for Retain<'_> {
    const DOING: &'static str = "sweep chunks of";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        let kept: BTreeSet<Uuid> = self.chunks.iter().copied().collect();
        let mut gone = begin(transaction, self.document, &[self.edition]).await?;
        gone.retain(|chunk| !kept.contains(&chunk.id));
        if gone.is_empty() {
            return Ok(());
        }
        drop_chunks(transaction, self.document, &gone).await?;
        forget_empty(transaction, self.document).await
    }
}

#[async_trait]
impl Work for DropEditions<'_> {
    const DOING: &'static str = "sweep editions of";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        if self.editions.is_empty() {
            return Ok(());
        }
        let gone = begin(transaction, self.document, self.editions).await?;
        drop_chunks(transaction, self.document, &gone).await?;
        forget_empty(transaction, self.document).await
    }
}

#[async_trait]
impl Work for RemoveChunks<'_> {
    const DOING: &'static str = "remove chunks from";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        let mut documents: BTreeMap<Option<Uuid>, Vec<ChunkOf>> = BTreeMap::new();
        for ids in id_rows(self.0).batches() {
            let query = Query::new(NAMED_CHUNKS.into()).param("ids", ids);
            for Named {
                id,
                visible,
                document,
            } in transaction.rows(query).await?
            {
                let gone = documents.entry(document).or_default();
                gone.push(ChunkOf { id, visible });
            }
        }
        for document in documents.keys().flatten() {
            transaction.run(of(*document, LOCK_DOCUMENT)).await?;
        }
        for (document, gone) in documents {
            // One that hangs on no document leaves none empty.
            drop_chunks(transaction, document.unwrap_or_default(), &gone).await?;
            if let Some(document) = document {
                forget_empty(transaction, document).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Work for RemoveDangling {
    const DOING: &'static str = "remove what dangles from";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        for statement in DROP_DANGLING {
            let mut more = true;
            while more {
                more = false;
                let query = Query::new(statement.into());
                transaction
                    .long_each::<Gone>(query, |gone| {
                        more |= gone.count > 0;
                        Ok(())
                    })
                    .await?;
            }
        }
        Ok(())
    }
}

fn of(document: Uuid, statement: &str) -> Query {
    Query::new(statement.into()).param("document", document.to_string())
}

/// Takes the document's lock; the chunks of these editions.
async fn begin(
    transaction: &mut Transaction<'_>,
    document: Uuid,
    editions: &[Uuid],
) -> Result<Vec<ChunkOf>, Trouble> {
    transaction.run(of(document, LOCK_DOCUMENT)).await?;
    transaction
        .rows(of(document, CHUNKS_OF_EDITIONS).param("editions", ids(editions)))
        .await
}

/// Deletes chunks, with the entities that nothing else mentions.
async fn drop_chunks(
    transaction: &mut Transaction<'_>,
    document: Uuid,
    gone: &[ChunkOf],
) -> Result<(), Trouble> {
    let mut touched = BTreeSet::new();
    for ids in id_rows(gone.iter().map(|it| &it.id)).batches() {
        let query = Query::new(ENTITIES_OF_CHUNKS.into()).param("ids", ids);
        let found: Vec<Id> = transaction.rows(query).await?;
        touched.extend(found.into_iter().map(|it| it.id));
    }
    let before = facts::lock(transaction, &touched).await?;
    for ids in id_rows(gone.iter().map(|it| &it.id)).batches() {
        transaction
            .run(Query::new(DROP_CHUNKS.into()).param("ids", ids))
            .await?;
    }
    if gone.iter().any(|chunk| chunk.visible) {
        // No edition but those that are visible: the nil one is nobody's.
        let query = of(document, STATED).param("edition", Uuid::nil().to_string());
        let mut stated: Vec<facts::Stated> = transaction.rows(query).await?;
        for left in &mut stated {
            left.shown = true;
        }
        facts::derive(transaction, document, &before, &stated).await?;
    }
    for ids in id_rows(&touched).batches() {
        transaction
            .run(Query::new(DROP_ENTITIES.into()).param("ids", ids))
            .await?;
    }
    Ok(())
}

/// Drops sections, the document and its source where nothing is left below them.
async fn forget_empty(transaction: &mut Transaction<'_>, document: Uuid) -> Result<(), Trouble> {
    transaction.run(of(document, DROP_SECTIONS)).await?;
    let Some(left) = transaction.one::<Left>(of(document, LEFT)).await? else {
        return Ok(());
    };
    if left.full {
        // A document whose visible edition is gone is as good as one never shown.
        if !left.shown {
            let query = of(document, HIDE_DOCUMENT).param("properties", properties(None));
            transaction.run(query).await?;
        }
        return Ok(());
    }
    let sources: Vec<Id> = transaction.rows(of(document, SOURCE_OF)).await?;
    transaction.run(of(document, DROP_DOCUMENT)).await?;
    for source in sources {
        drop_source(transaction, source.id).await?;
    }
    Ok(())
}

/// Drops a source that no document comes from.
pub(super) async fn drop_source(
    transaction: &mut Transaction<'_>,
    source: Uuid,
) -> Result<(), Trouble> {
    let query = Query::new(DROP_SOURCE.into()).param("source", source.to_string());
    transaction.run(query).await
}
