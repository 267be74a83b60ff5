use std::time::Duration;

use penstock_runtime::Failure;
use url::Url;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests at once.
const STREAMS: usize = 4;

/// How to reach a Qdrant cluster. Files are PEM; empty text means not set.
#[derive(Clone, PartialEq, Eq)]
pub struct QdrantConfig {
    /// `http://host:6334` or `https://host:6334` (gRPC), comma-separated: nodes of one cluster.
    pub url: String,
    pub api_key: String,
    /// Authorities to trust instead of the system's.
    pub ca: String,
    /// Name of the collection, or of the alias for it; empty: as declared in `schemas/qdrant/chunks.yaml`.
    pub collection: String,
    /// Of one request.
    pub timeout: Duration,
    /// Requests at once of one call.
    pub streams: usize,
}

impl QdrantConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: String::new(),
            ca: String::new(),
            collection: String::new(),
            timeout: TIMEOUT,
            streams: STREAMS,
        }
    }

    /// Refuses what cannot be meant, before anything is connected.
    pub fn check(&self) -> Result<(), Failure> {
        let urls = self.urls()?;
        let secure = |url: &Url| url.scheme() == "https";
        if !self.ca.is_empty() && !urls.iter().all(secure) {
            return Err(Failure::fatal(
                "qdrant.ca needs https:// in qdrant.url: without TLS there is nothing to trust",
            ));
        }
        if !self.api_key.is_empty() && !urls.iter().all(|url| secure(url) || is_loopback(url)) {
            return Err(Failure::fatal(
                "qdrant.api_key would travel in clear: use https:// in qdrant.url",
            ));
        }
        Ok(())
    }

    /// The nodes, in the order they are tried.
    pub(super) fn urls(&self) -> Result<Vec<Url>, Failure> {
        let wrong = |text: &str, what: &str| {
            Failure::fatal(format!(
                "qdrant.url: {text:?} {what}: expected http://HOST:6334 or https://HOST:6334, comma-separated"
            ))
        };
        self.url
            .split(',')
            .map(str::trim)
            .map(|text| {
                // A secret in an address would be shown wherever the address is.
                let shown = if text.contains('@') {
                    "what is set"
                } else {
                    text
                };
                let url = Url::parse(text).map_err(|error| wrong(shown, &error.to_string()))?;
                if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
                    return Err(wrong(shown, "is no address of Qdrant's gRPC"));
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(wrong(shown, "holds a login; set qdrant.api_key"));
                }
                Ok(url)
            })
            .collect()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl std::fmt::Debug for QdrantConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("QdrantConfig")
            .field("url", &self.url)
            .field("ca", &self.ca)
            .field("collection", &self.collection)
            .field("timeout", &self.timeout)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_connected() {
        for url in [
            "http://a:6334",
            "https://a:6334, https://b:6334",
            "http://[::1]:6334",
        ] {
            QdrantConfig::new(url).check().unwrap();
        }
        let check = |config: QdrantConfig, words: &[&str]| {
            let failure = config.check().unwrap_err();
            assert_eq!(failure.class(), "fatal");
            for word in words {
                assert!(failure.reason().contains(word), "{failure} lacks {word}");
            }
        };
        check(QdrantConfig::new(""), &["qdrant.url"]);
        check(
            QdrantConfig::new("grpc://a:6334"),
            &["grpc://a:6334", "http://HOST:6334"],
        );
        let with_key = |url: &str| QdrantConfig {
            api_key: "hunter2".to_owned(),
            ..QdrantConfig::new(url)
        };
        check(with_key("http://a:6334"), &["qdrant.api_key", "https://"]);
        with_key("http://127.0.0.1:6334").check().unwrap();
        assert!(!format!("{:?}", with_key("https://a")).contains("hunter2"));
        let failure = QdrantConfig::new("http://x:hunter2@a").check().unwrap_err();
        assert!(!failure.reason().contains("hunter2"), "{failure}");
    }
}
