//! Two searches made one, and only what readers may see of it. The ranks are fused here, as the embedded store fuses them:
//! the same points give the same hits in the same order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use penstock_runtime::Failure;
use penstock_stages::index::{
    BM25, CollectionSpec, DENSE, Hit, Quantization, QuantizationKind, Search, fuse,
};
use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::{
    BatchResult, Condition, DenseVector, Filter, GetPoints, PointId, QuantizationSearchParams,
    Query, QueryBatchPoints, QueryPoints, ScrollPoints, SearchParams, SparseVector, VectorInput,
    vector_input,
};
use uuid::Uuid;

use super::cluster::Cluster;
use super::fields::{self, Fields, one_of, only, visible};
use super::method::{GET, QUERY, SCROLL};
use super::{PAGE, everything};

/// Ranks looked at in each of the two searches, as a multiple of the hits asked for and at least.
const DEPTH: (usize, usize) = (4, 50);
/// How often it is looked again where what was found had gone before it was read.
const AGAIN: usize = 8;

/// What this build declares of searching a quantized copy; none where there is no such copy.
static PARAMS: LazyLock<Option<SearchParams>> =
    LazyLock::new(|| search_params(&CollectionSpec::declared().ok()?.vectors.dense.quantization));

fn search_params(declared: &Quantization) -> Option<SearchParams> {
    let quantization = QuantizationSearchParams {
        rescore: Some(declared.rescore),
        oversampling: declared.oversampling,
        ..QuantizationSearchParams::default()
    };
    (declared.kind != QuantizationKind::None).then(|| SearchParams {
        quantization: Some(quantization),
        ..SearchParams::default()
    })
}

/// The best chunks under `conditions`, of each document only its newest visible edition.
pub(super) async fn find(
    cluster: &Cluster,
    search: &Search,
    conditions: Vec<Condition>,
) -> Result<Vec<Hit>, Failure> {
    let queries = queries(search);
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    // Each round leaves out at least one more edition that is no longer the newest, or follows a sweep, so this ends.
    let mut older: BTreeSet<Uuid> = BTreeSet::new();
    let mut gone = 0;
    loop {
        let mut filter = Filter::must(conditions.clone());
        if !older.is_empty() {
            filter.must_not = vec![one_of("edition", older.iter().copied())];
        }
        let (fused, editions) = rank(cluster, search, &queries, &filter).await?;
        let best: Vec<(Uuid, f32)> = fused.into_iter().take(search.limit).collect();
        // The texts are read while it is asked whether they are the newest.
        let (superseded, texts) = tokio::try_join!(
            superseded(cluster, editions),
            texts(cluster, best.iter().map(|(chunk, _)| *chunk)),
        )?;
        if !superseded.is_empty() {
            older.extend(superseded);
            continue;
        }
        let whole = best.iter().all(|(chunk, _)| texts.contains_key(chunk));
        if whole || gone == AGAIN {
            return Ok(best
                .into_iter()
                .filter_map(|(chunk, score)| fields::hit(chunk, texts.get(&chunk)?, score))
                .collect());
        }
        gone += 1;
    }
}

/// The query of each kind of likeness that is asked for, and its vector's name.
fn queries(search: &Search) -> Vec<(&'static str, VectorInput)> {
    let input = |variant| VectorInput {
        variant: Some(variant),
    };
    let mut queries = Vec::new();
    if !search.dense.is_empty() {
        let data = search.dense.clone();
        let dense = vector_input::Variant::Dense(DenseVector { data });
        queries.push((DENSE, input(dense)));
    }
    if !search.bm25.indices.is_empty() {
        let sparse = vector_input::Variant::Sparse(SparseVector {
            values: search.bm25.values.clone(),
            indices: search.bm25.indices.clone(),
        });
        queries.push((BM25, input(sparse)));
    }
    queries
}

type Edition = (Uuid, Uuid, Uuid);

/// Chunks by fused rank, and the editions (document, version, edition) they are of.
async fn rank(
    cluster: &Cluster,
    search: &Search,
    queries: &[(&'static str, VectorInput)],
    filter: &Filter,
) -> Result<(Vec<(Uuid, f32)>, Vec<Edition>), Failure> {
    let depth = search.limit.saturating_mul(DEPTH.0).max(DEPTH.1);
    let query_points = queries.iter().map(|(name, vector)| QueryPoints {
        collection_name: cluster.collection().to_owned(),
        query: Some(Query {
            variant: Some(Variant::Nearest(vector.clone())),
        }),
        using: Some((*name).to_owned()),
        filter: Some(filter.clone()),
        limit: Some(depth as u64),
        params: (*name == DENSE).then(|| PARAMS.clone()).flatten(),
        with_payload: only(["document_guid", "version", "edition"]),
        ..QueryPoints::default()
    });
    let request = QueryBatchPoints {
        collection_name: cluster.collection().to_owned(),
        query_points: query_points.collect(),
        ..QueryBatchPoints::default()
    };
    let found = cluster.call(QUERY, &request).await?.result;
    let editions: BTreeSet<Edition> = found
        .iter()
        .flat_map(|result| &result.result)
        .filter_map(|point| fields::edition(&point.payload))
        .collect();
    let rankings: Vec<Vec<Uuid>> = found.into_iter().map(ranking).collect();
    Ok((fuse(&rankings), editions.into_iter().collect()))
}

/// Ids, best first; equal scores by id, whatever order the server gave them.
fn ranking(found: BatchResult) -> Vec<Uuid> {
    let mut found: Vec<(f32, Uuid)> = found
        .result
        .iter()
        .filter_map(|point| Some((point.score, fields::chunk(point.id.as_ref())?)))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, chunk)| chunk).collect()
}

/// The payloads of those of the chunks that are still there.
async fn texts(
    cluster: &Cluster,
    chunks: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Fields>, Failure> {
    let ids: Vec<PointId> = chunks
        .map(|chunk| PointId::from(chunk.to_string()))
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let request = GetPoints {
        collection_name: cluster.collection().to_owned(),
        ids,
        with_payload: everything(),
        ..GetPoints::default()
    };
    let found = cluster.call(GET, &request).await?.result.into_iter();
    Ok(found
        .filter_map(|point| Some((fields::chunk(point.id.as_ref())?, point.payload)))
        .collect())
}

/// Those of the editions that are not their document's newest visible one, whether or not a point of the newest was found.
async fn superseded(cluster: &Cluster, found: Vec<Edition>) -> Result<BTreeSet<Uuid>, Failure> {
    let mut editions: BTreeMap<Uuid, BTreeSet<(Uuid, Uuid)>> = BTreeMap::new();
    let mut known: BTreeSet<Uuid> = BTreeSet::new();
    for (document, version, edition) in found {
        let of_document = editions.entry(document).or_default();
        of_document.insert((version, edition));
        known.insert(edition);
    }
    if editions.is_empty() {
        return Ok(BTreeSet::new());
    }
    let found = known.clone();
    let documents: Vec<Uuid> = editions.keys().copied().collect();
    // Each round learns of at least one more edition, so this ends; most often at once, with nothing found.
    loop {
        let of_these = one_of("document_guid", documents.iter().copied());
        let mut filter = Filter::must([visible(true), of_these]);
        filter.must_not = vec![one_of("edition", known.iter().copied())];
        let request = ScrollPoints {
            collection_name: cluster.collection().to_owned(),
            filter: Some(filter),
            limit: Some(PAGE),
            with_payload: only(["document_guid", "version", "edition"]),
            ..ScrollPoints::default()
        };
        let others = cluster.call(SCROLL, &request).await?.result;
        let before = known.len();
        for other in &others {
            if let Some((document, version, edition)) = fields::edition(&other.payload) {
                let of_document = editions.entry(document).or_default();
                of_document.insert((version, edition));
                known.insert(edition);
            }
        }
        if known.len() == before {
            break;
        }
    }
    Ok(editions
        .into_values()
        .flat_map(|editions| editions.into_iter().rev().skip(1))
        .map(|(_, edition)| edition)
        .filter(|edition| found.contains(edition))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantized_copy_is_searched_as_declared() {
        let declared = |kind| Quantization {
            kind,
            quantile: None,
            compression: None,
            always_ram: true,
            rescore: true,
            oversampling: Some(2.5),
        };
        assert_eq!(search_params(&declared(QuantizationKind::None)), None);
        let params = search_params(&declared(QuantizationKind::Binary)).unwrap();
        let quantization = params.quantization.unwrap();
        assert_eq!(quantization.rescore, Some(true));
        assert_eq!(quantization.oversampling, Some(2.5));
    }
}
