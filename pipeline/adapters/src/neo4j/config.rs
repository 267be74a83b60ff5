use std::time::Duration;

use penstock_runtime::Failure;
use url::Url;

/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Connections kept to a server.
const CONNECTIONS: usize = 16;
const SCHEMES: [&str; 4] = ["bolt", "bolt+s", "neo4j", "neo4j+s"];

/// How to reach Neo4j. Files are PEM; empty text means not set.
#[derive(Clone, PartialEq, Eq)]
pub struct Neo4jConfig {
    /// `bolt://host:7687` or `neo4j://host:7687`, with `+s` for TLS; of several, comma-separated, the one that takes writes
    /// is used.
    pub url: String,
    /// Empty: the server's default one.
    pub database: String,
    pub user: String,
    pub password: String,
    /// Authorities to trust beside the system's.
    pub ca: String,
    /// Of one transaction.
    pub timeout: Duration,
    pub connections: usize,
}

impl Neo4jConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: String::new(),
            user: String::new(),
            password: String::new(),
            ca: String::new(),
            timeout: TIMEOUT,
            connections: CONNECTIONS,
        }
    }

    /// Refuses what cannot be meant, before anything is connected.
    pub fn check(&self) -> Result<(), Failure> {
        let urls = self.urls()?;
        let secure = |url: &Url| url.scheme().ends_with("+s");
        if !self.ca.is_empty() && !urls.iter().all(secure) {
            return Err(Failure::fatal(
                "neo4j.ca needs neo4j+s:// or bolt+s:// in neo4j.url: without TLS there is nothing to trust",
            ));
        }
        Ok(())
    }

    /// The servers, in the order they are tried.
    pub(super) fn urls(&self) -> Result<Vec<Url>, Failure> {
        let wrong = |text: &str, what: &str| {
            Failure::fatal(format!(
                "neo4j.url: {text:?} {what}: expected neo4j://HOST:PORT, bolt://HOST:PORT, or either with +s, comma-separated"
            ))
        };
        self.url
            .split(',')
            .map(str::trim)
            .map(|text| {
                // A password in an address would be shown wherever the address is.
                let shown = if text.contains('@') {
                    "what is set"
                } else {
                    text
                };
                let url = Url::parse(text).map_err(|error| wrong(shown, &error.to_string()))?;
                if url.scheme().ends_with("+ssc") {
                    return Err(wrong(
                        shown,
                        "would trust any certificate, which this client does not: use +s, and set neo4j.ca to the server's",
                    ));
                }
                if !SCHEMES.contains(&url.scheme()) || url.host_str().is_none() {
                    return Err(wrong(shown, "is no address of Neo4j"));
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(wrong(
                        shown,
                        "holds a login, which belongs in neo4j.user and neo4j.password",
                    ));
                }
                Ok(url)
            })
            .collect()
    }
}

impl std::fmt::Debug for Neo4jConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Neo4jConfig")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("ca", &self.ca)
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_connected() {
        for url in [
            "bolt://a:7687",
            "neo4j+s://a, neo4j+s://b:7688",
            "bolt+s://[::1]:7687",
        ] {
            Neo4jConfig::new(url).check().unwrap();
        }
        let check = |url: &str, words: &[&str]| {
            let failure = Neo4jConfig::new(url).check().unwrap_err();
            assert_eq!(failure.class(), "fatal");
            for word in words {
                assert!(failure.reason().contains(word), "{failure} lacks {word}");
            }
        };
        check("", &["neo4j.url"]);
        check("http://a:7474", &["http://a:7474", "neo4j://HOST:PORT"]);
        check("bolt://a:7687,b", &["\"b\""]);
        check("neo4j+ssc://a", &["neo4j+ssc://a", "neo4j.ca"]);
        let failure = Neo4jConfig::new("bolt://neo4j:hunter2@a")
            .check()
            .unwrap_err();
        assert!(!failure.reason().contains("hunter2"), "{failure}");
        let ca = Neo4jConfig {
            ca: "ca.pem".to_owned(),
            ..Neo4jConfig::new("bolt://a")
        };
        assert!(ca.check().unwrap_err().reason().contains("neo4j+s"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = Neo4jConfig {
            password: "hunter2".to_owned(),
            ..Neo4jConfig::new("bolt://a")
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
