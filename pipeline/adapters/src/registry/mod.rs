//! A schema registry with Confluent's API, as Confluent's own, Karapace, Apicurio and Redpanda have it.

mod classify;
mod config;
mod subjects;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_runtime::Failure;
use penstock_schemas::{LookupError, SchemaRegistry};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::tls::{Certificate, Identity};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;
use url::Url;

use classify::{Refused, by_status, by_transport, garbage};

pub use config::{Login, RegistryConfig};
pub use subjects::{Gap, State, codec, gaps, refuse, register};

/// What a registry speaks.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";
/// How often a question is asked that gets no answer. Who asked may have more patience.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause a registry may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// A registry. Asks over one connection or a few, which are kept.
pub struct Registry {
    client: Client,
    urls: Vec<Url>,
    login: Login,
}

/// A schema under a subject.
#[derive(Debug, Deserialize)]
struct Found {
    id: u32,
    schema: String,
}

#[derive(Debug, Deserialize)]
struct Given {
    id: u32,
}

#[derive(Debug, Deserialize)]
struct Judged {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ById {
    schema: String,
    /// Left out where it is Avro.
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
}

/// What a registry says to a new schema for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    NoSubject,
    Compatible,
    /// In the registry's words.
    Incompatible(String),
}

impl Registry {
    /// Reads certificates; connects at the first question.
    pub fn new(config: &RegistryConfig) -> Result<Self, Failure> {
        config.check()?;
        let urls = config.urls()?;
        let mut client = Client::builder()
            .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(config.timeout))
            .timeout(config.timeout);
        if !config.ca.is_empty() {
            let authorities = Certificate::from_pem_bundle(&read("registry.ca", &config.ca)?)
                .map_err(|error| no_pem("registry.ca", &config.ca, &error))?;
            if authorities.is_empty() {
                return Err(Failure::fatal(format!(
                    "registry.ca: file {}: there is no certificate in it",
                    config.ca
                )));
            }
            client = client.tls_certs_only(authorities);
        } else if urls.iter().all(|url| url.scheme() == "http") {
            // There may be none on this machine, and none is needed.
            client = client.tls_certs_only([]);
        }
        if !config.certificate.is_empty() {
            let mut both = read("registry.certificate", &config.certificate)?;
            both.push(b'\n');
            both.extend(read("registry.key", &config.key)?);
            let identity = Identity::from_pem(&both).map_err(|error| {
                no_pem("registry.certificate, registry.key", &config.key, &error)
            })?;
            client = client.identity(identity);
        }
        let client = client
            .build()
            .map_err(|error| Failure::fatal(format!("schema registry: {error}")))?;
        Ok(Self {
            client,
            urls,
            login: config.login.clone(),
        })
    }

    /// The id of exactly this schema, and its text as it is kept there; none where it is not registered under the subject.
    async fn find(&self, subject: &str, schema: &str) -> Result<Option<Found>, Failure> {
        let doing = format!("look up {subject} in the schema registry");
        let body = json!({ "schema": schema }).to_string();
        let path = ["subjects", subject];
        match self.ask(&doing, &Method::POST, &path, Some(body)).await {
            Ok(found) => Ok(Some(found)),
            Err(Refused::Absent) => Ok(None),
            Err(refused) => Err(failed(refused, &doing)),
        }
    }

    /// Whether the subject takes this schema beside its newest one.
    async fn judge(&self, subject: &str, schema: &str) -> Result<Verdict, Failure> {
        let doing = format!("hold {subject} against the schema registry");
        let body = json!({ "schema": schema }).to_string();
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        match self.ask(&doing, &Method::POST, &path, Some(body)).await {
            Ok(Judged {
                is_compatible: true,
                ..
            }) => Ok(Verdict::Compatible),
            Ok(judged) => Ok(Verdict::Incompatible(told(&judged.messages))),
            Err(Refused::Absent) => Ok(Verdict::NoSubject),
            Err(refused) => Err(failed(refused, &doing)),
        }
    }

    /// Registers the schema as the subject's newest; its id, or why the registry does not take it.
    async fn register(&self, subject: &str, schema: &str) -> Result<Result<u32, String>, Failure> {
        let doing = format!("register {subject} with the schema registry");
        let body = json!({ "schema": schema }).to_string();
        let path = ["subjects", subject, "versions"];
        match self.ask(&doing, &Method::POST, &path, Some(body)).await {
            Ok(Given { id }) => Ok(Ok(id)),
            Err(Refused::Incompatible(words)) => Ok(Err(words)),
            Err(refused) => Err(failed(refused, &doing)),
        }
    }

    /// One question, asked again where there is no answer.
    async fn ask<T: DeserializeOwned>(
        &self,
        doing: &str,
        method: &Method,
        path: &[&str],
        body: Option<String>,
    ) -> Result<T, Refused> {
        let mut tries = 1;
        loop {
            let refused = match self.ask_each(doing, method, path, body.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            match refused {
                Refused::Failed(Failure::Transient { retry_after, .. }) if tries < TRIES => {
                    sleep(retry_after.unwrap_or(PAUSE * tries).min(LONGEST_PAUSE)).await;
                    tries += 1;
                }
                refused => return Err(refused),
            }
        }
    }

    /// Each address in turn until one answers.
    async fn ask_each<T: DeserializeOwned>(
        &self,
        doing: &str,
        method: &Method,
        path: &[&str],
        body: Option<&String>,
    ) -> Result<T, Refused> {
        let mut last = Refused::Absent;
        for url in &self.urls {
            let doing = format!("{doing} at {url}");
            last = match self.ask_once(&doing, url, method, path, body).await {
                Err(Refused::Failed(failure)) if failure.class() == "transient" => {
                    Refused::Failed(failure)
                }
                answered => return answered,
            };
        }
        Err(last)
    }

    async fn ask_once<T: DeserializeOwned>(
        &self,
        doing: &str,
        url: &Url,
        method: &Method,
        path: &[&str],
        body: Option<&String>,
    ) -> Result<T, Refused> {
        let mut url = url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self
            .client
            .request(method.clone(), url)
            .header(ACCEPT, MEDIA);
        request = match &self.login {
            Login::Nobody => request,
            Login::Basic { username, password } => request.basic_auth(username, Some(password)),
            Login::Bearer { token } => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA).body(body.clone());
        }
        let broken = |error: reqwest::Error| Refused::Failed(by_transport(&error, doing));
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let bytes: Bytes = response.bytes().await.map_err(broken)?;
        if !status.is_success() {
            return Err(by_status(status, &bytes, retry_after, doing));
        }
        serde_json::from_slice(&bytes).map_err(|error| Refused::Failed(garbage(&error, doing)))
    }
}

#[async_trait]
impl SchemaRegistry for Registry {
    async fn schema(&self, id: u32) -> Result<Option<String>, LookupError> {
        let doing = format!("look up schema {id} in the schema registry");
        let path = ["schemas", "ids", &id.to_string()];
        match self.ask(&doing, &Method::GET, &path, None).await {
            Ok(ById { schema, kind }) => {
                let is_avro = kind.is_none_or(|kind| kind == "AVRO");
                Ok(is_avro.then_some(schema))
            }
            Err(Refused::Absent) => Ok(None),
            Err(refused) => Err(match failed(refused, &doing) {
                Failure::Transient { reason, .. } => LookupError::Away(reason),
                Failure::Poison(reason) | Failure::Fatal(reason) => LookupError::Refused(reason),
            }),
        }
    }
}

/// Of a refusal that nobody expects here.
fn failed(refused: Refused, doing: &str) -> Failure {
    match refused {
        Refused::Failed(failure) => failure,
        Refused::Absent => Failure::fatal(format!("{doing}: there is no such thing")),
        Refused::Incompatible(words) => Failure::fatal(format!("{doing}: {words}")),
    }
}

/// The first of a registry's reasons: it may have many, of many lines.
fn told(messages: &[String]) -> String {
    match messages.first() {
        Some(first) => first.split_whitespace().collect::<Vec<_>>().join(" "),
        None => "it does not say why".to_owned(),
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::fatal(format!("{key}: file {path}: {error}")))
}

fn no_pem(key: &str, path: &str, error: &reqwest::Error) -> Failure {
    Failure::fatal(format!("{key}: file {path}: {error}"))
}
