//! What librdkafka says about its connections, which it says by a callback only: it goes on connecting for ever, also
//! where only people can mend what is wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;

/// Two refusals within this time are one refusal: a broker that is just starting may refuse once. librdkafka keeps
/// further ones of the same wording to itself for half of it.
const TOGETHER: Duration = Duration::from_secs(60);

/// What a client hears of its connections. Clones hear the same.
#[derive(Clone)]
pub(super) struct Connection(Arc<State>);

struct State {
    heard: Mutex<Heard>,
    refused: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Heard {
    last: Option<String>,
    refusal: Option<Instant>,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            heard: Mutex::default(),
            refused: watch::Sender::new(None),
        }))
    }

    /// Takes in what the callback says. The failure is there when it is clear that trying again does not help.
    pub(super) fn hear(&self, error: &KafkaError, reason: &str) -> Option<Failure> {
        let reason = one_line(reason);
        let advice = error
            .rdkafka_error_code()
            .and_then(|code| advice(code, &reason));
        let mut heard = self.heard();
        // That all are down follows from what was said before, and says less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            heard.last = Some(reason.clone());
        }
        let advice = advice?;
        let now = Instant::now();
        let before = heard.refusal.replace(now);
        drop(heard);
        if before.is_none_or(|before| now - before > TOGETHER) {
            return None;
        }
        let refused = format!("{advice} ({reason})");
        self.0.refused.send_replace(Some(refused.clone()));
        Some(Failure::fatal(refused))
    }

    /// Why the brokers do not let us in, if it is so.
    pub(super) fn refused(&self) -> Option<Failure> {
        self.0.refused.borrow().clone().map(Failure::fatal)
    }

    /// Resolves when they do not let us in.
    pub(super) async fn until_refused(&self) -> Failure {
        let mut refused = self.0.refused.subscribe();
        loop {
            if let Some(reason) = refused.borrow_and_update().clone() {
                return Failure::fatal(reason);
            }
            if refused.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The newest trouble with a connection.
    pub(super) fn last(&self) -> Option<String> {
        self.heard().last.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Connection {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        self.hear(&error, reason);
    }
}

impl ConsumerContext for Connection {}

/// Of a connection, not of what was asked over it: the callback has said more.
pub(super) fn is_of_connection(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::Authentication
                | Code::SSL
                | Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
        )
    )
}

/// What the brokers' side of TLS says about our certificate, in OpenSSL's words. It may come after the handshake, as an
/// error of transport.
const ALERTS: [&str; 10] = [
    "alert access denied",
    "alert bad certificate",
    "alert certificate expired",
    "alert certificate required",
    "alert certificate revoked",
    "alert certificate unknown",
    "alert handshake failure",
    "alert no certificate",
    "alert unknown ca",
    "alert unsupported certificate",
];
/// What our side says about theirs.
const DISTRUST: [&str; 3] = [
    "certificate verify failed",
    "Failed to verify broker certificate",
    "certificate could not be verified",
];

/// What to do about a connection that will not come about by itself; none where it may.
fn advice(code: RDKafkaErrorCode, reason: &str) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            Some(
                "kafka refuses the login; check sasl.mechanism, sasl.username and sasl.password in kafka.properties",
            )
        }
        // The words may also be a host's name: OpenSSL names itself.
        Code::SSL | Code::BrokerTransportFailure
            if reason.contains("SSL routines") && says(&ALERTS) =>
        {
            Some(
                "kafka refuses the client's certificate or its absence; set ssl.certificate.location and \
                 ssl.key.location in kafka.properties to one that the brokers trust",
            )
        }
        Code::SSL if says(&DISTRUST) => Some(
            "the certificate of the kafka brokers is not trusted; set ssl.ca.location in kafka.properties to the \
             authority that signed it",
        ),
        Code::SSL => {
            Some("no TLS with the kafka brokers; check the ssl settings in kafka.properties")
        }
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(connection: &Connection, code: RDKafkaErrorCode, reason: &str) -> Option<String> {
        let failure = connection.hear(&KafkaError::Global(code), reason)?;
        assert_eq!(failure.class(), "fatal");
        Some(failure.reason().to_owned())
    }

    #[tokio::test]
    async fn the_second_refusal_counts() {
        let connection = Connection::new();
        let refusal = "sasl_plaintext://a:1: SASL authentication error:\n failed";
        assert_eq!(
            hear(&connection, RDKafkaErrorCode::Authentication, refusal),
            None
        );
        assert!(connection.refused().is_none());
        let said = hear(&connection, RDKafkaErrorCode::Authentication, refusal).unwrap();
        assert!(
            said.contains("sasl.password") && said.contains("a:1"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
        assert_eq!(connection.refused().unwrap().reason(), said);
        // Also who asks later hears it.
        assert_eq!(connection.clone().until_refused().await.reason(), said);
    }

    #[test]
    fn what_may_pass_is_no_refusal() {
        use RDKafkaErrorCode as Code;
        for (code, reason) in [
            (
                Code::BrokerTransportFailure,
                "alert unknown ca.example:9092: Connect failed",
            ),
            (
                Code::BrokerTransportFailure,
                "Disconnected while handshaking",
            ),
            (Code::AllBrokersDown, "1/1 brokers are down"),
            (Code::Resolve, "Failed to resolve"),
        ] {
            let connection = Connection::new();
            for _ in 0..3 {
                assert_eq!(hear(&connection, code, reason), None);
            }
        }
    }

    #[test]
    fn the_last_trouble_is_the_cause_not_the_count() {
        let connection = Connection::new();
        let cause = "Connect to a:1 failed: Connection refused";
        hear(&connection, RDKafkaErrorCode::BrokerTransportFailure, cause);
        hear(
            &connection,
            RDKafkaErrorCode::AllBrokersDown,
            "1/1 brokers are down",
        );
        assert_eq!(connection.last().as_deref(), Some(cause));
    }
}
