//! Whose fault an error of the graph is, and what the adapter does about it before anybody hears of it.

use neo4rs::Error;
use penstock_runtime::Failure;

/// A failure, and what may be tried at once.
#[derive(Debug)]
pub(super) struct Trouble {
    pub failure: Failure,
    pub remedy: Remedy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    None,
    /// The transaction met another one: it may do better in a moment.
    Again,
    /// This server cannot serve it; another one may.
    NextServer,
    /// The same, but it took long: who asked decides whether to ask again.
    Later,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            remedy: Remedy::None,
        }
    }
}

impl Trouble {
    pub fn again(reason: impl Into<String>) -> Self {
        Self {
            failure: Failure::transient(reason),
            remedy: Remedy::Again,
        }
    }

    pub fn later(reason: impl Into<String>) -> Self {
        Self {
            failure: Failure::transient(reason),
            remedy: Remedy::Later,
        }
    }

    pub fn next_server(reason: impl Into<String>) -> Self {
        Self {
            failure: Failure::transient(reason),
            remedy: Remedy::NextServer,
        }
    }
}

const LOGIN: &str = "check neo4j.user and neo4j.password";

/// What went wrong on the way to a server and back. `doing` says what was tried, and where.
pub(super) fn classify(error: &Error, doing: &str) -> Trouble {
    match error {
        Error::Neo4j(said) => by_code(said.code(), said.message(), doing),
        // Of what fails while records are fetched, begun or committed the driver keeps only a print.
        Error::UnexpectedMessage(print) => match code_and_message(print) {
            Some((code, message)) => by_code(&code, &message, doing),
            // The connection broke while records were fetched.
            None if print.contains("IOError") => by_transport(print, doing),
            None => fatal(doing, &one_line(print)),
        },
        Error::AuthenticationError(message) => by_greeting(message, doing),
        Error::IOError { detail } => by_transport(&detail.to_string(), doing),
        Error::ConnectionError => {
            Trouble::next_server(format!("{doing}: the connection was closed"))
        }
        Error::UnsupportedVersion(_) => fatal(
            doing,
            "the server speaks no Bolt that this client knows (4.0 or 4.1, as Neo4j 4.1 to 5 do); check neo4j.url",
        ),
        Error::StringTooLong | Error::MapTooBig | Error::BytesTooBig | Error::ListTooLong => {
            Failure::poison(format!("{doing}: {error}")).into()
        }
        Error::UrlParseError(_) | Error::UnsupportedScheme(_) | Error::InvalidDnsName(_) => {
            fatal(doing, &format!("{error}; check neo4j.url"))
        }
        other => fatal(doing, &one_line(&other.to_string())),
    }
}

/// The table, for what a server says of a statement or a transaction.
fn by_code(code: &str, message: &str, doing: &str) -> Trouble {
    let reason = format!("{doing}: {} ({code})", one_line(message));
    let transient = |remedy| Trouble {
        failure: Failure::transient(reason.clone()),
        remedy,
    };
    let advise = |what: &str| Trouble::from(Failure::fatal(format!("{reason}; {what}")));
    let Some(rest) = code.strip_prefix("Neo.") else {
        return Failure::fatal(reason).into();
    };
    match rest {
        // Two transactions that met.
        "TransientError.Transaction.DeadlockDetected"
        | "TransientError.Transaction.LockAcquisitionTimeout"
        | "TransientError.Transaction.LockClientStopped"
        | "TransientError.Transaction.Outdated"
        | "TransientError.Transaction.ConstraintsChanged"
        | "TransientError.Transaction.LeaseExpired"
        | "ClientError.Transaction.LockClientStopped"
        // Both made the same node, or one of them deleted what the other held on to.
        | "ClientError.Schema.ConstraintValidationFailed"
        | "ClientError.Schema.ConstraintViolation"
        | "ClientError.Statement.EntityNotFound" => transient(Remedy::Again),

        // No leader, or not this server.
        "ClientError.Cluster.NotALeader"
        | "ClientError.Cluster.Routing"
        | "ClientError.General.ForbiddenOnReadOnlyDatabase"
        | "ClientError.General.ReadOnly"
        | "ClientError.General.WriteOnReadOnlyAccessDatabase"
        | "ClientError.Routing.DbmsInPanic"
        | "ClientError.Routing.RoutingFailed"
        | "TransientError.Cluster.ReplicationFailure"
        | "TransientError.Database.DatabaseUnavailable"
        | "TransientError.General.DatabaseUnavailable"
        | "DatabaseError.Database.DatabaseLimitReached"
        | "DatabaseError.Database.UnableToStartDatabase"
        | "DatabaseError.Transaction.TransactionStartFailed" => transient(Remedy::NextServer),

        // Ended from outside, by time or by hand, or by a full disk.
        "ClientError.Transaction.Terminated"
        | "ClientError.Transaction.TransactionTimedOut"
        | "ClientError.Transaction.TransactionTimedOutClientConfiguration"
        | "ClientError.Security.AuthorizationExpired"
        | "DatabaseError.Transaction.TransactionCommitFailed"
        | "DatabaseError.Transaction.TransactionTerminationFailed"
        | "DatabaseError.Transaction.LinuxAIO" => transient(Remedy::None),

        "ClientError.Security.Unauthorized"
        | "ClientError.Security.AuthenticationRateLimit"
        | "ClientError.Security.CredentialsExpired" => advise(LOGIN),
        "ClientError.Security.Forbidden" => {
            advise("grant the user of neo4j.user reading and writing of the database")
        }
        "ClientError.Database.DatabaseNotFound" => advise("check neo4j.database"),

        // The record's: an index takes values of some 8 kB at most.
        "DatabaseError.Statement.ExecutionFailed" if message.contains("too large to index") => {
            Failure::poison(reason).into()
        }

        _ if rest.starts_with("TransientError.") => transient(Remedy::None),
        _ if rest.starts_with("ClientError.Security.") => advise(LOGIN),
        _ if rest.starts_with("ClientError.Schema.") => {
            advise("is the schema applied? run `penstock schema plan`")
        }
        _ => Failure::fatal(reason).into(),
    }
}

/// The table, for a server that does not let us in: of that the driver keeps only the words.
fn by_greeting(message: &str, doing: &str) -> Trouble {
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&[
        "unavailable",
        "not currently available",
        "shutting down",
        "no threads",
    ]) {
        return Trouble::next_server(format!("{doing}: {}", one_line(message)));
    }
    fatal(doing, &format!("{}; {LOGIN}", one_line(message)))
}

/// The table, for the network and TLS.
fn by_transport(why: &str, doing: &str) -> Trouble {
    if why.contains("invalid peer certificate") {
        return fatal(
            doing,
            &format!("{why}; set neo4j.ca to the authority that signed the server's certificate"),
        );
    }
    if why.contains("corrupt message") || why.contains("received fatal alert") {
        return fatal(
            doing,
            &format!("{why}; does the server speak TLS there? without, it is bolt:// or neo4j://"),
        );
    }
    Trouble::next_server(format!("{doing}: {}", one_line(why)))
}

fn fatal(doing: &str, what: &str) -> Trouble {
    Failure::fatal(format!("{doing}: {what}")).into()
}

/// Code and message out of the print of a failure. Quotes within a value are escaped there, so no value passes for a
/// field.
fn code_and_message(print: &str) -> Option<(String, String)> {
    let field = |name: &str| {
        let (_, rest) = print.split_once(&format!(
            "BoltString {{ value: \"{name}\" }}: String(BoltString {{ value: \""
        ))?;
        let mut value = String::new();
        let mut characters = rest.chars();
        loop {
            match characters.next()? {
                '"' => return Some(value),
                '\\' => match characters.next()? {
                    'n' | 'r' | 't' => value.push(' '),
                    other => value.push(other),
                },
                other => value.push(other),
            }
        }
    };
    Some((field("code")?, field("message").unwrap_or_default()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
