//! Plans and outcomes for a person.

use super::{Change, Effect, Outcome, Plan, State, Step, Undone};

pub(super) fn plan(plan: &Plan) -> String {
    if plan.is_as_declared() {
        return "all as declared\n".to_owned();
    }
    let changes = plan.qdrant.iter().flatten().map(change);
    let refused = plan.neo4j.iter().filter_map(|it| it.refused.as_ref());
    let refused = refused.map(|reason| line("neo4j", "refused", reason));
    let state = |it: &State| {
        let missing = it.missing.iter();
        let missing = missing.map(|name| {
            line(
                "neo4j",
                "repair",
                &format!("{name} was dropped, is made again"),
            )
        });
        let pending = it.pending.iter().map(|it| step("apply", it));
        missing.chain(pending).collect::<Vec<_>>()
    };
    let steps = plan.neo4j.iter().flat_map(state);
    changes.chain(refused).chain(steps).collect()
}

pub(super) fn status(plan: &Plan) -> String {
    let mut text = String::new();
    if let Some(changes) = &plan.qdrant {
        let is = match changes.len() {
            0 => "all as declared".to_owned(),
            1 => "1 difference".to_owned(),
            more => format!("{more} differences"),
        };
        text += &line("qdrant", "collection", &is);
        text.extend(changes.iter().map(change));
    }
    let Some(state) = &plan.neo4j else {
        return text;
    };
    text += &line("neo4j", "edition", &state.edition);
    for it in &state.applied {
        let skipped = match it.skipped {
            0 => String::new(),
            count => format!(", {count} statements skipped"),
        };
        let mark = if it.undoing { "half undone" } else { "applied" };
        let says = format!(
            "V{:03}__{} at {} in {} ms{skipped}, checksum {}",
            it.version, it.name, it.applied_at, it.duration_ms, it.checksum
        );
        text += &line("neo4j", mark, &says);
    }
    text.extend(state.pending.iter().map(|it| step("pending", it)));
    text.extend(
        state
            .missing
            .iter()
            .map(|name| line("neo4j", "dropped", name)),
    );
    text.extend(
        state
            .refused
            .iter()
            .map(|reason| line("neo4j", "refused", reason)),
    );
    text
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some(applied) = &outcome.qdrant {
        let done = applied.done.iter().map(|it| {
            let was = it.live.as_deref().unwrap_or("not there");
            line(
                "qdrant",
                "done",
                &format!("{} was {was}, is {}", it.field, it.declared),
            )
        });
        text.extend(done);
        let left = applied.left.iter().map(|it| {
            line(
                "qdrant",
                "left",
                &format!("{}, which needs --rebuild: {}", difference(it), it.reason),
            )
        });
        text.extend(left);
    }
    if let Some(done) = &outcome.neo4j {
        let repaired = done.repaired.iter();
        text.extend(repaired.map(|name| line("neo4j", "repaired", name)));
        text.extend(done.steps.iter().map(|it| step("applied", it)));
    }
    match text.is_empty() {
        true => "nothing to do\n".to_owned(),
        false => text,
    }
}

pub(super) fn undone(undone: &Undone, dry_run: bool) -> String {
    let mark = if dry_run { "would undo" } else { "undone" };
    match undone.undone.is_empty() {
        true => "nothing to undo\n".to_owned(),
        false => undone.undone.iter().map(|it| step(mark, it)).collect(),
    }
}

fn change(it: &Change) -> String {
    let says = match it.effect {
        // The reason names both sides.
        Effect::Refused => it.reason.clone(),
        _ => format!("{}: {}", difference(it), it.reason),
    };
    line("qdrant", it.effect.mark(), &says)
}

fn difference(it: &Change) -> String {
    let is = it.live.as_deref().unwrap_or("not there");
    format!("{} is {is}, should be {}", it.field, it.declared)
}

fn step(mark: &str, it: &Step) -> String {
    let skipped = match it.skipped.len() {
        0 => String::new(),
        count => format!(", {count} skipped: only for the enterprise edition"),
    };
    let says = format!(
        "V{:03}__{}: {} statements{skipped}",
        it.version,
        it.name,
        it.statements.len()
    );
    line("neo4j", mark, &says)
}

fn line(store: &str, mark: &str, says: &str) -> String {
    format!("{store:<7} {mark:<11} {says}\n")
}
