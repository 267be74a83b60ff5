//! Whose fault a refusal of Qdrant is. None is a record's.

use std::error::Error;
use std::time::Duration;

use penstock_runtime::Failure;
use tonic::{Code, Status};

/// What a node says whose disk or memory is full, whatever code it says it with.
const FULL: [&str; 6] = [
    "No space left on device",
    "not enough disk",
    "Disk usage is at",
    "Disk quota exceeded",
    "Resident memory usage is at",
    "Out of memory",
];

/// What a node says that may not be written to for a while.
const LOCKED: [&str; 4] = [
    "Write operations are forbidden",
    "Storage locked",
    "read-only",
    "not writable",
];

/// What nodes say that do not agree, or not yet: with `Internal`, which is also what a fault in them is called.
const CLUSTER: [&str; 16] = [
    "consensus",
    "Consensus",
    "no leader",
    "No leader",
    "ordering via leader peer",
    "active replica",
    "`Active` replica",
    "replicas",
    "all attempts were rejected",
    "shard transfer",
    "Tonic transport error",
    "Operation cancelled",
    "Channel closed",
    "channel sender dropped",
    "Timeout",
    "timed out",
];

/// What TLS says about a certificate of the server's.
const CERTIFICATE: &str = "invalid peer certificate";

/// The table.
pub(super) fn classify(status: &Status, doing: &str, collection: &str) -> Failure {
    if is_of_the_way(status) {
        return on_the_way(status, doing);
    }
    let said = one_line(status.message());
    let reason = format!("{doing}: {said}");
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&FULL) {
        return Failure::transient(format!(
            "{reason}; free some space on the node, or give it more"
        ));
    }
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => {
            Failure::transient(reason)
        }
        Code::ResourceExhausted => Failure::Transient {
            reason,
            retry_after: retry_after(status),
        },
        Code::FailedPrecondition | Code::PermissionDenied if has(&LOCKED) => {
            Failure::transient(format!("{reason}; unlock the node's storage for writing"))
        }
        // A shard that is being moved or recovered.
        Code::FailedPrecondition if said.starts_with("Pre-condition failure") => {
            Failure::transient(reason)
        }
        Code::Internal if has(&CLUSTER) => Failure::transient(reason),
        Code::Unauthenticated => Failure::fatal(format!("{reason}; check qdrant.api_key")),
        Code::PermissionDenied => Failure::fatal(format!(
            "{reason}; check what qdrant.api_key may do: read and write collection {collection}"
        )),
        Code::NotFound if said.contains("ollection") => Failure::fatal(format!(
            "{reason}; make it with penstock schema apply, or check qdrant.collection"
        )),
        Code::InvalidArgument if said.contains("dimension error") => Failure::fatal(format!(
            "{reason}; use the model that collection {collection} was built with, or start a new collection"
        )),
        Code::InvalidArgument if has(&["Index required", "Not existing vector name"]) => {
            Failure::fatal(format!(
                "{reason}; collection {collection} is not as declared: run penstock schema apply"
            ))
        }
        Code::Unimplemented => Failure::fatal(format!(
            "{reason}; is that Qdrant's gRPC port? check qdrant.url"
        )),
        code => Failure::fatal(format!("{reason} ({code:?})")),
    }
}

/// Whether another node may do better.
pub(super) fn is_of_the_node(status: &Status) -> bool {
    is_of_the_way(status) || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}

/// An error of the connection, not an answer: only those know what caused them.
fn is_of_the_way(status: &Status) -> bool {
    status.source().is_some()
}

fn on_the_way(status: &Status, doing: &str) -> Failure {
    let why = causes(status);
    if why.contains(CERTIFICATE) {
        return Failure::fatal(format!(
            "{doing}: {why}; set qdrant.ca to the authority that signed the node's certificate"
        ));
    }
    Failure::transient(format!("{doing}: {why}"))
}

/// The error and what caused it, without what is said twice.
fn causes(status: &Status) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = status.source();
    while let Some(error) = cause {
        let said = one_line(&error.to_string());
        if !words.iter().any(|before| before.contains(&said)) {
            words.push(said);
        }
        cause = error.source();
    }
    words.join(": ")
}

fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.metadata().get("retry-after")?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: Code, message: &str, class: &str, says: &str) {
        let status = Status::new(code, message);
        let failure = classify(&status, "qdrant: Points/Upsert at http://a", "chunks");
        assert_eq!(failure.class(), class, "{code:?} {message}");
        assert!(failure.reason().contains(says), "{failure} lacks {says:?}");
        assert_eq!(failure.reason().lines().count(), 1);
    }

    #[test]
    fn what_the_world_does_is_transient() {
        let check = |code, message: &str, says: &str| check(code, message, "transient", says);
        check(
            Code::Unavailable,
            "Shard temporarily unavailable",
            "http://a",
        );
        check(
            Code::DeadlineExceeded,
            "Timeout: x\nat 0",
            "Timeout: x at 0",
        );
        check(Code::Aborted, "", "");
        check(Code::Cancelled, "Timeout expired", "");
        check(
            Code::FailedPrecondition,
            "Storage locked: Write operations are forbidden",
            "unlock",
        );
        check(
            Code::PermissionDenied,
            "Forbidden: Write operations are forbidden",
            "unlock",
        );
        check(
            Code::FailedPrecondition,
            "Pre-condition failure: shard is being recovered",
            "recovered",
        );
        for said in [
            "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 10 seconds",
            "Service internal error: The replica set for shard 0 on peer 7 has no active replica",
            "Service internal error: Failed to apply update with Medium ordering via leader peer 3: x",
            "Service internal error: Cannot update shard chunks:0 with Medium ordering because no leader could be selected",
        ] {
            check(Code::Internal, said, "");
        }
        let full = "No space left on device: WAL buffer size exceeds available disk space";
        check(Code::Internal, full, "free some space");
        let strict = "Bad request: Disk usage is at 96% of the disk. Help: x";
        check(Code::InvalidArgument, strict, "free some space");
    }

    #[test]
    fn a_word_on_when_to_come_back_is_heeded() {
        for (said, expect) in [
            (Some("3"), Some(Duration::from_secs(3))),
            (Some("soon"), None),
            (None, None),
        ] {
            let mut status = Status::resource_exhausted("Rate limiting exceeded");
            if let Some(said) = said {
                let metadata = status.metadata_mut();
                metadata.insert("retry-after", said.parse().unwrap());
            }
            let Failure::Transient { retry_after, .. } = classify(&status, "", "") else {
                panic!("{said:?} is not transient");
            };
            assert_eq!(retry_after, expect);
        }
    }

    #[test]
    fn what_people_have_to_mend_is_fatal_and_says_how() {
        let check = |code, message: &str, says: &str| check(code, message, "fatal", says);
        check(Code::Unauthenticated, "Invalid API key", "qdrant.api_key");
        check(
            Code::PermissionDenied,
            "Forbidden: Global write access is required",
            "qdrant.api_key may do",
        );
        check(
            Code::NotFound,
            "Not found: Collection `chunks` doesn't exist!",
            "penstock schema apply",
        );
        check(
            Code::InvalidArgument,
            "Wrong input: Vector dimension error: expected dim: 4, got 3",
            "use the model that collection chunks was built with",
        );
        check(
            Code::InvalidArgument,
            "Bad request: Index required but not found for \"edition\" of one of the following types: [keyword]",
            "penstock schema apply",
        );
        check(
            Code::InvalidArgument,
            "Wrong input: Not existing vector name error: bm25",
            "penstock schema apply",
        );
        check(Code::Unimplemented, "", "qdrant.url");
    }

    #[test]
    fn what_is_unknown_is_fatal() {
        for code in [
            Code::Internal,
            Code::Unknown,
            Code::DataLoss,
            Code::OutOfRange,
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::AlreadyExists,
        ] {
            check(code, "something else", "fatal", "something else");
        }
    }
}
