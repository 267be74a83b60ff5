//! Against a registry in this process that can be told to misbehave.

use penstock_schemas::{Audit, CodecError, Subject, topics};
use penstock_servers::registry::{Fault, Registry as Server, TOKEN};
use penstock_servers::{Certificates, PASSWORD, USER};

use super::*;

const SUBJECT: &str = "rag.audit.v1-value";
/// The record of the topic, before it had its last field.
const OLDER: &str = r#"{"type":"record","name":"Audit","namespace":"org.penstock.v1","fields":[
    {"name":"at","type":"long"},{"name":"actor","type":"string"},{"name":"action","type":"string"}]}"#;
/// What another program calls by the same name.
const FOREIGN: &str = r#"{"type":"record","name":"Audit","namespace":"org.penstock.v1","fields":[
    {"name":"at","type":"string"}]}"#;

fn config(url: &str) -> RegistryConfig {
    RegistryConfig {
        timeout: Duration::from_millis(400),
        ..RegistryConfig::new(url)
    }
}

fn registry(server: &Server) -> Registry {
    Registry::new(&config(server.url())).unwrap()
}

fn subjects() -> [Subject; 2] {
    [topics::AUDIT.subject(), topics::COMPLETED.subject()]
}

fn audit() -> Audit {
    Audit {
        at: 1,
        actor: "ann".to_owned(),
        action: "b".to_owned(),
        detail: Default::default(),
    }
}

/// Registers what is missing, as `topics apply` does.
async fn apply(server: &Server) -> Vec<String> {
    let (registry, subjects) = (registry(server), subjects());
    let gaps = gaps(&registry, &subjects).await.unwrap();
    refuse(&gaps).unwrap();
    register(&registry, &subjects, &gaps).await.unwrap()
}

async fn states(server: &Server) -> Vec<State> {
    let gaps = gaps(&registry(server), &subjects()).await.unwrap();
    gaps.iter().map(|gap| gap.state).collect()
}

#[tokio::test]
async fn subjects_are_registered_once_and_looked_up() {
    let server = Server::start().await.unwrap();
    let failure = codec(registry(&server), &subjects()).await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    for word in [SUBJECT, "1 others", "topics apply"] {
        assert!(failure.reason().contains(word), "{failure}");
    }
    assert_eq!(states(&server).await, [State::Missing; 2]);
    assert_eq!(apply(&server).await, [SUBJECT, "rag.completed.v1-value"]);
    assert!(states(&server).await.is_empty());
    assert!(apply(&server).await.is_empty());

    server.take_requests();
    let codec = codec(registry(&server), &subjects()).await.unwrap();
    let requests = server.take_requests();
    let looks = requests
        .iter()
        .filter(|it| it.starts_with("POST /subjects/"));
    assert_eq!((looks.count(), requests.len()), (2, 2), "{requests:?}");
    let bytes = codec.encode(&audit()).unwrap();
    let id = server.versions(SUBJECT)[0].to_be_bytes();
    assert_eq!(bytes[..5], [&[0][..], &id].concat());
    assert_eq!(codec.decode::<Audit>(&bytes).unwrap(), audit());
}

/// As in a rolling deploy, and where another program writes to the topic.
#[tokio::test]
async fn a_schema_that_appears_later_is_learned_once() {
    let server = Server::start().await.unwrap();
    let older = server.put(SUBJECT, OLDER);
    assert_eq!(states(&server).await[0], State::Other);
    apply(&server).await;
    let codec = codec(registry(&server), &subjects()).await.unwrap();
    // at, actor, action
    let mut bytes = [
        &[0][..],
        &older.to_be_bytes()[..],
        &[2, 6, b'a', b'n', b'n', 2, b'b'],
    ]
    .concat();
    server.take_requests();
    server.set_away(true);
    let Err(LookupError::Away(reason)) = codec.learn(&bytes).await else {
        panic!("an answer from nobody");
    };
    let words = [server.url(), &older.to_string(), "look up schema"];
    assert!(words.iter().all(|it| reason.contains(it)), "{reason}");
    assert_eq!(server.take_requests().len(), TRIES as usize);
    server.set_away(false);
    for _ in 0..2 {
        codec.learn(&bytes).await.unwrap();
        assert_eq!(codec.decode::<Audit>(&bytes).unwrap(), audit());
    }
    assert_eq!(
        server.take_requests(),
        [format!("GET /schemas/ids/{older}")]
    );
    // Nobody has heard of this one: that is the record's fault.
    bytes[4] = 7;
    codec.learn(&bytes).await.unwrap();
    let error = codec.decode::<Audit>(&bytes).unwrap_err();
    assert!(
        matches!(error, CodecError::UnknownId { id: 7, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_incompatible_is_refused_before_anything_is_registered() {
    let server = Server::start().await.unwrap();
    server.put(SUBJECT, FOREIGN);
    assert_eq!(states(&server).await, [State::Incompatible, State::Missing]);
    let gaps = gaps(&registry(&server), &subjects()).await.unwrap();
    let failure = refuse(&gaps).unwrap_err();
    assert_eq!(failure.class(), "fatal");
    for word in [SUBJECT, "Field 'at'", "BACKWARD", "left as they are"] {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
    // Where somebody else is faster than the check.
    let failure = register(&registry(&server), &subjects(), &gaps).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains(SUBJECT), "{failure}");
    assert_eq!(server.versions(SUBJECT).len(), 1);
    // What lies in another's bytes is not ours, whatever they say.
    let failure = codec(registry(&server), &subjects()).await.unwrap_err();
    assert!(failure.reason().contains("topics apply"), "{failure}");
}

#[tokio::test]
async fn trouble_on_the_way_is_waited_out_or_told() {
    let server = Server::start().await.unwrap();
    apply(&server).await;
    let registry = registry(&server);
    let look = || registry.find(SUBJECT, topics::AUDIT.subject().schema);
    let slow = Fault::Slow(Duration::from_secs(2));
    for fault in [Fault::Unavailable, Fault::Busy, slow, Fault::Garbage] {
        // One of a kind is not even noticed.
        server.fail([fault]);
        assert!(look().await.unwrap().is_some(), "{fault:?}");
        server.fail([fault; TRIES as usize]);
        let failure = look().await.unwrap_err();
        assert_eq!(failure.class(), "transient", "{fault:?}: {failure}");
        assert_eq!(failure.reason().lines().count(), 1, "{failure}");
        assert!(failure.reason().contains(server.url()), "{failure}");
    }
    // An id that is not ours would make what we write unreadable.
    server.fail([Fault::Wrong]);
    let failure = codec(registry, &subjects()).await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("shows another one"), "{failure}");
}

#[tokio::test]
async fn of_several_addresses_one_has_to_answer() {
    let (away, server) = (
        Server::start().await.unwrap(),
        Server::start().await.unwrap(),
    );
    apply(&server).await;
    away.set_away(true);
    let both = format!("{}, {}", away.url(), server.url());
    codec(Registry::new(&config(&both)).unwrap(), &subjects())
        .await
        .unwrap();
    // Had it waited and tried again, it would be more.
    assert_eq!(away.take_requests().len(), subjects().len());
}

#[tokio::test]
async fn logins_are_sent_and_never_shown() {
    const WRONG: &str = "not-the-password-3c1d";
    let server = Server::start().await.unwrap();
    apply(&server).await;
    server.guard();
    let ask = async |login: Login| {
        let config = RegistryConfig {
            login,
            ..config(server.url())
        };
        codec(Registry::new(&config).unwrap(), &subjects()).await
    };
    let basic = |password: &str| Login::Basic {
        username: USER.to_owned(),
        password: password.to_owned(),
    };
    let bearer = |token: &str| Login::Bearer {
        token: token.to_owned(),
    };
    ask(basic(PASSWORD)).await.unwrap();
    ask(bearer(TOKEN)).await.unwrap();
    let newline = format!("{WRONG}\n");
    for login in [Login::Nobody, basic(WRONG), bearer(WRONG), bearer(&newline)] {
        server.take_requests();
        let failure = ask(login).await.unwrap_err();
        assert_eq!(failure.class(), "fatal", "{failure}");
        assert!(failure.reason().contains("registry.token"), "{failure}");
        assert!(!failure.reason().contains(WRONG), "{failure}");
        assert!(server.take_requests().len() <= 1, "it was tried again");
    }
}

#[tokio::test]
async fn tls_trusts_and_is_trusted_by_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path().join("certificates"));
    let path = |path: std::path::PathBuf| path.display().to_string();
    let authority = path(certificates.authority_file());
    let stranger = path(certificates.stranger_file());
    let [certificate, key] = certificates.server_pair().map(path);
    let ask = async |server: &Server, ca: &str, own: [&str; 2]| {
        let config = RegistryConfig {
            ca: ca.to_owned(),
            certificate: own[0].to_owned(),
            key: own[1].to_owned(),
            timeout: Duration::from_secs(10),
            ..config(server.url())
        };
        let registry = Registry::new(&config)?;
        gaps(&registry, &subjects()).await
    };
    let fatal = |answer: Result<Vec<Gap>, Failure>, word: &str| {
        let failure = answer.unwrap_err();
        assert_eq!(failure.class(), "fatal", "{failure}");
        assert_eq!(failure.reason().lines().count(), 1, "{failure}");
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    };
    const NONE: [&str; 2] = ["", ""];
    let server = Server::over_tls(&certificates).await.unwrap();
    assert_eq!(ask(&server, &authority, NONE).await.unwrap().len(), 2);
    fatal(ask(&server, &stranger, NONE).await, "set registry.ca");
    fatal(ask(&server, "", NONE).await, "set registry.ca");
    fatal(ask(&server, "/nowhere.pem", NONE).await, "/nowhere.pem");
    fatal(ask(&server, &key, NONE).await, "registry.ca");

    let server = Server::over_mutual_tls(&certificates).await.unwrap();
    let own = [certificate.as_str(), key.as_str()];
    assert_eq!(ask(&server, &authority, own).await.unwrap().len(), 2);
    fatal(ask(&server, &authority, NONE).await, "registry.certificate");
    let unknown = stranger.replace(".pem", ".key");
    let unknown = [stranger.as_str(), unknown.as_str()];
    fatal(
        ask(&server, &authority, unknown).await,
        "registry.certificate",
    );
    fatal(
        ask(&server, &authority, [&certificate, ""]).await,
        "registry.key",
    );
    fatal(
        ask(&server, &authority, [&certificate, "/no.key"]).await,
        "/no.key",
    );
}
