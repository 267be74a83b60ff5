//! What stores hold of documents, counted.

use futures::TryStreamExt;
use penstock_runtime::Failure;
use penstock_stages::blobs::document_prefix;
use penstock_stages::scope::Scope;
use penstock_stages::settle::Stores;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::objects::whose;

/// Scripts rely on these fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    pub points: u64,
    /// Of the graph.
    pub nodes: u64,
    pub objects: u64,
    pub bytes: u64,
    /// Vectors of texts, kept so that they need not be computed again.
    pub cached_vectors: u64,
}

impl Holdings {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Of what is to be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub group: String,
    /// With the newest version whose bytes count.
    pub documents: Vec<(Uuid, Uuid)>,
    /// All of the group is meant, and these documents are all it has: its sources and entities count as well.
    pub whole_group: bool,
}

impl Inventory {
    pub async fn count(&self, stores: &Stores) -> Result<Holdings, Failure> {
        let mut found = Holdings::default();
        let ids = self.documents.iter().map(|(id, _)| Scope::Document(*id));
        let scopes: Vec<Scope> = match self.whole_group {
            true => vec![Scope::Group(self.group.clone())],
            false => ids.collect(),
        };
        for scope in &scopes {
            found.points += stores.vectors.count_of(scope).await?;
            found.nodes += stores.graph.count_of(scope).await?;
        }
        for (id, newest) in &self.documents {
            let prefix = document_prefix(&self.group, *id);
            let mut walk = stores.blobs.walk(&prefix);
            while let Some(stored) = walk.try_next().await? {
                let version = whose(&stored.key).and_then(|it| it.version);
                if version.is_none_or(|it| it <= *newest) {
                    found.objects += 1;
                    found.bytes += stored.size;
                }
            }
            found.cached_vectors += stores.cache.count(&self.group, *id).await?;
        }
        Ok(found)
    }
}
