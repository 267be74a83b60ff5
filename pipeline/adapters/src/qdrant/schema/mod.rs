//! The collection on the cluster, as declared: compared, made, changed in place.

mod apply;
mod calls;
mod live;
mod plan;
mod requests;
mod settings;
#[cfg(test)]
mod tests;

use penstock_runtime::Failure;
use penstock_stages::index::CollectionSpec;

use self::apply::Collection;
use super::QdrantConfig;

pub use apply::{Applied, Rebuild, refuse};
pub use plan::{Change, Effect, Live, plan};

/// Field by field what would be changed; changes nothing.
pub async fn compare(config: &QdrantConfig, spec: &CollectionSpec) -> Result<Vec<Change>, Failure> {
    Collection::open(config, spec).await?.plan().await
}

/// Makes the collection, its indexes and its alias, or changes them, and waits until all of it is built on every node.
/// Nothing is changed where one change is refused.
pub async fn apply(
    config: &QdrantConfig,
    spec: &CollectionSpec,
    rebuild: Rebuild,
) -> Result<Applied, Failure> {
    let collection = Collection::open_to_change(config, spec).await?;
    collection.apply(rebuild).await
}

/// Refuses a collection that lacks what stages need, and names the command to run. How it is kept is not looked at.
pub async fn check(config: &QdrantConfig, spec: &CollectionSpec) -> Result<(), Failure> {
    let collection = Collection::open(config, spec).await?;
    let changes = collection.plan().await?;
    refuse(&changes)?;
    let mut needed = changes.iter().filter(|it| it.is_needed());
    let Some(first) = needed.next() else {
        return Ok(());
    };
    let more = match needed.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match (first.field.as_str(), &first.live) {
        ("collection", _) => format!("there is no collection {}", first.declared),
        (field, None) => format!(
            "collection {} lacks {field}{more}",
            collection.spec.collection
        ),
        (field, Some(live)) => format!(
            "{field} is {live} in collection {}, {} declared{more}",
            collection.spec.collection, first.declared
        ),
    };
    Err(Failure::fatal(format!(
        "qdrant: {what}: run `penstock schema apply`"
    )))
}
