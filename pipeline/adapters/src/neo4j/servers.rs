//! Addresses, and connections to the one in use.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use neo4rs::{ConfigBuilder, Graph};
use penstock_runtime::Failure;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use url::Url;

use super::classify::{Trouble, classify};
use super::config::Neo4jConfig;

/// Records asked for at a time: what a connection holds of an answer.
const FETCH: usize = 1_000;
const PORT: u16 = 7687;

/// The servers of the configuration. One is in use at a time, for all connections: what was written through it is seen
/// by what is read through it.
pub(super) struct Servers {
    urls: Vec<Url>,
    config: Neo4jConfig,
    permits: Semaphore,
    in_use: Mutex<InUse>,
}

#[derive(Default)]
struct InUse {
    /// Into `urls`.
    server: usize,
    /// Where there are several, the server in use was asked who takes writes.
    asked: bool,
    /// Connections to the server in use that nobody uses. The driver's own pool would take one back whose last answer
    /// was only half read, and read the rest as the answer to the next question; so each is a pool of one, and goes
    /// for good when it was left in the middle.
    idle: Vec<Graph>,
}

/// A connection, or the right to make one. It is closed with this value unless it is given back.
pub(super) struct Lease<'a> {
    pub graph: Graph,
    pub server: usize,
    servers: &'a Servers,
    _permit: SemaphorePermit<'a>,
}

impl Servers {
    /// Reads certificates; connects at the first question.
    pub fn new(config: &Neo4jConfig) -> Result<Self, Failure> {
        config.check()?;
        let urls = config.urls()?;
        if urls.iter().any(|url| url.scheme().ends_with("+s")) {
            // The driver takes the process's provider, and where two are compiled in there is none unless it is named.
            if CryptoProvider::get_default().is_none() {
                // Somebody else may have been faster, which is as good.
                let _ = aws_lc_rs::default_provider().install_default();
            }
        }
        if !config.ca.is_empty() {
            // The driver passes over what it cannot read.
            check_authorities(&config.ca)?;
        }
        Ok(Self {
            urls,
            permits: Semaphore::new(config.connections.max(1)),
            config: config.clone(),
            in_use: Mutex::default(),
        })
    }

    pub fn count(&self) -> usize {
        self.urls.len()
    }

    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// None: the server's default one.
    pub fn database(&self) -> Option<&str> {
        Some(&*self.config.database).filter(|it| !it.is_empty())
    }

    /// `host:port` of a server.
    pub fn address(&self, server: usize) -> String {
        self.urls.get(server).map_or_else(String::new, address)
    }

    /// A connection to the server in use; waits for one where all are taken.
    pub async fn lease(&self) -> Result<Lease<'_>, Trouble> {
        let permit = match timeout(self.config.timeout, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => {
                let reason = format!(
                    "neo4j: all {} connections are busy; allow more with neo4j.connections, or run fewer at once",
                    self.config.connections
                );
                return Err(Failure::transient(reason).into());
            }
        };
        let (server, idle) = {
            let mut in_use = self.in_use();
            (in_use.server, in_use.idle.pop())
        };
        let graph = match idle {
            Some(graph) => graph,
            None => self.connection(server).await?,
        };
        Ok(Lease {
            graph,
            server,
            servers: self,
            _permit: permit,
        })
    }

    /// A pool of one connection, which is made when it is asked for.
    async fn connection(&self, server: usize) -> Result<Graph, Trouble> {
        let doing = format!("connect to neo4j at {}", self.address(server));
        let Some(url) = self.urls.get(server) else {
            return Err(Failure::fatal(format!("{doing}: there is no such server")).into());
        };
        let mut config = ConfigBuilder::default()
            .uri(url.as_str())
            .user(&*self.config.user)
            .password(&*self.config.password)
            .db(&*self.config.database)
            .fetch_size(FETCH)
            .max_connections(1);
        if !self.config.ca.is_empty() {
            config = config.with_client_certificate(&self.config.ca);
        }
        let config = config.build().map_err(|error| classify(&error, &doing))?;
        Graph::connect(config)
            .await
            .map_err(|error| classify(&error, &doing))
    }

    /// Whether the server in use has yet to be asked who takes writes.
    pub fn is_to_be_asked(&self) -> bool {
        self.urls.len() > 1 && !self.in_use().asked
    }

    /// What `server` says of who takes writes, `host:port` each. True where that is another one of ours, which is in
    /// use from now on.
    pub fn told_of_writers(&self, server: usize, writers: &[String]) -> bool {
        let mut in_use = self.in_use();
        if in_use.server != server {
            return true;
        }
        in_use.asked = true;
        let writes = |url: &Url| writers.contains(&address(url));
        if self.urls.get(server).is_some_and(&writes) {
            return false;
        }
        let Some(writer) = self.urls.iter().position(writes) else {
            // It names what we do not know: a write will tell.
            return false;
        };
        in_use.server = writer;
        in_use.idle.clear();
        true
    }

    /// `server` cannot serve us: the next one is in use from now on, unless another one is already.
    pub fn pass_over(&self, server: usize) {
        let mut in_use = self.in_use();
        if in_use.server == server {
            in_use.server = (server + 1) % self.urls.len();
            in_use.asked = false;
            in_use.idle.clear();
        }
    }

    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// For the next one. Only where every answer was read to its end.
    pub fn give_back(self) {
        let mut in_use = self.servers.in_use();
        if in_use.server == self.server {
            in_use.idle.push(self.graph);
        }
    }
}

/// `host:port`, as servers name themselves.
fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port().unwrap_or(PORT))
}

fn check_authorities(file: &str) -> Result<(), Failure> {
    let wrong = |what: &str| Failure::fatal(format!("neo4j.ca: file {file}: {what}"));
    let text = std::fs::read(Path::new(file)).map_err(|error| wrong(&error.to_string()))?;
    if !String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong("there is no certificate in it, in PEM"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_takes_writes_is_used() {
        let check = |in_use: usize, writers: &[&str], moves: bool, then: &str| {
            let config = Neo4jConfig::new("bolt://a:1, bolt://b:2, neo4j://c");
            let servers = Servers::new(&config).unwrap();
            for passed in 0..in_use {
                servers.pass_over(passed);
                // What others saw of it before moves nobody on.
                servers.pass_over(passed);
            }
            assert!(servers.is_to_be_asked());
            let writers: Vec<String> = writers.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(servers.told_of_writers(in_use, &writers), moves);
            assert!(!servers.is_to_be_asked());
            assert_eq!(servers.address(servers.in_use().server), then);
        };
        check(0, &["a:1"], false, "a:1");
        check(0, &["b:2"], true, "b:2");
        check(1, &["c:7687", "a:1"], true, "a:1");
        check(2, &["d:4"], false, "c:7687");
        check(2, &[], false, "c:7687");
        let one = Servers::new(&Neo4jConfig::new("bolt://a")).unwrap();
        assert!(!one.is_to_be_asked());
    }

    #[test]
    fn authorities_are_read_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let check = |says: &str| {
            let mut config = Neo4jConfig::new("neo4j+s://a");
            config.ca = file.display().to_string();
            let failure = Servers::new(&config).err().unwrap();
            assert_eq!(failure.class(), "fatal");
            assert!(failure.reason().contains("neo4j.ca"), "{failure}");
            assert!(failure.reason().contains(says), "{failure}");
        };
        check("No such file");
        std::fs::write(&file, "-----BEGIN PRIVATE KEY-----").unwrap();
        check("no certificate");
    }
}
