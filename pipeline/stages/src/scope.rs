use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whose data is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Document(Uuid),
    /// Every document of the group.
    Group(String),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Document(id) => write!(f, "document {id}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}
