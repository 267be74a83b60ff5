//! What has to hold of documents that are visible, and of those that are gone.

use std::collections::{BTreeSet, HashSet};

use penstock_runtime::Failure;
use penstock_schemas::{Completed, content_hash};
use penstock_stages::blobs::{Blobs, document_prefix};
use penstock_stages::settle::Manifest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::documents::{Made, SOURCES};
use super::findings::Findings;
use super::reach::Reach;
use super::{ATTRIBUTES, CREATED_AT, Sent};
use crate::query::Question;

/// Answers that are looked at.
const LIMIT: usize = 10;

/// Points, chunk nodes and entities of a visible document. Returns its chunks.
pub async fn document(
    sent: &Sent,
    completed: &Completed,
    reach: &Reach,
    blobs: &dyn Blobs,
    findings: &mut Findings,
) -> Result<Vec<Uuid>, Failure> {
    let path = sent.document.path.as_str();
    let Some(chunks) = manifest(sent, completed, blobs, findings).await? else {
        return Ok(Vec::new());
    };
    let points = reach.points(sent.document.document_guid).await?;
    let ids: Vec<Uuid> = points
        .iter()
        .filter_map(|it| it["chunk_guid"].as_str()?.parse().ok())
        .collect();
    findings.check("points", path, ids == chunks, || {
        format!(
            "{} in the vector store, expected {} in this order",
            ids.len(),
            chunks.len()
        )
    });
    for (at, point) in points.iter().enumerate() {
        payload(sent, completed, at, point, findings);
    }
    let labels: BTreeSet<&str> = points
        .iter()
        .filter_map(|it| it["payload"]["entity_type"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let near = reach.neighbours(&chunks).await?;
    let title = sent.made.title.as_str();
    for (at, near) in near.iter().enumerate() {
        let is_there = near
            .iter()
            .any(|it| it.relation == "PART_OF" && it.label == "Document" && it.name == title);
        findings.check("chunk node", path, is_there, || {
            format!("chunk {at} is no part of document {title:?} in the graph")
        });
        let is_of_source = near
            .iter()
            .any(|it| it.label == "Source" && it.name == sent.made.source);
        findings.check("source node", path, is_of_source, || {
            format!("chunk {at} is not from {} in the graph", sent.made.source)
        });
        let next = near.iter().filter(|it| it.relation == "NEXT").count();
        let expected = usize::from(at > 0) + usize::from(at + 1 < chunks.len());
        findings.check("next chunks", path, next == expected, || {
            format!("chunk {at} has {next} beside it in the graph, expected {expected}")
        });
    }
    let mentions = |label: &str, name: &str| {
        near.iter()
            .flatten()
            .any(|it| it.relation == "MENTIONS" && it.label == label && it.name == name)
    };
    for (label, name) in &sent.entities {
        findings.check("entity_type", path, labels.contains(label.as_str()), || {
            format!("{label} is not in any payload, which have {labels:?}")
        });
        findings.check("mention", path, mentions(label, name), || {
            format!("{label} {name} is not mentioned in the graph")
        });
    }
    Ok(chunks)
}

/// Chunk ids in order, as settle has written them down.
async fn manifest(
    sent: &Sent,
    completed: &Completed,
    blobs: &dyn Blobs,
    findings: &mut Findings,
) -> Result<Option<Vec<Uuid>>, Failure> {
    let path = sent.document.path.as_str();
    let key = completed.manifest.as_deref().unwrap_or_default();
    let bytes = blobs.read(key).await?;
    let manifest = bytes.and_then(|it| serde_json::from_slice::<Manifest>(&it).ok());
    let Some(manifest) = manifest else {
        findings.fail("manifest", path, format!("object {key:?} is no manifest"));
        return Ok(None);
    };
    let chunks: Vec<Uuid> = manifest
        .parts
        .into_iter()
        .flat_map(|it| it.chunks)
        .collect();
    let told = completed.chunks.max(0) as usize;
    findings.check(
        "manifest",
        path,
        !chunks.is_empty() && chunks.len() == told,
        || format!("{} chunks, expected {told}", chunks.len()),
    );
    Ok(Some(chunks))
}

fn payload(sent: &Sent, completed: &Completed, at: usize, point: &Value, findings: &mut Findings) {
    let (document, made) = (&sent.document, &sent.made);
    let payload = &point["payload"];
    let path = document.path.as_str();
    let [doc_type, score, tier, form] = ATTRIBUTES;
    let expected = [
        ("document_guid", json!(document.document_guid)),
        ("group_guid", json!(document.group)),
        ("source_guid", json!(made.source)),
        ("edition", json!(completed.lineage.edition)),
        ("version", json!(document.version)),
        ("visible", json!(true)),
        ("part", json!(0)),
        ("chunk_index", json!(at)),
        ("title", json!(made.title)),
        ("path", json!(path)),
        ("language", json!(made.language)),
        (doc_type.0, json!(doc_type.1)),
        (score.0, json!(0.5)),
        (tier.0, json!(tier.1)),
        ("attributes", json!({form.0: form.1})),
        ("created_at", json!(CREATED_AT.1)),
    ];
    for (field, wanted) in expected {
        let found = &payload[field];
        findings.check("payload", path, *found == wanted, || {
            format!("{field} of chunk {at} is {found}, expected {wanted}")
        });
    }
    let text = payload["text"].as_str().unwrap_or_default();
    let hash = payload["content_hash"].as_str().unwrap_or_default();
    findings.check(
        "payload",
        path,
        hash == content_hash(text.as_bytes()),
        || format!("content_hash of chunk {at} is not that of its text"),
    );
    for (field, is_right) in [
        (
            "model",
            payload["model"].as_str().is_some_and(|it| !it.is_empty()),
        ),
        ("schema_version", payload["schema_version"].is_i64()),
        (
            "start_char",
            payload["start_char"].as_i64() < payload["end_char"].as_i64(),
        ),
    ] {
        findings.check("payload", path, is_right, || {
            format!("{field} of chunk {at} is {}", payload[field])
        });
    }
    let dense = point["dense"].as_array().map_or(0, Vec::len);
    findings.check("vector", path, dense == sent.dimension, || {
        format!(
            "chunk {at} has {dense} numbers, expected {}",
            sent.dimension
        )
    });
}

/// Answers of the whole group, of each source, of each language, and of a group that is not there.
pub async fn queries(
    all: &[Sent],
    group: &str,
    reach: &Reach,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for sent in all {
        let path = sent.document.path.as_str();
        let others = SOURCES.iter().find(|it| **it != sent.made.source);
        let ask = |source: Option<&str>, language: Option<&str>| Question {
            text: sent.made.question.clone(),
            limit: LIMIT,
            group: group.to_owned(),
            source: source.map(str::to_owned),
            language: language.map(str::to_owned),
        };
        let own = Some(sent.made.source);
        for (check, question, is_right, is_found) in [
            ("query by group", ask(None, None), any as Filter, true),
            ("query by source", ask(own, None), of_source as Filter, true),
            (
                "query by language",
                ask(None, Some(sent.made.language)),
                of_language as Filter,
                true,
            ),
            (
                "query by the other source",
                ask(others.copied(), None),
                not_of_source as Filter,
                false,
            ),
        ] {
            let hits = reach.query(&question).await?.hits;
            let paths: HashSet<&str> = hits.iter().map(|it| it.path.as_str()).collect();
            let allowed: HashSet<&str> = all
                .iter()
                .filter(|it| is_right(&it.made, &sent.made))
                .map(|it| it.document.path.as_str())
                .collect();
            let foreign: Vec<&&str> = paths.iter().filter(|it| !allowed.contains(**it)).collect();
            findings.check(check, path, foreign.is_empty(), || {
                format!("finds {foreign:?}, which the filter leaves out")
            });
            findings.check(check, path, paths.contains(path) == is_found, || {
                let what = if is_found { "is not" } else { "is" };
                format!(
                    "it {what} among the {} answers to {:?}",
                    hits.len(),
                    question.text
                )
            });
        }
    }
    let nobody = Question {
        text: all
            .first()
            .map_or_else(String::new, |it| it.made.question.clone()),
        limit: LIMIT,
        group: format!("{group}-nobody"),
        source: None,
        language: None,
    };
    if !nobody.text.is_empty() {
        let hits = reach.query(&nobody).await?.hits;
        findings.check("query by another group", "", hits.is_empty(), || {
            format!("{} answers in a group that has no documents", hits.len())
        });
    }
    Ok(())
}

type Filter = fn(&Made, &Made) -> bool;

fn any(_: &Made, _: &Made) -> bool {
    true
}

fn of_source(it: &Made, asked: &Made) -> bool {
    it.source == asked.source
}

fn not_of_source(it: &Made, asked: &Made) -> bool {
    it.source != asked.source
}

fn of_language(it: &Made, asked: &Made) -> bool {
    it.language == asked.language
}

/// Nothing of the document is in either store, or among the objects.
pub async fn gone(
    sent: &Sent,
    chunks: &[Uuid],
    reach: &Reach,
    blobs: &dyn Blobs,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let document = &sent.document;
    let path = document.path.as_str();
    let points = reach.points(document.document_guid).await?.len();
    findings.check("points are gone", path, points == 0, || {
        format!("{points} are left in the vector store")
    });
    let near = reach.neighbours(chunks).await?;
    let nodes = near.iter().filter(|it| !it.is_empty()).count();
    findings.check("chunk nodes are gone", path, nodes == 0, || {
        format!("{nodes} are left in the graph")
    });
    let prefix = document_prefix(&document.group, document.document_guid);
    let objects = blobs.list(&prefix).await?.len();
    findings.check("objects are gone", path, objects == 0, || {
        format!("{objects} are left below {prefix}")
    });
    Ok(())
}

/// No question finds anything of the group.
pub async fn group_is_gone(
    all: &[Sent],
    group: &str,
    reach: &Reach,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let Some(first) = all.first() else {
        return Ok(());
    };
    let question = Question {
        text: first.made.question.clone(),
        limit: LIMIT,
        group: group.to_owned(),
        source: None,
        language: None,
    };
    let hits = reach.query(&question).await?.hits.len();
    findings.check("answers are gone", "", hits == 0, || {
        format!("{hits} answers are left")
    });
    Ok(())
}
