use std::collections::BTreeMap;

use penstock_schemas::{
    About, Codec, DeadRef, LedgerEntry, Lineage, Opened, Outcome, PartOutcome, Progress, Step,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::Partial;
use super::document::{Document, Work};

mod collecting;

const DOCUMENT: Uuid = Uuid::from_u128(1);

fn lineage(version: u128) -> Lineage {
    Lineage {
        group: "g".to_owned(),
        document_guid: DOCUMENT,
        version: Uuid::from_u128(version),
        edition: Uuid::from_u128(1000 + version),
        stamped: 5,
    }
}

fn progress(version: u128, stage: &str, outcome: Outcome) -> Progress {
    Progress {
        lineage: lineage(version),
        stage: stage.to_owned(),
        part: None,
        run: None,
        outcome,
        ids: Vec::new(),
        opened: None,
        dead: None,
        at: 10,
    }
}

fn opened(version: u128, parts: i32) -> Progress {
    let about = About {
        source: "s".to_owned(),
        key: "k".to_owned(),
        path: "p".to_owned(),
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    };
    Progress {
        opened: Some(Opened {
            about,
            blob: None,
            attributes_digest: String::new(),
            recipe: String::new(),
            parts,
        }),
        ..progress(version, "split", Outcome::Outputs)
    }
}

fn ids(numbers: &[u128]) -> Vec<Uuid> {
    numbers.iter().map(|it| Uuid::from_u128(*it)).collect()
}

fn listed(version: u128, part: i32, run: u128, chunks: &[u128]) -> Progress {
    Progress {
        part: Some(part),
        run: Some(Uuid::from_u128(run)),
        ids: ids(chunks),
        ..progress(version, "shard", Outcome::Outputs)
    }
}

fn stored(version: u128, stage: &str, chunks: &[u128]) -> Progress {
    Progress {
        part: Some(0),
        ids: ids(chunks),
        ..progress(version, stage, Outcome::Outputs)
    }
}

fn dead(version: u128, stage: &str, part: Option<i32>, chunk: Option<u128>) -> Progress {
    Progress {
        part,
        dead: Some(DeadRef {
            stage: stage.to_owned(),
            part,
            chunk: chunk.map(Uuid::from_u128),
            class: "poison".to_owned(),
            reason: "broken".to_owned(),
        }),
        ..progress(version, stage, Outcome::Dead)
    }
}

fn folded(all: &[Progress]) -> Document {
    let mut document = Document::new(DOCUMENT, "g");
    for it in all {
        document.fold(it, Partial::Hide);
    }
    document
}

/// The step of the only open edition, and whether a failure was told.
fn check(all: &[Progress], step: Step, failed: bool) {
    let mut document = folded(all);
    assert_eq!(document.take_failure().is_some(), failed, "{all:#?}");
    assert_eq!(document.entry().open[0].step, step, "{all:#?}");
}

#[test]
fn an_edition_is_settled_when_every_chunk_is_in_both_stores() {
    let all = [
        opened(1, 2),
        listed(1, 0, 1, &[7, 8]),
        Progress {
            part: Some(1),
            ..progress(1, "parse", Outcome::Filtered)
        },
        stored(1, "index", &[7, 8]),
        stored(1, "link", &[7]),
        stored(1, "link", &[8]),
    ];
    for end in 1..all.len() {
        check(&all[..end], Step::Gathering, false);
    }
    check(&all, Step::Settled, false);
}

#[test]
fn something_dead_fails_the_edition_and_done_outranks_dead() {
    let whole = [
        opened(1, 1),
        listed(1, 0, 1, &[7, 8]),
        stored(1, "index", &[7, 8]),
    ];
    let with = |more: &[Progress]| [&whole[..], more].concat();
    let died = dead(1, "link", Some(0), Some(8));
    let linked = stored(1, "link", &[7]);
    check(&with(&[linked.clone(), died.clone()]), Step::Failed, true);
    check(
        &with(&[linked.clone(), died, stored(1, "link", &[8])]),
        Step::Settled,
        true,
    );
    check(&[dead(1, "split", None, None)], Step::Failed, true);
    check(
        &[opened(1, 1), dead(1, "parse", Some(0), None)],
        Step::Failed,
        true,
    );
    let mended = with(&[dead(1, "parse", Some(0), None), stored(1, "link", &[7, 8])]);
    check(&mended, Step::Settled, false);
}

#[test]
fn the_last_run_of_a_part_is_the_truth() {
    let runs = [listed(1, 0, 2, &[9]), listed(1, 0, 1, &[7, 8])];
    for order in [[0, 1], [1, 0]] {
        let all = [
            opened(1, 1),
            runs[order[0]].clone(),
            runs[order[1]].clone(),
            stored(1, "index", &[9]),
            stored(1, "link", &[9]),
        ];
        check(&all, Step::Settled, false);
    }
}

#[test]
fn a_deletion_is_a_fence() {
    let deletion = progress(2, "split", Outcome::Deleted);
    let mut document = folded(&[opened(1, 1), deletion.clone()]);
    // What it is meant for is remembered as given up, to be swept by name.
    let alive = |document: &Document| {
        let open = document.entry().open;
        open.iter().filter(|it| it.step != Step::Abandoned).count()
    };
    assert_eq!(document.work(), Work::Remove);
    assert_eq!(alive(&document), 0);
    assert_eq!(document.entry().open.len(), 1);
    // Nothing of it comes back, also after the ledger was read back.
    document = Document::from(document.entry());
    assert_eq!(
        document.work(),
        Work::Remove,
        "a deletion that was not finished goes on"
    );
    document.fold(&opened(1, 1), Partial::Hide);
    document.fold(&opened(2, 1), Partial::Hide);
    assert_eq!(alive(&document), 0);
    // A newer version is another matter.
    document.fold(&opened(3, 1), Partial::Hide);
    assert_eq!(alive(&document), 1);
}

#[test]
fn what_is_abandoned_is_swept_and_remembered() {
    let mut document = folded(&[opened(1, 1), listed(1, 0, 1, &[7])]);
    assert!(
        document.abandon_older_than(10).is_none(),
        "it had progress at 10"
    );
    assert!(document.abandon_older_than(11).is_some());
    assert_eq!(document.work(), Work::Sweep);
    let entry = document.entry();
    assert_eq!(entry.open[0].step, Step::Abandoned);
    assert!(entry.open[0].parts.is_empty());
    // A crash before the sweep does not forget it.
    assert_eq!(Document::from(entry).work(), Work::Sweep);
}

#[test]
fn what_is_written_for_a_deleted_document_is_swept_also_after_a_restart() {
    let check = |late: Progress, work: Work| {
        let mut entry = folded(&[progress(2, "split", Outcome::Deleted)]).entry();
        entry.removed_at = Some(11);
        let mut document = Document::from(entry);
        document.fold(&late, Partial::Hide);
        assert_eq!(document.work(), work, "{late:#?}");
        assert_eq!(Document::from(document.entry()).work(), work, "{late:#?}");
    };
    check(stored(1, "index", &[7]), Work::Sweep);
    check(stored(1, "link", &[7]), Work::Sweep);
    check(stored(1, "embed", &[7]), Work::Sweep);
    check(progress(1, "parse", Outcome::Outputs), Work::Sweep);
    check(opened(1, 1), Work::None);
    check(dead(1, "parse", Some(0), None), Work::None);
}

#[test]
fn a_gap_that_is_closed_in_the_middle_of_the_flip_is_shown_too() {
    let mut document = Document::new(DOCUMENT, "g");
    let with_a_gap = [
        opened(1, 1),
        listed(1, 0, 1, &[7, 8]),
        stored(1, "index", &[7, 8]),
        stored(1, "link", &[7]),
        dead(1, "link", Some(0), Some(8)),
    ];
    for it in &with_a_gap {
        document.fold(it, Partial::Show);
    }
    let mut entry = document.entry();
    assert_eq!(entry.open[0].step, Step::Settled);
    entry.open[0].step = Step::ShownVectors;
    let mut document = Document::from(entry);
    document.fold(&stored(1, "link", &[7]), Partial::Show);
    assert_eq!(document.entry().open[0].step, Step::ShownVectors);
    document.fold(&stored(1, "link", &[8]), Partial::Show);
    assert_eq!(document.entry().open[0].step, Step::Settled);
}

/// Its entry would not fit into a record of the ledger.
#[test]
fn a_document_of_too_many_chunks_fails_and_says_so() {
    const EACH: u128 = 250_000;
    let list = |part: u128| {
        let chunks: Vec<u128> = (part * EACH..(part + 1) * EACH).collect();
        listed(1, part as i32, 1, &chunks)
    };
    let mut all = vec![opened(1, 4), list(0), list(1), list(2)];
    let document = folded(&all);
    let record = Codec::default().encode(&document.entry()).unwrap();
    assert!(record.len() < 13_000_000, "{}", record.len());
    check(&all, Step::Gathering, false);
    all.push(list(3));
    check(&all, Step::Failed, true);
    // What comes after it changes nothing, and is not gathered.
    all.extend([stored(1, "index", &[7]), list(0)]);
    check(&all, Step::Failed, true);
    let entry = folded(&all).entry();
    let open = &entry.open[0];
    assert!(open.parts.is_empty() && open.indexed.is_empty());
    let reason = &open.dead[0].reason;
    assert!(reason.starts_with("more than 900000 chunks"), "{reason}");
}

#[test]
fn the_newest_of_two_settled_editions_is_shown_first() {
    let whole = |version| {
        [
            opened(version, 1),
            listed(version, 0, 1, &[7]),
            stored(version, "index", &[7]),
            stored(version, "link", &[7]),
        ]
    };
    for order in [[1, 2], [2, 1]] {
        let document = folded(&order.map(whole).concat());
        assert_eq!(document.work(), Work::Flip(lineage(2).edition));
    }
}

proptest! {
    /// Progress is folded as sets: any order, any repetition, and a restart anywhere give the same ledger entry.
    #[test]
    fn any_order_and_repetition_give_the_same_entry(
        order in Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec(0..9usize, 0..6),
        restart in 0..9usize,
    ) {
        let all = [
            opened(1, 2),
            listed(1, 0, 1, &[7, 8]),
            listed(1, 1, 1, &[9]),
            listed(1, 1, 2, &[10]),
            stored(1, "index", &[7, 8]),
            stored(1, "index", &[10]),
            stored(1, "link", &[7]),
            stored(1, "link", &[8, 10]),
            stored(1, "embed", &[7, 8, 10]),
        ];
        let mut document = Document::new(DOCUMENT, "g");
        for (count, index) in order.iter().chain(&again).enumerate() {
            document.fold(&all[*index], Partial::Hide);
            if count == restart {
                document = Document::from(document.entry());
            }
        }
        let entry: LedgerEntry = document.entry();
        prop_assert_eq!(entry.open.len(), 1);
        let open = &entry.open[0];
        prop_assert_eq!(open.step, Step::Settled);
        prop_assert_eq!(open.parts.len(), 2);
        prop_assert!(open.parts.iter().all(|it| it.outcome == PartOutcome::Listed));
        let ten = Uuid::from_u128(10);
        prop_assert_eq!(open.parts[1].chunks.as_ref(), ten.as_bytes());
        let indexed: Vec<&[u8]> = open.parts.iter().map(|it| it.indexed.as_ref()).collect();
        prop_assert_eq!(indexed, [&[0b11], &[0b1]]);
        prop_assert!(open.indexed.is_empty() && open.linked.is_empty());
    }
}
