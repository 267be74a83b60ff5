use std::time::Duration;

use penstock_runtime::Failure;
use url::Url;

/// How long one request may take, and how long a connection.
const REQUEST: Duration = Duration::from_secs(10);

/// How to reach a registry. Files are PEM; empty text means not set.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `https://host:port`, comma-separated: of several, one that answers is asked.
    pub url: String,
    pub login: Login,
    /// Authorities to trust instead of the system's.
    pub ca: String,
    /// Our own certificate, with the authorities between it and one the registry trusts.
    pub certificate: String,
    /// Its private key, not encrypted.
    pub key: String,
    /// Of one request.
    pub timeout: Duration,
}

/// Who asks. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    Nobody,
    /// With Confluent Cloud an API key and its secret.
    Basic {
        username: String,
        password: String,
    },
    Bearer {
        token: String,
    },
}

impl RegistryConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            login: Login::Nobody,
            ca: String::new(),
            certificate: String::new(),
            key: String::new(),
            timeout: REQUEST,
        }
    }

    /// Refuses what cannot be meant, before anything is connected.
    pub fn check(&self) -> Result<(), Failure> {
        self.urls()?;
        if self.certificate.is_empty() != self.key.is_empty() {
            return Err(Failure::fatal(
                "registry.certificate and registry.key belong together: set both or neither",
            ));
        }
        Ok(())
    }

    pub(super) fn urls(&self) -> Result<Vec<Url>, Failure> {
        let read = |text: &str| match Url::parse(text) {
            // What stands there may be a secret: it is not shown.
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                Err(Failure::fatal(
                    "registry.url has a login in it: set registry.username and registry.password instead",
                ))
            }
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.query().is_none() => {
                Ok(url)
            }
            _ => Err(Failure::fatal(
                "registry.url is no address of a registry, expected http://HOST:PORT or https://HOST:PORT",
            )),
        };
        self.url.split(',').map(|text| read(text.trim())).collect()
    }
}
