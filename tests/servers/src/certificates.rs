//! Certificates for one run, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::fail;

/// Of the client's private key.
pub const KEY_PASSWORD: &str = "key-secret-7f3a";

/// Who may connect over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    Any,
    Vouched,
}

/// An authority, a server and a client it vouches for, and an authority nobody has heard of. All files are PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`.
    pub fn make(folder: PathBuf) -> Self {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            fail(&format!("{}: {error}", folder.display()));
        }
        let made = Self { folder };
        made.authority("ca");
        made.authority("stranger");
        made.signed("server", None);
        made.signed("client", Some(KEY_PASSWORD));
        // Kafka wants key and chain in one file.
        let read = |name: &str| std::fs::read_to_string(made.file(name)).unwrap_or_default();
        let both = format!("{}{}", read("server.key"), read("server.pem"));
        if let Err(error) = std::fs::write(made.server(), both) {
            fail(&format!("{}: {error}", made.server().display()));
        }
        made
    }

    /// The authority that signed the brokers' certificates.
    pub fn authority_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// An authority that signed none of them.
    pub fn stranger_file(&self) -> PathBuf {
        self.file("stranger.pem")
    }

    pub fn client_certificate(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// Encrypted with `KEY_PASSWORD`.
    pub fn client_key(&self) -> PathBuf {
        self.file("client.key")
    }

    /// Certificate and key of the server, the key not encrypted: two files.
    pub fn server_pair(&self) -> [PathBuf; 2] {
        ["server.pem", "server.key"].map(|name| self.file(name))
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.file("server.store.pem")
    }

    /// Takes connections as the server; where `Clients::Vouched`, only of those the authority vouches for.
    pub(crate) fn acceptor(&self, clients: Clients) -> std::io::Result<TlsAcceptor> {
        Ok(TlsAcceptor::from(Arc::new(self.config(clients)?)))
    }

    /// The same, for those who speak HTTP/2.
    pub(crate) fn http2_acceptor(&self, clients: Clients) -> std::io::Result<TlsAcceptor> {
        let mut config = self.config(clients)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn config(&self, clients: Clients) -> std::io::Result<ServerConfig> {
        let wrong = |error: &dyn std::fmt::Display| std::io::Error::other(error.to_string());
        let read = |path| CertificateDer::from_pem_file(path).map_err(|error| wrong(&error));
        let [certificate, key] = self.server_pair();
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(&error))?;
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?;
        let config = match clients {
            Clients::Any => config.with_no_client_auth(),
            Clients::Vouched => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(read(self.authority_file())?)
                    .map_err(|error| wrong(&error))?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| wrong(&error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        config
            .with_single_cert(vec![read(certificate)?], key)
            .map_err(|error| wrong(&error))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn authority(&self, name: &str) {
        let subject = format!("/CN=penstock tests {name}");
        openssl(
            &self.folder,
            &[
                "-noenc",
                "-subj",
                &subject,
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
            ],
        );
    }

    fn signed(&self, name: &str, password: Option<&str>) {
        let subject = format!("/CN={name}");
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let password = password.map(|it| format!("pass:{it}"));
        let mut args = vec![
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        match &password {
            Some(password) => args.extend(["-passout", password]),
            None => args.push("-noenc"),
        }
        openssl(&self.folder, &args);
    }
}

fn openssl(folder: &Path, args: &[&str]) {
    let curve = "ec_paramgen_curve:prime256v1";
    let output = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-days", "2",
        ])
        .args(args)
        .current_dir(folder)
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!(
            "openssl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => fail(&format!("start openssl: {error}")),
    }
}
