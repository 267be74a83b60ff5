//! Whose fault an error of the registry is. None is a record's.

use std::error::Error;
use std::time::Duration;

use penstock_runtime::Failure;
use reqwest::StatusCode;
use serde::Deserialize;

/// Codes by which a registry says that something is not there: subject, version, schema.
const ABSENT: [u32; 3] = [40401, 40402, 40403];
/// A schema does not go with those before it.
const INCOMPATIBLE: u16 = 409;

/// What a registry says with an error.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub error_code: u32,
    #[serde(default)]
    pub message: String,
}

/// An answer that is none.
#[derive(Debug)]
pub(super) enum Refused {
    /// What was asked for is not there.
    Absent,
    /// In the registry's words.
    Incompatible(String),
    Failed(Failure),
}

/// The table, for answers.
pub(super) fn by_status(
    status: StatusCode,
    body: &[u8],
    retry_after: Option<Duration>,
    doing: &str,
) -> Refused {
    let said: Option<Refusal> = serde_json::from_slice(body).ok();
    let reason = match &said {
        Some(said) => format!("{doing}: {} ({})", one_line(&said.message), said.error_code),
        None => format!("{doing}: {status}"),
    };
    Refused::Failed(match status.as_u16() {
        404 if said
            .as_ref()
            .is_some_and(|it| ABSENT.contains(&it.error_code)) =>
        {
            return Refused::Absent;
        }
        INCOMPATIBLE => {
            let words = said.map_or_else(String::new, |it| one_line(&it.message));
            return Refused::Incompatible(words);
        }
        401 | 403 => Failure::fatal(format!(
            "{reason}; the schema registry does not let us in: check registry.username and registry.password, or \
             registry.token, and what they may do"
        )),
        404 | 405 => Failure::fatal(format!(
            "{reason}; is that a schema registry? check registry.url"
        )),
        408 | 425 | 429 | 500..=599 => Failure::Transient {
            reason,
            retry_after,
        },
        _ => Failure::fatal(reason),
    })
}

/// An answer that is no answer of a registry, such as a proxy gives in its place.
pub(super) fn garbage(error: &serde_json::Error, doing: &str) -> Failure {
    Failure::transient(format!(
        "{doing}: the answer is none of a schema registry ({error}); check registry.url"
    ))
}

/// What the registry's side of TLS says about our certificate.
const ALERTS: [&str; 7] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateRequired",
    "CertificateUnknown",
    "HandshakeFailure",
    "UnknownCA",
    "UnsupportedCertificate",
];

/// The table, for what went wrong on the way.
pub(super) fn by_transport(error: &reqwest::Error, doing: &str) -> Failure {
    let why = causes(error);
    if why.contains("invalid peer certificate") {
        return Failure::fatal(format!(
            "{doing}: {why}; set registry.ca to the authority that signed the registry's certificate"
        ));
    }
    if why.contains("received fatal alert") && ALERTS.iter().any(|alert| why.contains(alert)) {
        return Failure::fatal(format!(
            "{doing}: {why}; set registry.certificate and registry.key to one that the registry trusts"
        ));
    }
    if error.is_builder() {
        // Nothing was sent: a login that fits no header.
        return Failure::fatal(format!(
            "{doing}: {why}; check registry.token and registry.url"
        ));
    }
    Failure::transient(format!("{doing}: {why}"))
}

/// The error and what caused it, without what is said twice.
fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = one_line(&error.to_string());
        if !words.iter().any(|before| before.contains(&said)) {
            words.push(said);
        }
        cause = error.source();
    }
    match (words.is_empty(), error.is_timeout()) {
        (_, true) => "no answer in time".to_owned(),
        (true, false) => "the connection broke".to_owned(),
        (false, false) => words.join(": "),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame() {
        let check = |status: u16, body: &str, expect: &str, says: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let (class, reason) = match by_status(status, body.as_bytes(), None, "ask for x") {
                Refused::Absent => ("absent", String::new()),
                Refused::Incompatible(words) => ("incompatible", words),
                Refused::Failed(failure) => (failure.class(), failure.reason().to_owned()),
            };
            assert_eq!(class, expect, "{status} {body}");
            assert!(reason.contains(says), "{reason:?} lacks {says:?}");
            assert_eq!(reason.lines().count(), usize::from(class != "absent"));
        };
        let said = |code: u32| format!("{{\"error_code\":{code},\"message\":\"so it\\nis\"}}");
        check(401, &said(401), "fatal", "registry.password");
        check(401, "<html>", "fatal", "registry.token");
        check(403, &said(40301), "fatal", "what they may do");
        check(404, &said(40401), "absent", "");
        check(404, &said(40403), "absent", "");
        check(404, &said(404), "fatal", "registry.url");
        check(404, "<html>", "fatal", "registry.url");
        check(405, "", "fatal", "registry.url");
        check(409, &said(409), "incompatible", "so it is");
        check(422, &said(42201), "fatal", "so it is (42201)");
        check(400, "", "fatal", "ask for x: 400");
        check(408, "", "transient", "");
        check(429, "", "transient", "");
        check(500, &said(50002), "transient", "so it is");
        check(503, "<html>", "transient", "503");
    }
}
