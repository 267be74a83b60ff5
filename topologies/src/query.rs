//! Passages that answer, with their document and what the graph knows beside them.

use penstock_runtime::Failure;
use penstock_stages::embed::Embedder;
use penstock_stages::index::{Hit, Search, VectorStore, bm25};
use penstock_stages::link::{GraphStore, Neighbour};
use serde::{Deserialize, Serialize};

use crate::cli::QueryArgs;

/// What a query is: the arguments, as they travel to the process that owns the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub text: String,
    pub limit: usize,
    pub group: String,
    pub source: Option<String>,
    pub language: Option<String>,
}

impl From<&QueryArgs> for Question {
    fn from(args: &QueryArgs) -> Self {
        Self {
            text: args.text.clone(),
            limit: usize::from(args.limit),
            group: args.group.clone(),
            source: args.source.clone(),
            language: args.language.clone(),
        }
    }
}

/// The answer, best passage first. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub hits: Vec<AnswerHit>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerHit {
    pub score: f32,
    pub document_guid: String,
    pub path: String,
    pub title: Option<String>,
    pub page_first: Option<i32>,
    pub page_last: Option<i32>,
    pub heading_path: Vec<String>,
    pub text: String,
    pub neighbours: Vec<AnswerNeighbour>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerNeighbour {
    pub relation: String,
    pub label: String,
    pub name: String,
    pub fields: std::collections::BTreeMap<String, String>,
}

/// Asks both stores.
pub async fn answer(
    question: &Question,
    embedder: &dyn Embedder,
    vectors: &dyn VectorStore,
    graph: &dyn GraphStore,
) -> Result<Answer, Failure> {
    if question.text.trim().is_empty() {
        return Err(Failure::poison("the question is empty"));
    }
    let embedded = embedder.embed(vec![question.text.clone()]).await?;
    let search = Search {
        dense: embedded.into_iter().next().unwrap_or_default(),
        bm25: bm25::encode_query(&question.text),
        limit: question.limit,
        group: question.group.clone(),
        source: question.source.clone(),
        language: question.language.clone(),
    };
    let hits = vectors.search(&search).await?;
    let chunks: Vec<_> = hits.iter().map(|hit| hit.chunk_guid).collect();
    let neighbours = graph.neighbours(&chunks).await?;
    let hits = hits
        .into_iter()
        .zip(neighbours.into_iter().chain(std::iter::repeat(Vec::new())))
        .map(|(hit, neighbours)| answer_hit(hit, neighbours))
        .collect();
    Ok(Answer { hits })
}

fn answer_hit(hit: Hit, neighbours: Vec<Neighbour>) -> AnswerHit {
    AnswerHit {
        score: hit.score,
        document_guid: hit.document_guid.to_string(),
        path: hit.path,
        title: hit.title,
        page_first: hit.page_first,
        page_last: hit.page_last,
        heading_path: hit.heading_path,
        text: hit.text,
        neighbours: neighbours.into_iter().map(AnswerNeighbour::from).collect(),
    }
}

impl From<Neighbour> for AnswerNeighbour {
    fn from(it: Neighbour) -> Self {
        Self {
            relation: it.relation,
            label: it.label,
            name: it.name,
            fields: it.fields,
        }
    }
}

/// The answer for a person.
pub fn print(answer: &Answer) -> String {
    if answer.hits.is_empty() {
        return "nothing found\n".to_owned();
    }
    let mut out = String::new();
    for (number, hit) in answer.hits.iter().enumerate() {
        let mut head = vec![hit.path.clone()];
        head.extend(hit.title.clone());
        head.extend(pages(hit.page_first, hit.page_last));
        head.push(format!("score {:.4}", hit.score));
        out.push_str(&format!("{}. {}\n", number + 1, head.join(" · ")));
        for line in wrap(&hit.text, 96, 6) {
            out.push_str(&format!("   {line}\n"));
        }
        let known: Vec<String> = hit
            .neighbours
            .iter()
            .filter(|it| it.relation == "MENTIONS")
            .map(entity)
            .collect();
        if !known.is_empty() {
            out.push_str(&format!("   graph: {}\n", known.join(" · ")));
        }
        out.push('\n');
    }
    out
}

fn pages(first: Option<i32>, last: Option<i32>) -> Option<String> {
    match (first?, last) {
        (first, Some(last)) if last != first => Some(format!("pages {first}–{last}")),
        (first, _) => Some(format!("page {first}")),
    }
}

fn entity(neighbour: &AnswerNeighbour) -> String {
    let fields: Vec<String> = neighbour
        .fields
        .iter()
        .filter(|(_, value)| **value != neighbour.name)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if fields.is_empty() {
        format!("{} {}", neighbour.label, neighbour.name)
    } else {
        format!(
            "{} {} ({})",
            neighbour.label,
            neighbour.name,
            fields.join(", ")
        )
    }
}

/// At most `lines` lines of at most `width` characters; words stay whole where they can.
fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        let room = line.chars().count() + 1 + word.chars().count() <= width;
        if !line.is_empty() && !room {
            out.push(std::mem::take(&mut line));
            if out.len() == lines {
                if let Some(last) = out.last_mut() {
                    last.push_str(" …");
                }
                return out;
            }
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        out.push(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_and_cut() {
        assert_eq!(
            wrap("one two  three\nfour", 9, 9),
            ["one two", "three", "four"]
        );
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three …"]);
        assert_eq!(wrap("", 9, 2), Vec::<String>::new());
        assert_eq!(wrap("äöüßäöüß x", 4, 2), ["äöüß", "x"]);
    }
}
