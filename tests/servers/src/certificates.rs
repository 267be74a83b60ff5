//! Certificates for one run, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fail;

/// Of the client's private key.
pub const KEY_PASSWORD: &str = "key-secret-7f3a";

/// An authority, a server and a client it vouches for, and an authority nobody has heard of. All files are PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub(crate) fn make(folder: PathBuf) -> Self {
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

    pub(crate) fn server(&self) -> PathBuf {
        self.file("server.store.pem")
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
