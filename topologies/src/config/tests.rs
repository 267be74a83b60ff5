use penstock_adapters::registry::Login;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("penstock.toml");
    std::fs::write(&path, file).unwrap();
    let common = Common {
        config: Some(path),
        data: None,
        json: false,
        set: set.iter().map(|it| it.to_string()).collect(),
    };
    let environment = environment
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    Config::load(&common, environment)
}

#[test]
fn later_wins() {
    let file = "[shard]\nmax_tokens = 100\noverlap_tokens = 10\n[embed]\nthreads = 3\n";
    let environment = [
        ("PENSTOCK_SHARD_MAX_TOKENS", "120"),
        ("PENSTOCK_KAFKA_BROKERS", "a:9092"),
        ("HOME", "/"),
    ];
    let config = load(file, &environment, &["shard.max_tokens=128"]).unwrap();
    assert_eq!(config.shard.max_tokens, 128);
    assert_eq!(config.shard.overlap_tokens, 10);
    assert_eq!(config.embed.threads, 3);
    assert!(!config.is_embedded());
}

#[test]
fn errors_say_what_and_where() {
    let check = |result: Result<Config, String>, expected: &[&str]| {
        let error = result.unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        for word in expected {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    check(
        load("[shard]\nmax_token = 1", &[], &[]),
        &[
            "penstock.toml",
            "shard.max_token",
            "did you mean shard.max_tokens",
        ],
    );
    check(load("[shard\n", &[], &[]), &["penstock.toml"]);
    check(
        load("[shard]\nmax_tokens = \"x\"", &[], &[]),
        &["max_tokens"],
    );
    check(
        load("", &[("PENSTOCK_SHART_MAX_TOKENS", "1")], &[]),
        &[
            "PENSTOCK_SHART_MAX_TOKENS",
            "did you mean PENSTOCK_SHARD_MAX_TOKENS",
        ],
    );
    check(
        load("", &[("PENSTOCK_EMBED_THREADS", "many")], &[]),
        &["PENSTOCK_EMBED_THREADS", "whole number"],
    );
    check(
        load("", &[], &["shard.max_tokens=4"]),
        &["shard.max_tokens is 4", "16 to 512"],
    );
    check(
        load("", &[], &["shard.overlap_tokens=200"]),
        &["shard.overlap_tokens", "at most half"],
    );
    check(load("[settle]\npartial = \"maybe\"", &[], &[]), &["maybe"]);
    check(
        load("[throttle]\nlag_hihg = 7", &[], &[]),
        &["throttle.lag_hihg", "did you mean throttle.lag_high"],
    );
    check(
        load("", &[], &["throttle.lag_high=50000"]),
        &["throttle.lag_high is 50000", "throttle.lag_low"],
    );
    check(
        load("", &[("PENSTOCK_THROTTLE_LAG_SECONDS_HIGH", "3")], &[]),
        &[
            "throttle.lag_seconds_high is 3",
            "lag_seconds_low, which is 10",
        ],
    );
    check(load("[throttle]\nlag_low = -1", &[], &[]), &["lag_low"]);
    check(
        load("", &[], &["objects.url=file:///srv"]),
        &["objects.url is file:///srv", "kafka.brokers"],
    );
}

#[test]
fn kafka_properties_are_open_and_checked() {
    let config = load(
        "[kafka.properties]\n\"security.protocol\" = \"ssl\"\n\"session.timeout.ms\" = 7000",
        &[("PENSTOCK_KAFKA_PROPERTIES_SASL_PASSWORD", "hunter2")],
        &["kafka.properties.linger.ms=3"],
    )
    .unwrap();
    let of = |name: &str| config.kafka.properties.0[name].as_str();
    assert_eq!(of("security.protocol"), "ssl");
    assert_eq!(of("session.timeout.ms"), "7000");
    assert_eq!(of("sasl.password"), "hunter2");
    assert_eq!(of("linger.ms"), "3");
    assert!(!format!("{config:?}").contains("hunter2"));
    let objects = load(
        "[objects.properties]\nendpoint = \"http://127.0.0.1:9000\"",
        &[("PENSTOCK_OBJECTS_PROPERTIES_SECRET_ACCESS_KEY", "hunter2")],
        &["objects.properties.region=eu-central-1"],
    );
    let of = objects.unwrap().objects.properties.0;
    assert_eq!(
        of.into_iter().collect::<Vec<_>>(),
        [
            ("endpoint", "http://127.0.0.1:9000"),
            ("region", "eu-central-1"),
            ("secret_access_key", "hunter2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let error = load("", &[], &["kafka.properties.no.such=hunter2"]).unwrap_err();
    assert!(error.contains("no.such"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    for file in [
        "[kafka.properties]\n\"sasl.password\" = \"hunter2\n",
        "[kafka.properties]\n\"sasl.password\" = hunter2\n",
        "[kafka]\nproperties = \"hunter2\"\n",
    ] {
        let error = load(file, &[], &[]).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = load("[kafka]\n\nbrokers = \"a\n", &[], &[]).unwrap_err();
    assert!(error.contains("line 3"), "{error}");
}

#[test]
fn a_registry_and_its_login() {
    const REGISTRY: &str = "[kafka]\nbrokers = \"a:9092\"\n[registry]\nurl = \"https://r:8081\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let with = |more: &str, environment: &[(&str, &str)], set: &[&str]| {
        load(&format!("{REGISTRY}{more}"), environment, set)
    };
    let in_file = format!("username = \"ann\"\npassword = {{ file = {file:?} }}\n");
    let basic = |password: &str| Login::Basic {
        username: "ann".to_owned(),
        password: password.to_owned(),
    };
    let login = |config: Config| config.registry().unwrap().login;
    assert!(load("", &[], &[]).unwrap().registry().is_none());
    assert!(login(with("", &[], &[]).unwrap()) == Login::Nobody);
    let config = with(&in_file, &[], &[]).unwrap();
    assert!(!format!("{config:?}").contains("from-a-file"), "{config:?}");
    assert!(login(config) == basic("from-a-file"));
    let environment = [("PENSTOCK_REGISTRY_PASSWORD", "from-outside")];
    assert!(login(with(&in_file, &environment, &[]).unwrap()) == basic("from-outside"));
    let set = ["registry.password=from-a-flag"];
    assert!(login(with(&in_file, &environment, &set).unwrap()) == basic("from-a-flag"));
    let bearer = Login::Bearer {
        token: "t".to_owned(),
    };
    assert!(login(with("token = \"t\"\n", &[], &[]).unwrap()) == bearer);

    let refused = |result: Result<Config, String>, words: &[&str]| {
        let error = result.unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    refused(
        load("[registry]\nurl = \"http://r\"\n", &[], &[]),
        &["registry.url", "kafka.brokers"],
    );
    refused(
        with("pasword = \"hunter2\"\n", &[], &[]),
        &["registry.password"],
    );
    refused(
        with("password = \"hunter2\"\n", &[], &[]),
        &["registry.username"],
    );
    refused(
        with("password = [\"hunter2\"]\n", &[], &[]),
        &["registry.password"],
    );
    refused(
        with("password = { flie = \"hunter2\" }\n", &[], &[]),
        &["registry.password", "{ file = "],
    );
    refused(
        with("password = { file = \"/nowhere\" }\n", &[], &[]),
        &["registry.password", "/nowhere"],
    );
    let both = format!("{in_file}token = \"hunter2\"\n");
    refused(with(&both, &[], &[]), &["registry.token"]);
    refused(with("key = \"k\"\n", &[], &[]), &["registry.certificate"]);
    for url in ["r:8081", "ftp://r", "https://ann:hunter2@r", "http://r,"] {
        let set = format!("registry.url={url}");
        refused(with("", &[], &[&set]), &["registry.url"]);
    }
}

#[test]
fn stores_on_the_network_and_their_secrets() {
    const CLUSTER: &str =
        "[kafka]\nbrokers = \"a:9092\"\n[objects]\nurl = \"file:///srv/objects\"\n";
    const QDRANT: &str = "[qdrant]\nurl = \"https://q:6334\"\n";
    const NEO4J: &str = "[neo4j]\nurl = \"neo4j+s://n\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "hunter2\n").unwrap();
    let full = format!(
        "{CLUSTER}{QDRANT}api_key = {{ file = {file:?} }}\ncollection = \"c\"\n{NEO4J}user = \"ann\"\ndatabase = \"d\"\n"
    );
    let environment = [("PENSTOCK_NEO4J_PASSWORD", "hunter2")];
    let set = ["qdrant.timeout_seconds=7", "neo4j.connections=3"];
    let config = load(&full, &environment, &set).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    let (qdrant, neo4j) = (config.qdrant().unwrap(), config.neo4j().unwrap());
    assert_eq!(qdrant.url, "https://q:6334");
    assert_eq!(qdrant.api_key, "hunter2");
    assert_eq!(qdrant.collection, "c");
    assert_eq!(qdrant.timeout, Duration::from_secs(7));
    assert_eq!(neo4j.url, "neo4j+s://n");
    assert_eq!((&*neo4j.user, &*neo4j.password), ("ann", "hunter2"));
    assert_eq!((&*neo4j.database, neo4j.connections), ("d", 3));
    let none = load(CLUSTER, &[], &[]).unwrap();
    assert!(none.qdrant().is_none() && none.neo4j().is_none());

    let refused = |file: &str, environment: &[(&str, &str)], set: &[&str], words: &[&str]| {
        let error = load(file, environment, set).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    let both = format!("{QDRANT}{NEO4J}");
    refused(&both, &[], &[], &["qdrant.url", "kafka.brokers"]);
    let logless = ["kafka.brokers=a:9092"];
    refused(&both, &[], &logless, &["neo4j.url", "objects.url"]);
    let (vectors, graph) = (format!("{CLUSTER}{QDRANT}"), format!("{CLUSTER}{NEO4J}"));
    refused(&vectors, &[], &[], &["neo4j.url is not", "both or neither"]);
    refused(&graph, &[], &[], &["qdrant.url is not", "both or neither"]);
    let wrong = |set: &str, words: &[&str]| {
        refused(&format!("{CLUSTER}{both}"), &[], &[set], words);
    };
    wrong("neo4j.user=ann", &["neo4j.user", "neo4j.password"]);
    wrong("neo4j.password=hunter2", &["neo4j.user", "neo4j.password"]);
    wrong("neo4j.timeout_seconds=0", &["neo4j.timeout_seconds is 0"]);
    wrong("neo4j.connections=0", &["neo4j.connections is 0"]);
    wrong("neo4j.url=http://n:7474", &["neo4j.url", "neo4j://HOST"]);
    wrong("neo4j.url=bolt://ann:hunter2@n", &["neo4j.user"]);
    wrong("neo4j.databse=d", &["did you mean neo4j.database"]);
    wrong("qdrant.timeout_seconds=0", &["qdrant.timeout_seconds is 0"]);
    wrong("qdrant.streams=65", &["qdrant.streams is 65"]);
    wrong("qdrant.streams=many", &["qdrant.streams", "whole number"]);
    wrong("qdrant.url=q:6334", &["qdrant.url"]);
    let clear = ["qdrant.url=http://q:6334", "qdrant.api_key=hunter2"];
    refused(&format!("{CLUSTER}{both}"), &[], &clear, &["in clear"]);
    let nowhere = format!("{full}password = {{ file = \"/nowhere\" }}\n");
    refused(&nowhere, &[], &[], &["neo4j.password", "/nowhere"]);
    let table = format!("{CLUSTER}{NEO4J}{QDRANT}api_key = {{ flie = \"hunter2\" }}\n");
    refused(&table, &[], &[], &["qdrant.api_key", "{ file = "]);
}
