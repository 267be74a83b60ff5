use std::time::Duration;

use penstock_adapters::neo4j::Neo4jConfig;
use serde::{Deserialize, Serialize};

use super::Secret;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neo4jSettings {
    /// Bolt of Neo4j: neo4j+s://HOST:7687, comma-separated; empty: the graph lies in the data folder.
    pub url: String,
    /// Empty: the server's default one.
    pub database: String,
    /// Empty: the server asks nobody who they are.
    pub user: String,
    pub password: Secret,
    /// File (PEM) of authorities to trust beside the system's.
    pub ca: String,
    /// Longest time for one transaction, seconds.
    pub timeout_seconds: u64,
    /// Connections kept open by one process.
    pub connections: usize,
}

impl Default for Neo4jSettings {
    fn default() -> Self {
        let config = Neo4jConfig::new("");
        Self {
            url: config.url,
            database: config.database,
            user: config.user,
            password: Secret::default(),
            ca: config.ca,
            timeout_seconds: config.timeout.as_secs(),
            connections: config.connections,
        }
    }
}

impl Neo4jSettings {
    pub(super) fn config(&self) -> Option<Neo4jConfig> {
        if self.url.is_empty() {
            return None;
        }
        Some(Neo4jConfig {
            database: self.database.clone(),
            user: self.user.clone(),
            password: self.password.0.clone(),
            ca: self.ca.clone(),
            timeout: Duration::from_secs(self.timeout_seconds),
            connections: self.connections,
            ..Neo4jConfig::new(self.url.clone())
        })
    }

    /// `neo4j`: what these come to.
    pub(super) fn check(&self, neo4j: &Neo4jConfig) -> Result<(), String> {
        if self.user.is_empty() != self.password.0.is_empty() {
            return Err(
                "neo4j.user and neo4j.password belong together: set both or neither".to_owned(),
            );
        }
        if !(1..=3600).contains(&self.timeout_seconds) {
            return Err(format!(
                "neo4j.timeout_seconds is {}, expected 1 to 3600",
                self.timeout_seconds
            ));
        }
        if !(1..=1024).contains(&self.connections) {
            return Err(format!(
                "neo4j.connections is {}, expected 1 to 1024",
                self.connections
            ));
        }
        neo4j.check().map_err(|failure| failure.reason().to_owned())
    }
}
