//! A schema registry beside the cluster: records name their schemas by its ids.

use std::collections::BTreeMap;

use penstock::audit::Audit;
use penstock::dead_letters::Listed;
use penstock::topics::{Applied, Checked};
use penstock_adapters::kafka::{KafkaConfig, KafkaSink, fold_topic};
use penstock_adapters::registry::State;
use penstock_runtime::{Outgoing, Sink};
use penstock_schemas::{Codec, Document, Message, topics};
use penstock_servers::registry::Registry;
use penstock_servers::{Listener, PASSWORD, USER};
use penstock_tests::{document, until};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::World;

const DOCUMENTS: &str = "rag.documents.v1-value";
/// Bytes before the record: a single object's, and a registry's.
const SINGLE_HEAD: usize = 10;
const WRONG: &str = "not-the-password-7a41";

/// The schema of documents with its list of fields changed.
fn schema(change: impl Fn(&mut Vec<Value>)) -> String {
    let mut schema: Value = serde_json::from_str(Document::SCHEMA).unwrap();
    change(schema["fields"].as_array_mut().unwrap());
    schema.to_string()
}

struct Place {
    world: World,
    registry: Registry,
    runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let registry = runtime.block_on(Registry::start()).unwrap();
        registry.guard();
        let world = World::new();
        std::fs::write(world.file("password"), PASSWORD).unwrap();
        let settings = format!(
            "[registry]\nurl = {:?}\nusername = {USER:?}\npassword = {{ file = {:?} }}\n",
            registry.url(),
            world.file("password")
        );
        world.configure(Listener::Plain, &settings);
        Self {
            world,
            registry,
            runtime,
        }
    }

    fn config(&self) -> KafkaConfig {
        KafkaConfig::new(self.world.kafka.brokers(Listener::Plain))
    }

    /// A document whose bytes are where the stages look for them, as a record without its head.
    fn stored(&self, name: &str) -> (Document, Vec<u8>) {
        let bytes = format!("# Log\n\nCrane {name} lifted salt.\n").into_bytes();
        let document = document(&format!("{name}.md"), &bytes);
        let file = self
            .world
            .file("objects")
            .join(&document.blob.as_ref().unwrap().key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
        let single = Codec::default().encode(&document).unwrap();
        (document, single[SINGLE_HEAD..].to_vec())
    }

    fn send(&self, key: &str, value: Vec<u8>) {
        let record = Outgoing {
            topic: topics::DOCUMENTS.name().into(),
            key: Some(key.to_owned().into()),
            value: Some(value.into()),
            headers: Vec::new(),
        };
        let sink = KafkaSink::new(&self.config()).unwrap();
        self.runtime.block_on(sink.produce(vec![record])).unwrap();
    }

    /// Another program's document, behind the id of the schema it was written with.
    fn send_as(&self, id: u32, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let (document, mut record) = self.stored(name);
        change(&mut record);
        let value = [&[0][..], &id.to_be_bytes()[..], &record].concat();
        self.send(&document.document_guid.to_string(), value);
    }

    /// How many records of a topic begin with what.
    fn heads(&self, topic: &str) -> BTreeMap<Vec<u8>, usize> {
        let config = self.config();
        let mut heads = BTreeMap::new();
        let reading = fold_topic(&config, topic, None, |record| {
            let value = record.value.unwrap_or_default();
            *heads.entry(value[..5].to_vec()).or_default() += 1;
            Ok(())
        });
        self.runtime.block_on(reading).unwrap();
        heads
    }

    fn until_visible(&self, documents: u64) {
        until("the documents are visible", || {
            let audit: Audit = self.world.run(&["audit", "--json"]).json();
            audit.is_sound() && audit.documents == documents
        });
    }
}

#[test]
fn schemas_are_registered_before_the_first_record() {
    let place = Place::new();
    let (world, registry) = (&place.world, &place.registry);
    let check = || -> (i32, Checked) {
        let ran = world.run(&["topics", "check", "--json"]);
        (ran.code, ran.json())
    };
    let older = registry.put(DOCUMENTS, &schema(|fields| drop(fields.pop())));
    let (code, checked) = check();
    let states: Vec<State> = checked.schemas.iter().map(|gap| gap.state).collect();
    assert_eq!((code, states.len()), (2, topics::subjects().len()));
    assert_eq!(states[..2], [State::Other, State::Missing]);
    let text = world.run(&["topics", "check"]).stdout;
    assert!(
        text.contains("schema rag.parts.v1-value: is missing\n"),
        "{text}"
    );
    let refused = ["schema registry", DOCUMENTS, "10 others", "topics apply"];
    for args in [
        ["run", "embed"],
        ["ingest", "/nowhere"],
        ["dead-letters", "list"],
    ] {
        let words = if args[0] == "ingest" {
            &refused[3..]
        } else {
            &refused[..]
        };
        world.run(&args).could_not_run(words);
    }
    let wrong = format!("registry.password={WRONG}");
    let ran = world.run(&["topics", "check", "--set", &wrong]);
    ran.could_not_run(&["does not let us in", "registry.password"]);
    assert!(!ran.stderr.contains(WRONG), "{}", ran.stderr);

    // Where another program's schema is in the way, not even a topic is made.
    let taken = place.runtime.block_on(Registry::start()).unwrap();
    taken.put("rag.parts.v1-value", "\"string\"");
    let url = format!("registry.url={}", taken.url());
    world
        .run(&["topics", "apply", "--set", &url])
        .could_not_run(&["rag.parts.v1-value", "incompatible", "BACKWARD"]);
    assert!(taken.versions(DOCUMENTS).is_empty());
    assert_eq!(check().1.differences, checked.differences);

    let applied: Applied = world.run(&["topics", "apply", "--json"]).json();
    assert_eq!(applied.registered.len(), topics::subjects().len());
    assert_eq!(check().0, 0);
    let again = world.run(&["topics", "apply"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to do\n"));
    let versions = registry.versions(DOCUMENTS);
    assert_eq!((versions.len(), versions[0]), (2, older));

    documents_flow(&place, older, versions[1]);
}

/// From writers of before the registry, of an older schema, of ours, and of a newer one.
fn documents_flow(place: &Place, older: u32, ours: u32) {
    let (world, registry) = (&place.world, &place.registry);
    let (before, record) = place.stored("before");
    let single = Codec::default().encode(&before).unwrap();
    let head = &single[..SINGLE_HEAD];
    place.send(&before.document_guid.to_string(), [head, &record].concat());
    // Without attributes, which are a map's end.
    place.send_as(older, "older", |record| assert_eq!(record.pop(), Some(0)));
    let mut stages = world.start(&["split", "parse", "shard", "embed"]);
    let mut owner = world.start(&["index", "link", "settle"]);
    let docs = world.file("docs");
    std::fs::create_dir_all(&docs).unwrap();
    for name in ["one", "two"] {
        std::fs::write(
            docs.join(format!("{name}.md")),
            format!("# {name}\n\nSalt.\n"),
        )
        .unwrap();
    }
    assert_eq!(world.ingest(&docs).documents.complete, 2);
    place.until_visible(4);

    let named = |id: u32| [&[0][..], &id.to_be_bytes()[..]].concat();
    let heads = place.heads(topics::DOCUMENTS.name());
    let expect = [(head[..5].to_vec(), 1), (named(older), 1), (named(ours), 2)];
    assert_eq!(heads, BTreeMap::from(expect));
    for subject in &topics::subjects()[1..9] {
        let heads = place.heads(subject.topic);
        let id = registry.versions(&subject.name())[0];
        assert_eq!(
            heads.keys().collect::<Vec<_>>(),
            [&named(id)],
            "{subject:?}"
        );
    }

    // The registry goes away: what is known goes on, and a schema that is not known is waited for.
    let newest =
        schema(|fields| fields.push(json!({"name": "mood", "type": "string", "default": ""})));
    let newer = registry.put(DOCUMENTS, &newest);
    registry.set_away(true);
    place.send_as(ours, "known", |_| ());
    place.until_visible(5);
    place.send_as(newer, "newer", |record| record.push(0));
    until("it is asked for", || {
        stages.output().contains("cannot be looked up")
    });
    world
        .run(&["run", "embed"])
        .could_not_run(&["schema registry", registry.url()]);
    registry.set_away(false);
    place.until_visible(6);
    assert_eq!(world.records("rag.documents.v1.dlq"), 0);

    letters_are_read_and_mended(place, ours);
    for process in [&mut stages, &mut owner] {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}

/// What nobody has registered dies; the tools read and mend what can be read.
fn letters_are_read_and_mended(place: &Place, ours: u32) {
    let world = &place.world;
    place.send(
        "nobody",
        [&[0][..], &7_u32.to_be_bytes()[..], &[1]].concat(),
    );
    let (mut wrong, _) = place.stored("wrong");
    let right = std::mem::replace(&mut wrong.blob.as_mut().unwrap().sha256, "0".repeat(64));
    let record = Codec::default().encode(&wrong).unwrap();
    let value = [&[0][..], &ours.to_be_bytes()[..], &record[SINGLE_HEAD..]].concat();
    place.send(&wrong.document_guid.to_string(), value);
    until("both are dead letters", || {
        world.records("rag.documents.v1.dlq") == 2
    });
    let listed: Listed = world.run(&["dead-letters", "list", "--json"]).json();
    let of = |class: &str| {
        listed
            .dead_letters
            .iter()
            .find(|it| it.class == class)
            .unwrap()
    };
    let reason = &of("undecodable").reason;
    assert!(
        reason.contains("unknown schema 7 of the registry"),
        "{reason}"
    );
    let letter = &of("poison").place;
    let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
    let at = [letter.topic.as_str(), &partition, &offset];
    let shown: Value = world
        .run(&[&["dead-letters", "show", "--json"], &at[..]].concat())
        .json();
    assert_eq!(shown["record"]["path"], "wrong.md", "{shown:#}");
    let edit = format!(".blob.sha256 = {right:?}");
    let redrive = ["dead-letters", "redrive", "--edit", &edit];
    let ran = world.run(&[&redrive, &at[..]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    place.until_visible(7);
    let status = world.run(&["status", "--json"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    let replay = ["replay", "split", "--beginning", "--dry-run", "--json"];
    let planned: Value = world.run(&replay).json();
    // Seven documents and the garbage: of what was mended the newer record counts.
    assert_eq!(planned["planned"], 8, "{planned}");
}
