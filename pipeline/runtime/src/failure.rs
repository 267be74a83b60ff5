use std::fmt;
use std::time::Duration;

/// Why something did not work, by whose fault it is. There is no blanket `From`: what is unknown is `Fatal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The record's fault: trying again cannot help.
    Poison(String),
    /// The world's fault: trying again later may help.
    Transient {
        reason: String,
        /// The earliest time to try again, where the other side said so.
        retry_after: Option<Duration>,
    },
    /// Ours: stop, and say what to do.
    Fatal(String),
}

impl Failure {
    pub fn poison(reason: impl Into<String>) -> Self {
        Self::Poison(reason.into())
    }

    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            retry_after: None,
        }
    }

    pub fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal(reason.into())
    }

    /// poison, transient or fatal.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Poison(_) => "poison",
            Self::Transient { .. } => "transient",
            Self::Fatal(_) => "fatal",
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Poison(reason) | Self::Transient { reason, .. } | Self::Fatal(reason) => reason,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Failure {}
