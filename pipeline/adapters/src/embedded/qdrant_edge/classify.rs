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
