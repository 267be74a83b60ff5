//! Whose fault an engine's error is.

use std::any::Any;

use penstock_runtime::Failure;
use qdrant_edge::OperationError;

/// What a full or failing disk says, in the system's words: the engine passes them on as text.
const WORLD: [(&str, &str); 6] = [
    ("No space left on device", FULL),
    ("StorageFull", FULL),
    ("Disk quota exceeded", FULL),
    ("Too many open files", "raise the limit with ulimit -n"),
    ("Cannot allocate memory", "free some memory"),
    (
        "Input/output error",
        "look at the system's log for the disk",
    ),
];

const FULL: &str = "free some space, or move the data folder to a larger disk";

/// The table: disk and memory are the world's; an operation the engine does not accept, or damage, is ours to mend.
pub fn classify(error: &OperationError) -> Failure {
    match error {
        OperationError::OutOfMemory { .. }
        | OperationError::Timeout { .. }
        | OperationError::Cancelled { .. } => Failure::transient(format!("vector store: {error}")),
        OperationError::ServiceError { description, .. }
        | OperationError::InconsistentStorage { description } => by_text(description),
        _ => Failure::fatal(format!("vector store: {error}")),
    }
}

/// A panic inside the engine, which is how it reports a failed flush.
pub fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked without a word");
    by_text(text)
}

/// By what the system says in it.
pub fn by_text(text: &str) -> Failure {
    // A panic's text can hold a backtrace: one line is enough.
    let line = text.lines().next().unwrap_or_default();
    match WORLD.iter().find(|(words, _)| text.contains(words)) {
        Some((words, advice)) => {
            Failure::transient(format!("vector store: {words}: {advice} ({line})"))
        }
        None => Failure::fatal(format!("vector store: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: OperationError, class: &str, says: &str) {
        let failure = classify(&error);
        assert_eq!(failure.class(), class, "{error}");
        assert!(failure.reason().contains(says), "{failure}");
        assert_eq!(failure.reason().lines().count(), 1);
    }

    fn service(description: &str) -> OperationError {
        OperationError::ServiceError {
            description: description.to_owned(),
            backtrace: None,
        }
    }

    #[test]
    fn disk_and_memory_are_the_worlds_fault_the_rest_is_ours() {
        check(
            service("failed to write: No space left on device (os error 28)"),
            "transient",
            "free some space",
        );
        check(
            service("open: Too many open files (os error 24)\nbacktrace"),
            "transient",
            "ulimit",
        );
        check(
            OperationError::OutOfMemory {
                description: "segment".into(),
                free: 0,
            },
            "transient",
            "segment",
        );
        check(
            OperationError::WrongVectorDimension {
                expected_dim: 384,
                received_dim: 3,
            },
            "fatal",
            "384",
        );
        check(service("segment is damaged\n  at 0"), "fatal", "damaged");
        check(
            OperationError::InconsistentStorage {
                description: "ids".into(),
            },
            "fatal",
            "ids",
        );
    }

    #[test]
    fn a_panics_words_count_too() {
        let failed: Box<dyn Any + Send> =
            Box::new("segments flushed: Io { No space left on device }".to_owned());
        assert_eq!(panicked(&*failed).class(), "transient");
        assert_eq!(panicked(&"index out of bounds").class(), "fatal");
        assert_eq!(panicked(&7_u8).class(), "fatal");
    }
}
