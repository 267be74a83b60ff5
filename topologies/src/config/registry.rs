use penstock_adapters::registry::{Login, RegistryConfig};
use serde::{Deserialize, Serialize};

use super::Secret;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RegistrySettings {
    /// Schema registry with Confluent's API: https://HOST:PORT, comma-separated; empty: records name their schemas by
    /// fingerprint.
    pub url: String,
    pub username: String,
    pub password: Secret,
    /// Bearer token, instead of a username and its password.
    pub token: Secret,
    /// File (PEM) of authorities to trust instead of the system's.
    pub ca: String,
    /// Files (PEM) for mutual TLS.
    pub certificate: String,
    pub key: String,
}

impl RegistrySettings {
    pub(super) fn config(&self) -> Option<RegistryConfig> {
        if self.url.is_empty() {
            return None;
        }
        let login = match (self.username.as_str(), self.token.0.as_str()) {
            ("", "") => Login::Nobody,
            ("", token) => Login::Bearer {
                token: token.to_owned(),
            },
            (username, _) => Login::Basic {
                username: username.to_owned(),
                password: self.password.0.clone(),
            },
        };
        Some(RegistryConfig {
            login,
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            ..RegistryConfig::new(self.url.clone())
        })
    }

    /// `registry`: what these come to.
    pub(super) fn check(&self, registry: &RegistryConfig) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if self.username.is_empty() != self.password.0.is_empty() {
            return wrong(
                "registry.username and registry.password belong together: set both or neither",
            );
        }
        if !self.username.is_empty() && !self.token.0.is_empty() {
            return wrong("registry.username and registry.token are two logins: set one of them");
        }
        registry
            .check()
            .map_err(|failure| failure.reason().to_owned())
    }
}
