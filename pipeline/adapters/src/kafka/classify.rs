use penstock_runtime::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::is_secret;

/// Whose fault an error of the log is. `doing` says what was tried, on what.
pub fn classify(error: &KafkaError, doing: &str) -> Failure {
    // The value is not repeated, for it may be a secret; librdkafka's own words may repeat it.
    if let KafkaError::ClientConfig(_, what, name, _) = error {
        let what = if is_secret(name) {
            "not a setting, or not such a value"
        } else {
            what.trim()
        };
        return Failure::fatal(format!(
            "{doing}: setting {name}: {what}; correct kafka.properties"
        ));
    }
    let reason = format!("{doing}: {error}");
    match error {
        KafkaError::Canceled => Failure::fatal(format!("{doing}: the client was closed")),
        KafkaError::MessageConsumptionFatal(_) => Failure::fatal(reason),
        KafkaError::AdminOp(code) => by_code(*code, &reason),
        other => match other.rdkafka_error_code() {
            Some(code) => by_code(code, &reason),
            None => Failure::fatal(reason),
        },
    }
}

/// The table. What it does not name and is no fault of the record is retried when the broker or the network said it,
/// and Fatal when librdkafka refuses what we asked of it.
fn by_code(code: RDKafkaErrorCode, reason: &str) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::MessageBatchTooLarge => {
            Failure::poison(format!("{reason}; the record is too large for its topic"))
        }

        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::InvalidTopic => {
            Failure::fatal(format!("{reason}; create it with `penstock topics apply`"))
        }

        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::UnsupportedSASLMechanism
        | Code::SecurityDisabled => Failure::fatal(format!(
            "{reason}; check the credentials and grants in kafka.properties"
        )),

        // librdkafka's own verdicts on us, and states no retry leaves.
        Code::Fatal
        | Code::InvalidArgument
        | Code::InvalidType
        | Code::NotImplemented
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnknownGroup
        | Code::NotConfigured
        | Code::Fenced
        | Code::FencedInstanceId
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::InconsistentGroupProtocol
        | Code::UnknownProtocol
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InvalidConfig
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidReplicaAssignment
        | Code::InvalidRequiredAcks
        | Code::InvalidRequest
        | Code::PolicyViolation
        | Code::UnsupportedCompressionType
        | Code::AutoOffsetReset
        | Code::OffsetOutOfRange => Failure::fatal(reason),

        _ => Failure::transient(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame() {
        use RDKafkaErrorCode as Code;
        let check = |error: KafkaError, expect: &str, says: &str| {
            let failure = classify(&error, "produce to rag.parts.v1");
            assert_eq!(failure.class(), expect, "{error}");
            assert!(
                failure.reason().starts_with("produce to rag.parts.v1: "),
                "{failure}"
            );
            assert!(failure.reason().contains(says), "{failure}");
        };
        let produced = KafkaError::MessageProduction;
        check(produced(Code::MessageSizeTooLarge), "poison", "too large");
        check(produced(Code::QueueFull), "transient", "");
        check(produced(Code::MessageTimedOut), "transient", "");
        check(produced(Code::NotLeaderForPartition), "transient", "");
        check(produced(Code::UnknownTopic), "fatal", "topics apply");
        check(produced(Code::TopicAuthorizationFailed), "fatal", "grants");
        check(
            KafkaError::Global(Code::Authentication),
            "fatal",
            "credentials",
        );
        check(KafkaError::Global(Code::AllBrokersDown), "transient", "");
        check(
            KafkaError::ConsumerCommit(Code::IllegalGeneration),
            "transient",
            "",
        );
        check(
            KafkaError::ConsumerCommit(Code::FencedInstanceId),
            "fatal",
            "",
        );
        check(KafkaError::Canceled, "fatal", "closed");
    }

    #[test]
    fn a_wrong_setting_is_fatal_and_named() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("no.such.setting", "7");
        let error = config
            .create::<rdkafka::producer::FutureProducer>()
            .err()
            .expect("must be refused");
        let failure = classify(&error, "connect");
        assert_eq!(failure.class(), "fatal");
        assert!(
            failure.reason().contains("setting no.such.setting"),
            "{failure}"
        );
    }
}
