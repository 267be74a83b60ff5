//! An edition becomes the one readers see.

use std::collections::BTreeSet;

use async_trait::async_trait;
use neo4rs::{BoltMap, BoltType, Query};
use penstock_runtime::Failure;
use penstock_schemas::{About, source_guid};
use serde::Deserialize;
use uuid::Uuid;

use super::classify::Trouble;
use super::facts::{self, Stated};
use super::rows::{Rows, list};
use super::statements::{
    CHUNKS_OF_EDITIONS, EDITION, FLIP, JOIN, LOCK_DOCUMENT, SHOW_DOCUMENT, SOURCE_OF, SOURCES,
    STATED, UNJOIN, UNPLACE,
};
use super::sweep::{ChunkOf, drop_source};
use super::transaction::{Transaction, Work};

/// Shows `edition`, all in one transaction: its chunks visible and joined by NEXT along `order`, every other edition's
/// hidden, the document's properties its own, and the fields of every entity involved derived anew. An edition that is
/// older than the one shown is left hidden. Chunks that `order` names and the graph lacks are passed over; `audit`
/// reports them.
pub(super) struct Show<'a> {
    pub document: Uuid,
    pub edition: Uuid,
    pub order: &'a [Uuid],
}

/// A document, and what readers see of it.
#[derive(Deserialize)]
struct Document {
    group: String,
    edition: Option<Uuid>,
    version: Option<Uuid>,
    stamped: Option<i64>,
}

#[derive(Deserialize)]
struct Edition {
    version: Uuid,
    stamped: i64,
    about: String,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub id: Uuid,
}

#[async_trait]
impl Work for Show<'_> {
    const DOING: &'static str = "show an edition in";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        let locked = transaction
            .one::<Document>(self.query(LOCK_DOCUMENT))
            .await?;
        let Some(document) = locked else {
            return Ok(());
        };
        let Some(edition) = transaction.one::<Edition>(self.query(EDITION)).await? else {
            return Ok(());
        };
        let is_older = document.edition.is_some()
            && (document.version, document.stamped)
                > (Some(edition.version), Some(edition.stamped));
        if is_older {
            return Ok(());
        }
        let stated: Vec<Stated> = transaction.rows(self.query(STATED)).await?;
        let touched: BTreeSet<Uuid> = stated.iter().map(|it| it.entity).collect();
        let before = facts::lock(transaction, &touched).await?;
        facts::derive(transaction, self.document, &before, &stated).await?;
        transaction.run(self.query(FLIP)).await?;
        self.join(transaction).await?;
        self.place(transaction, &document.group, &edition).await
    }
}

impl Show<'_> {
    fn query(&self, statement: &str) -> Query {
        Query::new(statement.into())
            .param("document", self.document.to_string())
            .param("edition", self.edition.to_string())
    }

    /// NEXT along `order`.
    async fn join(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        let query = self
            .query(CHUNKS_OF_EDITIONS)
            .param("editions", list(vec![self.edition.to_string().into()]));
        let here: Vec<ChunkOf> = transaction.rows(query).await?;
        let mut here: BTreeSet<Uuid> = here.into_iter().map(|it| it.id).collect();
        transaction.run(self.query(UNJOIN)).await?;
        let mut rows = Rows::default();
        let mut before: Option<Uuid> = None;
        for chunk in self.order {
            // Taking it out also makes sure that a chunk named twice is joined once.
            if !here.remove(chunk) {
                continue;
            }
            if let Some(before) = before {
                let row = vec![before.to_string().into(), chunk.to_string().into()];
                rows.push(row, 80);
            }
            before = Some(*chunk);
        }
        for rows in rows.batches() {
            transaction
                .run(Query::new(JOIN.into()).param("rows", rows))
                .await?;
        }
        Ok(())
    }

    /// The document's properties, and where it comes from.
    async fn place(
        &self,
        transaction: &mut Transaction<'_>,
        group: &str,
        edition: &Edition,
    ) -> Result<(), Trouble> {
        let about: About = serde_json::from_str(&edition.about).map_err(|error| {
            Failure::fatal(format!(
                "what neo4j knows of document {} is not ours ({error}): rebuild the graph",
                self.document
            ))
        })?;
        let query = self
            .query(SHOW_DOCUMENT)
            .param("version", edition.version.to_string())
            .param("stamped", edition.stamped)
            .param("about", edition.about.as_str())
            .param("properties", properties(Some(&about)));
        transaction.run(query).await?;

        let source = source_guid(group, &about.source);
        let found: Vec<Id> = transaction.rows(self.query(SOURCE_OF)).await?;
        if matches!(found.as_slice(), [only] if only.id == source) {
            return Ok(());
        }
        transaction.run(self.query(UNPLACE)).await?;
        let row = list(vec![
            self.document.to_string().into(),
            source.to_string().into(),
            group.into(),
            about.source.as_str().into(),
        ]);
        let query = Query::new(SOURCES.into()).param("rows", list(vec![row]));
        transaction.run(query).await?;
        for former in found {
            drop_source(transaction, former.id).await?;
        }
        Ok(())
    }
}

/// Properties of a document that people query by; nulls where nothing of it is visible.
pub(super) fn properties(about: Option<&About>) -> BoltType {
    let mut map = BoltMap::default();
    let mut put = |name: &str, value: Option<BoltType>| map.put(name.into(), value.into());
    put("key", about.map(|it| it.key.as_str().into()));
    put("path", about.map(|it| it.path.as_str().into()));
    put("title", about.map(|it| it.title.clone().into()));
    put("author", about.map(|it| it.author.clone().into()));
    put("language", about.map(|it| it.language.clone().into()));
    put("created_at", about.map(|it| it.created_at.into()));
    BoltType::Map(map)
}
