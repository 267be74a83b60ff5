//! Any records on any topics.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use penstock_runtime::bus::Bus;
use penstock_runtime::{Outgoing, Route};
use penstock_schemas::{
    About, Audit, Blob, Codec, Completed, Completion, Document, LedgerEntry, OpenEdition, Opened,
    Outcome, Part, Progress, Section, Step, Visible, dead_letters_of, topics,
};
use penstock_stages::blobs::Blobs;
use penstock_tests::fakes::FakeBlobs;
use proptest::prelude::*;
use uuid::Uuid;

use super::{DAY, LIMIT, WHATS, What, collect, id, key, lineage};

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
