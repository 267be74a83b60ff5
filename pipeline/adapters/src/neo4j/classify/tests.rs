use super::*;

fn check(found: &Trouble, class: &str, remedy: Remedy, says: &str) {
    let reason = found.failure.reason();
    assert_eq!(found.failure.class(), class, "{reason}");
    assert_eq!(found.remedy, remedy, "{reason}");
    assert!(reason.starts_with("write to a:7687: "), "{reason}");
    assert!(reason.contains(says), "{reason:?} lacks {says:?}");
    assert_eq!(reason.lines().count(), 1, "{reason}");
}

#[test]
fn blame_by_status_code() {
    for (code, class, remedy, says) in [
        (
            "TransientError.Transaction.DeadlockDetected",
            "transient",
            Remedy::Again,
            "so it is",
        ),
        (
            "ClientError.Transaction.LockClientStopped",
            "transient",
            Remedy::Again,
            "",
        ),
        (
            "ClientError.Schema.ConstraintValidationFailed",
            "transient",
            Remedy::Again,
            "",
        ),
        (
            "ClientError.Statement.EntityNotFound",
            "transient",
            Remedy::Again,
            "",
        ),
        (
            "TransientError.General.MemoryPoolOutOfMemoryError",
            "transient",
            Remedy::None,
            "",
        ),
        ("TransientError.Anything.New", "transient", Remedy::None, ""),
        (
            "TransientError.General.DatabaseUnavailable",
            "transient",
            Remedy::NextServer,
            "",
        ),
        (
            "ClientError.Cluster.NotALeader",
            "transient",
            Remedy::NextServer,
            "",
        ),
        (
            "ClientError.General.ForbiddenOnReadOnlyDatabase",
            "transient",
            Remedy::NextServer,
            "",
        ),
        (
            "ClientError.General.WriteOnReadOnlyAccessDatabase",
            "transient",
            Remedy::NextServer,
            "",
        ),
        (
            "ClientError.Transaction.TransactionTimedOut",
            "transient",
            Remedy::None,
            "",
        ),
        (
            "ClientError.Security.AuthorizationExpired",
            "transient",
            Remedy::None,
            "",
        ),
        (
            "ClientError.Security.Unauthorized",
            "fatal",
            Remedy::None,
            "neo4j.password",
        ),
        (
            "ClientError.Security.AuthenticationRateLimit",
            "fatal",
            Remedy::None,
            "neo4j.password",
        ),
        (
            "ClientError.Security.TokenExpired",
            "fatal",
            Remedy::None,
            "neo4j.password",
        ),
        (
            "ClientError.Security.Forbidden",
            "fatal",
            Remedy::None,
            "grant",
        ),
        (
            "ClientError.Database.DatabaseNotFound",
            "fatal",
            Remedy::None,
            "neo4j.database",
        ),
        (
            "ClientError.Schema.IndexNotFound",
            "fatal",
            Remedy::None,
            "penstock schema",
        ),
        (
            "ClientError.Statement.SyntaxError",
            "fatal",
            Remedy::None,
            "",
        ),
        (
            "DatabaseError.General.UnknownError",
            "fatal",
            Remedy::None,
            "",
        ),
        (
            "DatabaseError.Statement.ExecutionFailed",
            "fatal",
            Remedy::None,
            "",
        ),
    ] {
        let found = by_code(&format!("Neo.{code}"), "so\nit is", "write to a:7687");
        check(&found, class, remedy, says);
        assert!(found.failure.reason().contains(code));
    }
    let large = by_code(
        "Neo.DatabaseError.Statement.ExecutionFailed",
        "Property value is too large to index",
        "write to a:7687",
    );
    check(&large, "poison", Remedy::None, "too large");
    check(
        &by_code("", "", "write to a:7687"),
        "fatal",
        Remedy::None,
        "",
    );
}

#[test]
fn blame_by_what_the_driver_says() {
    let of = |error: Error| classify(&error, "write to a:7687");
    let print = "unexpected response for COMMIT: Failure(Failure { metadata: BoltMap { value: {\
        BoltString { value: \"message\" }: String(BoltString { value: \"a \\\"quote\\\"\" }), \
        BoltString { value: \"code\" }: String(BoltString { value: \"Neo.TransientError.Transaction.DeadlockDetected\" })} } })";
    check(
        &of(Error::UnexpectedMessage(print.into())),
        "transient",
        Remedy::Again,
        "a \"quote\"",
    );
    check(
        &of(Error::UnexpectedMessage(
            "unexpected response for PULL: Record".into(),
        )),
        "fatal",
        Remedy::None,
        "PULL",
    );
    let greeting = |text: &str| of(Error::AuthenticationError(text.into()));
    for refused in [
        "The client is unauthorized due to authentication failure.",
        "The client has provided incorrect authentication details too many times in a row.",
        "The credentials you provided were valid, but must be changed before you can use this instance.",
    ] {
        check(&greeting(refused), "fatal", Remedy::None, "neo4j.password");
    }
    check(
        &greeting("Database 'system' is unavailable."),
        "transient",
        Remedy::NextServer,
        "",
    );
    let io = |text: &str| {
        of(Error::IOError {
            detail: std::io::Error::other(text.to_owned()),
        })
    };
    check(
        &io("Connection refused"),
        "transient",
        Remedy::NextServer,
        "refused",
    );
    check(
        &io("invalid peer certificate: UnknownIssuer"),
        "fatal",
        Remedy::None,
        "neo4j.ca",
    );
    check(
        &io("received corrupt message of type InvalidContentType"),
        "fatal",
        Remedy::None,
        "bolt://",
    );
    check(
        &of(Error::ConnectionError),
        "transient",
        Remedy::NextServer,
        "closed",
    );
    check(
        &of(Error::UnsupportedVersion(
            "version 1213486160 is not supported".into(),
        )),
        "fatal",
        Remedy::None,
        "neo4j.url",
    );
    check(&of(Error::StringTooLong), "poison", Remedy::None, "");
    check(&of(Error::ConversionError), "fatal", Remedy::None, "");
}
