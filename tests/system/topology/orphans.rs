//! Objects that no record names are collected, and no others: whatever the log holds, whatever is done again afterwards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use penstock::objects::{Collector, Heard, Named, Orphan, Removal, naming};
use penstock::pipeline::group_of;
use penstock::replay::Span;
use penstock_runtime::bus::Bus;
use penstock_runtime::{Outgoing, Route};
use penstock_schemas::{
    About, Audit, Blob, Codec, Completed, Completion, Document, LedgerEntry, Lineage, OpenEdition,
    Opened, Outcome, Part, Progress, Section, Step, Visible, dead_letters_of, topics,
};
use penstock_stages::blobs::{Blobs, version_prefix};
use penstock_stages::settle::manifest_key;
use penstock_tests::fakes::FakeBlobs;
use proptest::prelude::*;
use uuid::Uuid;

use super::replay::{plan, start};
use super::world::{Paper, World, close, header, papers};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What was written later stays.
const LIMIT: u32 = 7;

fn named(bus: &Bus) -> Named {
    let (codec, mut heard) = (Codec::default(), Heard::default());
    for topic in naming() {
        for record in bus.records(&topic) {
            heard.hear(&codec, &record).unwrap();
        }
    }
    heard.named()
}

/// A dry run, then the same in earnest: both tell the same.
async fn collect(blobs: &FakeBlobs, bus: &Bus) -> Vec<Orphan> {
    let (named, sink, codec) = (named(bus), bus.sink(), Codec::default());
    let now = blobs.clock().await.unwrap();
    let mut collector = Collector {
        named: &named,
        now,
        before: now - (LIMIT * DAY).as_millis() as i64,
        removal: None,
    };
    let all = blobs.keys("");
    let (mut dry, mut wet) = (Vec::new(), Vec::new());
    let would = collector.collect(blobs, |it| dry.push(it.clone())).await;
    assert_eq!(blobs.keys(""), all, "a dry run removes nothing");
    collector.removal = Some(Removal {
        sink: &sink,
        codec: &codec,
        actor: "ann@desk",
    });
    let did = collector.collect(blobs, |it| wet.push(it.clone())).await;
    assert_eq!((would.unwrap(), &dry), (did.unwrap(), &wet));
    wet
}

/// Which of a version's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Source,
    Text,
    Manifest,
}

const WHATS: [What; 3] = [What::Source, What::Text, What::Manifest];

/// What a record says.
#[derive(Debug, Clone)]
enum Said {
    /// A document, whose bytes lie below this version.
    Sent(u128, u128),
    Deleted(u128),
    DeadDocument(u128),
    Part(u128, bool),
    Section(u128, bool),
    Opened(u128, bool),
    Completed(u128),
    /// By an owner of this term: what is visible, and an open edition with its step.
    Entry(i64, Option<u128>, Option<(u128, Step)>),
    /// Of another release, on a topic that is kept for readers.
    Unreadable(usize),
}

fn said() -> impl Strategy<Value = Said> {
    let version = || 1..5_u128;
    let step = prop_oneof![
        Just(Step::Gathering),
        Just(Step::Failed),
        Just(Step::Abandoned)
    ];
    prop_oneof![
        4 => (version(), version()).prop_map(|(it, bytes)| Said::Sent(it, bytes.min(it))),
        1 => version().prop_map(Said::Deleted),
        1 => version().prop_map(Said::DeadDocument),
        2 => (version(), any::<bool>()).prop_map(|(it, dead)| Said::Part(it, dead)),
        2 => (version(), any::<bool>()).prop_map(|(it, dead)| Said::Section(it, dead)),
        1 => (version(), any::<bool>()).prop_map(|(it, dead)| Said::Opened(it, dead)),
        1 => version().prop_map(Said::Completed),
        3 => (0..3_i64, proptest::option::of(version()), proptest::option::of((version(), step)))
            .prop_map(|(term, visible, open)| Said::Entry(term, visible, open)),
        1 => (0..3_usize).prop_map(Said::Unreadable),
    ]
}

fn id(document: u128) -> Uuid {
    Uuid::from_u128(100 + document)
}

fn lineage(document: u128, version: u128) -> Lineage {
    Lineage {
        group: "g".to_owned(),
        document_guid: id(document),
        version: Uuid::from_u128(version),
        edition: Uuid::from_u128(1000 + version),
        stamped: 0,
    }
}

fn key(document: u128, version: u128, what: What) -> String {
    let prefix = version_prefix("g", id(document), Uuid::from_u128(version));
    match what {
        What::Source => format!("{prefix}{}", "5c".repeat(32)),
        What::Text => format!("{prefix}{}", "7e".repeat(32)),
        What::Manifest => manifest_key(&lineage(document, version)),
    }
}

fn blob(document: u128, version: u128, what: What) -> Blob {
    Blob {
        key: key(document, version, what),
        sha256: String::new(),
        size: 1,
    }
}

fn about() -> About {
    About {
        source: String::new(),
        key: String::new(),
        path: String::new(),
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    }
}

fn opened(document: u128, version: u128) -> Opened {
    Opened {
        about: about(),
        blob: Some(blob(document, version, What::Source)),
        attributes_digest: String::new(),
        recipe: String::new(),
        parts: 1,
    }
}

/// Writes what a record says to the log.
fn say(bus: &Bus, document: u128, said: &Said) {
    let codec = Codec::default();
    let sent = |version: u128, blob: Option<Blob>| Document {
        document_guid: id(document),
        group: "g".to_owned(),
        source: String::new(),
        key: String::new(),
        version: Uuid::from_u128(version),
        deleted: blob.is_none(),
        path: String::new(),
        blob,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    };
    let source = |version| Some(blob(document, version, What::Source));
    let dead = |mut record: Outgoing| {
        record.topic = dead_letters_of(&record.topic).into();
        record
    };
    let or_dead = |record: Outgoing, is_dead: bool| if is_dead { dead(record) } else { record };
    let record = match said {
        Said::Sent(version, bytes) => {
            let blob = source(*bytes);
            topics::DOCUMENTS
                .encode(&codec, &sent(*version, blob))
                .unwrap()
        }
        Said::Deleted(version) => topics::DOCUMENTS
            .encode(&codec, &sent(*version, None))
            .unwrap(),
        Said::DeadDocument(version) => {
            let document = sent(*version, source(*version));
            dead(topics::DOCUMENTS.encode(&codec, &document).unwrap())
        }
        Said::Part(version, is_dead) => {
            let part = Part {
                lineage: lineage(document, *version),
                part: 0,
                parts: 1,
                kind: "text".to_owned(),
                blob: blob(document, *version, What::Source),
                range: None,
                about: about(),
            };
            or_dead(topics::PARTS.encode(&codec, &part).unwrap(), *is_dead)
        }
        Said::Section(version, is_dead) => {
            let section = Section {
                lineage: lineage(document, *version),
                part: 0,
                parts: 1,
                text: blob(document, *version, What::Text),
                pages: Vec::new(),
                about: about(),
            };
            or_dead(topics::SECTIONS.encode(&codec, &section).unwrap(), *is_dead)
        }
        Said::Opened(version, is_dead) => {
            let progress = Progress {
                lineage: lineage(document, *version),
                stage: "split".to_owned(),
                part: None,
                run: None,
                outcome: Outcome::Outputs,
                ids: Vec::new(),
                opened: Some(opened(document, *version)),
                dead: None,
                at: 0,
            };
            or_dead(
                topics::PROGRESS.encode(&codec, &progress).unwrap(),
                *is_dead,
            )
        }
        Said::Completed(version) => {
            let completed = Completed {
                lineage: lineage(document, *version),
                outcome: Completion::Visible,
                path: String::new(),
                parts: 1,
                chunks: 1,
                dead: Vec::new(),
                manifest: Some(key(document, *version, What::Manifest)),
                at: 0,
            };
            topics::COMPLETED.encode(&codec, &completed).unwrap()
        }
        Said::Entry(term, visible, open) => {
            let entry = LedgerEntry {
                document_guid: id(document),
                group: "g".to_owned(),
                visible: visible.map(|version| Visible {
                    lineage: lineage(document, version),
                    opened: opened(document, version),
                    chunks: 1,
                    manifest: Some(key(document, version, What::Manifest)),
                    at: 0,
                }),
                open: open
                    .map(|(version, step)| OpenEdition {
                        lineage: lineage(document, version),
                        opened: Some(opened(document, version)),
                        step,
                        parts: Vec::new(),
                        indexed: Bytes::new(),
                        linked: Bytes::new(),
                        dead: Vec::new(),
                        last_progress_at: 0,
                    })
                    .into_iter()
                    .collect(),
                deleted: None,
                removed_at: None,
                newest: (*visible).max(open.map(|it| it.0)).map(Uuid::from_u128),
                fields_version: 1,
            };
            let mut record = topics::LEDGER.encode(&codec, &entry).unwrap();
            record
                .headers
                .push(("settle.term".into(), term.to_string().into()));
            record
        }
        Said::Unreadable(which) => {
            let topic = [
                topics::DOCUMENTS.name().to_owned(),
                topics::PARTS.name().to_owned(),
                dead_letters_of(topics::SECTIONS.name()),
            ];
            Outgoing {
                topic: topic[*which].clone().into(),
                key: Some(id(document).to_string().into()),
                value: Some(Bytes::from_static(b"of tomorrow")),
                headers: Vec::new(),
            }
        }
    };
    bus.append(record).unwrap();
}

/// Which versions of a document, and what of each, some record names; told apart by nothing but the list of what was said.
fn names(said: &[Said]) -> BTreeSet<(u128, What)> {
    let mut names = BTreeSet::new();
    let mut newest: Option<(u128, Option<u128>)> = None;
    let mut last = None;
    let (mut counts, mut last_entry): (Option<(i64, &Said)>, _) = (None, None);
    for it in said {
        let sent = match it {
            Said::Sent(version, bytes) => Some((*version, Some(*bytes))),
            Said::Deleted(version) => Some((*version, None)),
            _ => None,
        };
        if let Some((version, bytes)) = sent {
            if newest.is_none_or(|(newest, _)| newest <= version) {
                newest = Some((version, bytes));
            }
            last = bytes;
        }
        match it {
            Said::DeadDocument(version) | Said::Part(version, _) | Said::Opened(version, _) => {
                names.insert((*version, What::Source));
            }
            Said::Section(version, _) => {
                names.insert((*version, What::Text));
            }
            Said::Completed(version) => {
                names.insert((*version, What::Manifest));
            }
            Said::Entry(term, ..) => {
                if counts.is_none_or(|(greatest, _)| greatest <= *term) {
                    counts = Some((*term, it));
                }
                last_entry = Some(it);
            }
            Said::Unreadable(_) => {
                names.extend((1..5).flat_map(|version| WHATS.map(|what| (version, what))));
            }
            Said::Sent(..) | Said::Deleted(_) => {}
        }
    }
    let sources = [newest.and_then(|it| it.1), last].into_iter().flatten();
    names.extend(sources.map(|bytes| (bytes, What::Source)));
    for entry in [counts.map(|it| it.1), last_entry].into_iter().flatten() {
        let Said::Entry(_, visible, open) = entry else {
            continue;
        };
        for version in visible.iter().chain(open.iter().map(|it| &it.0)) {
            names.extend([What::Source, What::Manifest].map(|what| (*version, what)));
        }
        if let Some((version, Step::Gathering | Step::Failed)) = open {
            names.insert((*version, What::Text));
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any records on any topics, and objects of any age: what a record names stays, what is young stays, the rest goes.
    #[test]
    fn what_a_record_names_stays(
        said in proptest::collection::vec((0..2_u128, said()), 0..12),
        ages in proptest::collection::vec(0..15_u32, 2 * 4 * 3),
    ) {
        let bus = Bus::with_all_topics(2);
        for (document, it) in &said {
            say(&bus, *document, it);
        }
        let mut objects: Vec<(u32, String, bool)> = Vec::new();
        for document in 0..2_u128 {
            let of_it: Vec<Said> = said
                .iter()
                .filter(|(of, _)| *of == document)
                .map(|(_, it)| it.clone())
                .collect();
            let names = names(&of_it);
            for version in 1..5_u128 {
                for what in WHATS {
                    let age = ages[objects.len()];
                    let stays = age < LIMIT || names.contains(&(version, what));
                    objects.push((age, key(document, version, what), stays));
                }
            }
        }
        objects.sort_by_key(|it| std::cmp::Reverse(it.0));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let blobs = FakeBlobs::default();
            let mut time = 15;
            for (age, key, _) in &objects {
                blobs.pass((time - age) * DAY);
                time = *age;
                blobs.write(key, Bytes::from_static(b"x")).await.unwrap();
            }
            blobs.pass(time * DAY);
            let gone = collect(&blobs, &bus).await;
            let stay: HashSet<String> = blobs.keys("").into_iter().collect();
            for (age, key, stays) in &objects {
                assert_eq!(stay.contains(key), *stays, "{key} of {age} days");
            }
            // Written down, each once.
            let audits: Vec<Audit> = bus.read(topics::AUDIT).unwrap();
            let told = audits.iter().flat_map(|it| it.detail["keys"].lines());
            let told: BTreeSet<&str> = told.collect();
            assert_eq!(told, gone.iter().map(|it| it.key.as_str()).collect());
        });
    }
}

/// What is done to a document.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Send,
    /// split cannot count its pages.
    SendTorn,
    /// parse finds no text.
    SendBlank,
    Delete,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Send),
        1 => Just(Deed::SendTorn),
        1 => Just(Deed::SendBlank),
        1 => Just(Deed::Delete),
    ]
}

fn paper(number: usize, version: u128, deed: Deed) -> Paper {
    let key = format!("paper-{number}.md");
    match deed {
        Deed::Send => Paper::about(&key, version, &format!("matter {version}")),
        Deed::SendTorn => Paper::new(&key, version, format!("%PDF-1.7\nno more than {version}")),
        Deed::SendBlank => Paper::new(&key, version, " \n".repeat(version as usize)),
        Deed::Delete => Paper::deletion(&key, version),
    }
}

async fn history(deeds: &[(usize, Deed)]) -> World {
    let world = World::new();
    let pipeline = world.start();
    let mut versions = BTreeMap::new();
    for (number, deed) in deeds {
        let version = versions.entry(*number).or_insert(0_u128);
        *version += 1;
        world.send(&paper(*number, *version, *deed)).await;
        if *version % 2 == 0 {
            world.quiet().await;
        }
    }
    world.quiet().await;
    close(pipeline).await;
    world
}

/// But for bytes of what was deleted: those go at once, whatever is still on its way.
fn assert_nothing_is_missed(world: &World) {
    let ledger = world.ledger();
    for letter in world.letters() {
        let reason = header(&letter, "dlq.reason");
        let key = reason
            .strip_prefix("object ")
            .and_then(|it| it.strip_suffix(" is not in the object store"));
        let Some(key) = key else { continue };
        let mut above = key.rsplit('/').skip(1);
        let version: Uuid = above.next().unwrap().parse().unwrap();
        let document: Uuid = above.next().unwrap().parse().unwrap();
        assert!(ledger[&document].deleted >= Some(version), "{reason}");
    }
}

/// All that can be done again after `deeds` and a long time: no stage misses an object, and nothing changes.
async fn all_again(deeds: Vec<(usize, Deed)>) {
    let world = history(&deeds).await;
    let before = world.contents();
    // Not so long that settle would collect too: records of this log live for ever, and it counts on their retention.
    world.blobs.pass(20 * DAY);
    // As ingest leaves it that dies before it sends, and somebody else's.
    let lost = version_prefix("freight", Uuid::from_u128(7), Uuid::from_u128(8))
        + "0a".repeat(32).as_str();
    world.blobs.write(&lost, Bytes::new()).await.unwrap();
    world
        .blobs
        .write("notes/of/others.txt", Bytes::new())
        .await
        .unwrap();
    assert!(
        collect(&world.blobs, &world.bus)
            .await
            .iter()
            .all(|it| it.key != lost)
    );
    world.blobs.pass(LIMIT * DAY);
    collect(&world.blobs, &world.bus).await;
    assert_eq!(world.blobs.keys(&lost), Vec::<String>::new());
    assert_eq!(world.blobs.keys("notes").len(), 1);
    assert!(collect(&world.blobs, &world.bus).await.is_empty());

    let letters = world.letters();
    for stage in ["parse", "shard"] {
        world.bus.rewind(&group_of(stage));
    }
    let (mut replay, _) = start(&world, &plan(&world, Span::Beginning));
    let pipeline = world.start();
    replay.ended().await.unwrap();
    close(replay).await;
    for letter in &letters {
        world.redrive(letter);
    }
    world.quiet().await;
    close(pipeline).await;
    assert_nothing_is_missed(&world);
    assert_eq!(world.contents(), before);
    world.sound().await;
}

/// What settle collects by itself, once everything is older than any record is kept: what can be replayed then goes well.
async fn documents_again(deeds: Vec<(usize, Deed)>) {
    let world = history(&deeds).await;
    let before = world.contents();
    world.blobs.pass(100 * DAY);
    world.collect().await;
    let (mut replay, _) = start(&world, &plan(&world, Span::Beginning));
    let pipeline = world.start();
    replay.ended().await.unwrap();
    close(replay).await;
    world.quiet().await;
    close(pipeline).await;
    assert_nothing_is_missed(&world);
    assert_eq!(world.contents(), before);
    world.sound().await;
}

fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_again_finds_its_objects(
        deeds in proptest::collection::vec((0..3_usize, deed()), 1..8),
    ) {
        paused(all_again(deeds));
    }

    #[test]
    fn what_settle_collects_is_missed_by_no_replay(
        deeds in proptest::collection::vec((0..3_usize, deed()), 1..8),
    ) {
        paused(documents_again(deeds));
    }
}

/// The store's clock alone tells ages: whatever ours says, what was just written is young.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_removes_nothing_young() {
    let blobs = FakeBlobs::default();
    // Ours is two weeks behind the store's; then a copy of it is two weeks ahead.
    blobs.pass(14 * DAY);
    let key = key(0, 1, What::Source);
    blobs.write(&key, Bytes::new()).await.unwrap();
    let bus = Bus::with_all_topics(1);
    assert!(collect(&blobs, &bus).await.is_empty());
    blobs.pass((LIMIT - 1) * DAY);
    assert!(collect(&blobs, &bus).await.is_empty());
    blobs.pass(DAY);
    assert_eq!(collect(&blobs, &bus).await.len(), 1);
}

/// What is written again between the listing and the removal stays.
#[tokio::test(start_paused = true)]
async fn what_is_written_again_meanwhile_stays() {
    let world = World::undisturbed(&papers(1)).await;
    let key = key(0, 1, What::Text);
    world.blobs.write(&key, Bytes::new()).await.unwrap();
    world.blobs.pass(2 * LIMIT * DAY);
    let (named, sink, codec) = (named(&world.bus), world.bus.sink(), Codec::default());
    let now = world.blobs.clock().await.unwrap();
    let collector = Collector {
        named: &named,
        now,
        before: now - (LIMIT * DAY).as_millis() as i64,
        removal: Some(Removal {
            sink: &sink,
            codec: &codec,
            actor: "ann@desk",
        }),
    };
    // The listing takes a while: in its midst the object is written.
    world.blobs.faults.set_delay(Duration::from_secs(10));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        world.blobs.write(&key, Bytes::new()).await.unwrap();
    };
    let (tally, ()) = tokio::join!(collector.collect(world.blobs.as_ref(), |_| ()), writing);
    let tally = tally.unwrap();
    assert!(world.blobs.keys(&key) == [key.clone()], "{tally:?}");
    assert_eq!(tally.kept.young, 1, "{tally:?}");
}
