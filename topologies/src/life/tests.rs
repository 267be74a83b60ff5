use std::collections::BTreeMap;

use bytes::Bytes;
use penstock_schemas::{
    About, Completed, DeadRef, Document, Opened, PartOutcome, PartState, Visible,
};

use super::*;

const ID: Uuid = Uuid::from_u128(1);

fn lineage(version: u128) -> Lineage {
    Lineage {
        group: "g".to_owned(),
        document_guid: ID,
        version: Uuid::from_u128(version),
        edition: Uuid::from_u128(version + 100),
        stamped: 10,
    }
}

fn opened(parts: i32) -> Opened {
    Opened {
        about: About {
            source: "s".to_owned(),
            key: "a.md".to_owned(),
            path: "docs/a.md".to_owned(),
            title: None,
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        },
        blob: None,
        attributes_digest: String::new(),
        recipe: "r".to_owned(),
        parts,
    }
}

/// The first of two parts has two chunks, 1000 and 1001, of which the first is in both stores.
pub(super) fn open(step: Step, last_progress_at: i64) -> OpenEdition {
    OpenEdition {
        lineage: lineage(2),
        opened: Some(opened(2)),
        step,
        parts: vec![part(0, &[1000, 1001], 0b01, 0b01)],
        indexed: Bytes::new(),
        linked: Bytes::new(),
        dead: Vec::new(),
        last_progress_at,
    }
}

fn part(number: i32, chunks: &[u128], indexed: u8, linked: u8) -> PartState {
    let ids = chunks
        .iter()
        .flat_map(|it| *Uuid::from_u128(*it).as_bytes());
    PartState {
        part: number,
        run: Uuid::nil(),
        outcome: PartOutcome::Listed,
        chunks: ids.collect(),
        indexed: Bytes::from(vec![indexed]),
        linked: Bytes::from(vec![linked]),
    }
}

pub(super) fn entry(open: Vec<OpenEdition>) -> LedgerEntry {
    LedgerEntry {
        document_guid: ID,
        group: "g".to_owned(),
        visible: None,
        open,
        deleted: None,
        removed_at: None,
        newest: Some(Uuid::from_u128(2)),
        fields_version: 1,
    }
}

fn progress(version: u128, stage: &str, part: i32, ids: &[u128], at: i64) -> Progress {
    Progress {
        lineage: lineage(version),
        stage: stage.to_owned(),
        part: Some(part),
        run: None,
        outcome: Outcome::Outputs,
        ids: ids.iter().copied().map(Uuid::from_u128).collect(),
        opened: None,
        dead: None,
        at,
    }
}

fn dead(chunk: Option<u128>) -> DeadRef {
    DeadRef {
        stage: "embed".to_owned(),
        part: Some(0),
        chunk: chunk.map(Uuid::from_u128),
        class: "poison".to_owned(),
        reason: "torn".to_owned(),
    }
}

#[test]
fn an_edition_waits_for_the_first_stage_that_has_not_done_its_part() {
    let check =
        |change: &dyn Fn(&mut OpenEdition), told: &[Progress], stage: Option<&str>, word| {
            let mut edition = open(Step::Gathering, 5);
            change(&mut edition);
            let told: Vec<&Progress> = told.iter().collect();
            let wait = wait_of(&edition, &told);
            assert_eq!(wait.stage, stage, "{}", wait.what);
            assert!(wait.what.contains(word), "{} lacks {word}", wait.what);
        };
    let whole = |it: &mut OpenEdition| it.parts.push(part(1, &[1002], 0b1, 0b0));
    check(&|it| it.opened = None, &[], Some("split"), "how many parts");
    check(&|_| {}, &[], Some("parse"), "1 of 2 parts are not read");
    let parsed = [progress(2, "parse", 1, &[], 1)];
    check(&|_| {}, &parsed, Some("shard"), "1 of 2 parts are not cut");
    check(&whole, &[], Some("embed"), "1 of 3 chunks have no vector");
    let embedded = [progress(2, "embed", 0, &[1001], 1)];
    check(&whole, &embedded, Some("index"), "1 of 3 chunks");
    let other_dead = |it: &mut OpenEdition| {
        whole(it);
        it.dead.push(dead(Some(1001)));
    };
    check(
        &other_dead,
        &[],
        Some("link"),
        "1 of 3 chunks are not in the graph",
    );
    check(&|it| it.step = Step::Settled, &[], Some("settle"), "swept");
    check(
        &|it| it.step = Step::Swept,
        &[],
        Some("settle"),
        "vector store",
    );
    check(
        &|it| it.step = Step::ShownVectors,
        &[],
        Some("settle"),
        "graph",
    );
    check(
        &|it| it.step = Step::ShownGraph,
        &[],
        Some("settle"),
        "older",
    );
    check(&|it| it.step = Step::Abandoned, &[], None, "ingest");
    let failed = |it: &mut OpenEdition| {
        it.step = Step::Failed;
        it.dead.push(dead(None));
    };
    check(&failed, &[], None, "1 dead");
}

fn sent(version: u128) -> Option<(i64, Document)> {
    let document = Document {
        document_guid: ID,
        group: "g".to_owned(),
        source: "s".to_owned(),
        key: "a.md".to_owned(),
        version: Uuid::from_u128(version),
        deleted: false,
        path: "docs/a.md".to_owned(),
        blob: None,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    };
    Some((3, document))
}

fn visible(version: u128) -> Option<Visible> {
    Some(Visible {
        lineage: lineage(version),
        opened: opened(1),
        chunks: 3,
        manifest: None,
        at: 50,
    })
}

fn stage(name: &str, lag: i64) -> StageStatus {
    StageStatus {
        stage: name.to_owned(),
        lag_records: lag,
        lag_seconds: None,
        records_per_second: 0.0,
        in_flight: 0,
        in_flight_limit: 0,
        paused_share: 0.0,
        retries: 0,
        dead_letters: 0,
        instances: 0,
    }
}

#[test]
fn a_life_tells_every_edition_and_the_times_of_its_stages() {
    let heard = Heard {
        sent: sent(3),
        entry: Some(LedgerEntry {
            visible: visible(1),
            newest: Some(Uuid::from_u128(3)),
            ..entry(vec![OpenEdition {
                lineage: lineage(3),
                ..open(Step::Gathering, 40)
            }])
        }),
        progress: vec![
            progress(3, "parse", 0, &[], 1_010),
            progress(3, "shard", 0, &[1000, 1001], 1_500),
            progress(3, "embed", 0, &[1000], 2_500),
            progress(3, "embed", 0, &[1001], 4_500),
        ],
        completed: vec![Completed {
            lineage: lineage(0),
            outcome: Completion::Visible,
            path: "docs/a.md".to_owned(),
            parts: 1,
            chunks: 7,
            dead: Vec::new(),
            manifest: None,
            at: 20,
        }],
        letters: Vec::new(),
    };
    let life = Life::of(ID, heard, &[stage("shard", 4)]);
    let editions: Vec<(u128, &str, usize, usize)> = life
        .editions
        .iter()
        .map(|it| {
            (
                it.version.as_u128(),
                it.state.as_str(),
                it.chunks,
                it.linked,
            )
        })
        .collect();
    assert_eq!(
        editions,
        [
            (3, "gathering", 2, 1),
            (1, "visible", 3, 3),
            (0, "over", 7, 0)
        ]
    );
    let times: Vec<(&str, i64, usize)> = life.editions[0]
        .stages
        .iter()
        .map(|it| (it.stage.as_str(), it.milliseconds, it.done))
        .collect();
    assert_eq!(
        times,
        [("parse", 1_000, 1), ("shard", 490, 2), ("embed", 3_000, 2)]
    );
    assert_eq!(life.path.as_deref(), Some("docs/a.md"));
    let waits = life.waits.clone().unwrap();
    assert_eq!(waits.stage.as_deref(), Some("parse"));
    assert_eq!((waits.lag_records, waits.instances), (None, None));
    let text = life.print();
    for words in [
        "docs/a.md",
        "gathering since",
        "2 parts, 1 without chunks yet",
        "waits for parse",
    ] {
        assert!(text.contains(words), "{text} lacks {words}");
    }
}

#[test]
fn what_settle_has_not_heard_of_waits_before_it() {
    let check = |heard: Heard, expect: Option<&str>| {
        let life = Life::of(ID, heard, &[stage("split", 9), stage("settle", 2)]);
        let stage = life.waits.as_ref().and_then(|it| it.stage.as_deref());
        assert_eq!(stage, expect, "{life:?}");
        if expect == Some("split") {
            assert!(
                life.print()
                    .contains("9 records wait there; no process runs it")
            );
        }
    };
    let done = || LedgerEntry {
        visible: visible(2),
        ..entry(Vec::new())
    };
    let heard = |version, entry: Option<LedgerEntry>| Heard {
        sent: sent(version),
        entry,
        ..Heard::default()
    };
    check(heard(2, Some(done())), None);
    check(heard(3, Some(done())), Some("split"));
    check(heard(3, None), Some("split"));
    let reported = Heard {
        progress: vec![progress(3, "split", 0, &[], 1)],
        ..heard(3, Some(done()))
    };
    check(reported, Some("settle"));
    let leftover = LedgerEntry {
        visible: visible(3),
        newest: Some(Uuid::from_u128(3)),
        ..entry(vec![open(Step::Failed, 1)])
    };
    check(heard(3, Some(leftover)), None);
    let deleted = LedgerEntry {
        deleted: Some(Uuid::from_u128(2)),
        ..entry(Vec::new())
    };
    check(heard(2, Some(deleted)), Some("settle"));
}
