//! How both stores are read: here, or by the process that owns the data folder.

use std::sync::Arc;

use penstock_runtime::Failure;
use penstock_stages::embed::Embedder;
use penstock_stages::settle::Stores;
use serde_json::Value;
use uuid::Uuid;

use crate::query::{Answer, AnswerNeighbour, Question, answer};
use crate::serve::Client;

pub enum Reach {
    Here {
        stores: Box<Stores>,
        embedder: Arc<dyn Embedder>,
    },
    Owner(Client),
}

impl Reach {
    pub async fn query(&self, question: &Question) -> Result<Answer, Failure> {
        match self {
            Self::Here { stores, embedder } => {
                let (vectors, graph) = (stores.vectors.as_ref(), stores.graph.as_ref());
                answer(question, embedder.as_ref(), vectors, graph).await
            }
            Self::Owner(client) => client.query(question).await,
        }
    }

    /// The document's visible points, as `VectorStore::dump` tells them.
    pub async fn points(&self, document: Uuid) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Here { stores, .. } => stores.vectors.dump(document).await,
            Self::Owner(client) => client.points(document).await,
        }
    }

    /// What the graph has beside each chunk; nothing of one that readers do not see.
    pub async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<AnswerNeighbour>>, Failure> {
        match self {
            Self::Here { stores, .. } => {
                let found = stores.graph.neighbours(chunks).await?;
                let each = |it: Vec<_>| it.into_iter().map(AnswerNeighbour::from).collect();
                Ok(found.into_iter().map(each).collect())
            }
            Self::Owner(client) => client.neighbours(chunks).await,
        }
    }
}
