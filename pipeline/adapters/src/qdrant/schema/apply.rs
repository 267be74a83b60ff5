//! Changes on the cluster.

use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use penstock_stages::index::CollectionSpec;
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionClusterInfoRequest, CollectionInfo, CollectionStatus,
    CreateAlias, DeleteCollection, DeleteFieldIndexCollection, GetCollectionInfoRequest,
    ListAliasesRequest, ListCollectionsRequest, ReplicaState, alias_operations,
};
use serde::{Deserialize, Serialize};

use super::calls::{
    CHANGE_ALIASES, CLUSTER_INFO, CREATE, CREATE_INDEX, DELETE_COLLECTION, DELETE_INDEX, LIST,
    LIST_ALIASES, UPDATE,
};
use super::live::settings_of;
use super::plan::{Change, Effect, Live, plan};
use super::requests;
use super::settings::index_of;
use crate::qdrant::QdrantConfig;
use crate::qdrant::cluster::Cluster;
use crate::qdrant::method::INFO;

/// How long one request may take: an index over what is there is built while it waits.
const REQUEST: Duration = Duration::from_secs(10 * 60);
/// How long the cluster may take until all is built.
const BUILT_WITHIN: Duration = Duration::from_secs(60 * 60);
const POLL: Duration = Duration::from_millis(250);

/// What is done about changes for which something has to be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// They are left, and named.
    Never,
    Allowed,
}

/// What `apply` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub done: Vec<Change>,
    /// Changes that need a rebuild, which was not allowed.
    pub left: Vec<Change>,
}

/// The collection on the cluster.
pub(super) struct Collection {
    cluster: Cluster,
    /// The same, asked one node at a time.
    nodes: Vec<Cluster>,
    pub(super) spec: CollectionSpec,
}

impl Collection {
    /// To change it: with time for what takes long.
    pub(super) async fn open_to_change(
        config: &QdrantConfig,
        spec: &CollectionSpec,
    ) -> Result<Self, Failure> {
        let patient = QdrantConfig {
            timeout: config.timeout.max(REQUEST),
            ..config.clone()
        };
        Self::open(&patient, spec).await
    }

    /// With the name that is configured, where one is: an alias stands for what it points to.
    pub(super) async fn open(
        config: &QdrantConfig,
        spec: &CollectionSpec,
    ) -> Result<Self, Failure> {
        let mut spec = spec.clone();
        let name = &config.collection;
        let is_declared =
            name.is_empty() || *name == spec.collection || Some(name) == spec.alias.as_ref();
        if !is_declared {
            let cluster = Cluster::new(config, name)?;
            let target = aliases(&cluster).await?.remove(name);
            spec.collection = target.unwrap_or_else(|| name.clone());
            // The alias is of the declared collection.
            spec.alias = None;
        }
        let open = |config: &QdrantConfig| Cluster::new(config, &spec.collection);
        let urls = config.url.split(',').map(|url| QdrantConfig {
            url: url.trim().to_owned(),
            ..config.clone()
        });
        Ok(Self {
            cluster: open(config)?,
            nodes: urls.map(|node| open(&node)).collect::<Result<_, _>>()?,
            spec,
        })
    }

    pub(super) async fn plan(&self) -> Result<Vec<Change>, Failure> {
        Ok(plan(&self.spec, &self.live().await?))
    }

    async fn live(&self) -> Result<Live, Failure> {
        let aliases = aliases(&self.cluster).await?;
        let collection = match self.is_there().await? {
            true => Some(settings_of(&self.info(&self.cluster).await?)),
            false => None,
        };
        Ok(Live {
            collection,
            aliases,
        })
    }

    async fn is_there(&self) -> Result<bool, Failure> {
        let listed = self
            .cluster
            .call(LIST, &ListCollectionsRequest::default())
            .await?;
        let mut names = listed.collections.iter();
        Ok(names.any(|it| it.name == self.spec.collection))
    }

    async fn info(&self, cluster: &Cluster) -> Result<CollectionInfo, Failure> {
        let request = GetCollectionInfoRequest {
            collection_name: self.spec.collection.clone(),
        };
        Ok(cluster
            .call(INFO, &request)
            .await?
            .result
            .unwrap_or_default())
    }

    /// Each step may be done twice, so two at once do not harm each other.
    pub(super) async fn apply(&self, rebuild: Rebuild) -> Result<Applied, Failure> {
        let mut applied = Applied::default();
        let mut changes = self.allowed(rebuild).await?;
        if let Some(shards) = changes.iter().find(|it| it.field == "shard_number") {
            applied.done.push(shards.clone());
            let request = DeleteCollection {
                collection_name: self.spec.collection.clone(),
                ..DeleteCollection::default()
            };
            self.cluster.call(DELETE_COLLECTION, &request).await?;
            changes = self.allowed(rebuild).await?;
        }
        if let Some(missing) = changes.iter().find(|it| it.field == "collection") {
            applied.done.push(missing.clone());
            self.create().await?;
            changes = self.allowed(rebuild).await?;
        }
        self.change(&changes).await?;
        applied.done.extend(changes);
        self.built().await?;
        self.compare(&mut applied, rebuild).await?;
        Ok(applied)
    }

    /// The changes to be made now; refused where there is one that cannot be.
    async fn allowed(&self, rebuild: Rebuild) -> Result<Vec<Change>, Failure> {
        let mut changes = self.plan().await?;
        refuse(&changes)?;
        changes.retain(|it| it.effect == Effect::InPlace || rebuild == Rebuild::Allowed);
        Ok(changes)
    }

    /// Another one may be faster, which is as good: it is compared afterwards.
    async fn create(&self) -> Result<(), Failure> {
        match self
            .cluster
            .call(CREATE, &requests::create(&self.spec))
            .await
        {
            Ok(_) => Ok(()),
            Err(_) if self.is_there().await? => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Changes of a collection that is there.
    async fn change(&self, changes: &[Change]) -> Result<(), Failure> {
        if let Some(update) = requests::update(&self.spec, changes) {
            self.cluster.call(UPDATE, &update).await?;
        }
        let of_field = |field: &str| {
            let setting = index_of(field);
            changes.iter().find(|it| it.field == setting)
        };
        for (field, index) in &self.spec.payload_indexes {
            let Some(change) = of_field(field) else {
                continue;
            };
            if change.live.is_some() {
                let request = DeleteFieldIndexCollection {
                    collection_name: self.spec.collection.clone(),
                    wait: Some(true),
                    field_name: field.clone(),
                    ..DeleteFieldIndexCollection::default()
                };
                self.cluster.call(DELETE_INDEX, &request).await?;
            }
            let request = requests::create_index(&self.spec.collection, field, index);
            self.cluster.call(CREATE_INDEX, &request).await?;
        }
        match &self.spec.alias {
            Some(alias) if changes.iter().any(|it| it.is_of_alias()) => self.point(alias).await,
            _ => Ok(()),
        }
    }

    /// An alias that is there is moved, in one step.
    async fn point(&self, alias: &str) -> Result<(), Failure> {
        let create = CreateAlias {
            collection_name: self.spec.collection.clone(),
            alias_name: alias.to_owned(),
        };
        let request = ChangeAliases {
            actions: vec![AliasOperations {
                action: Some(alias_operations::Action::CreateAlias(create)),
            }],
            ..ChangeAliases::default()
        };
        self.cluster.call(CHANGE_ALIASES, &request).await?;
        Ok(())
    }

    /// Waits until every node has built what it holds, and all copies are in use.
    async fn built(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + BUILT_WITHIN;
        let mut woken = false;
        loop {
            let mut waits_for = None;
            for node in &self.nodes {
                let info = self.info(node).await?;
                waits_for = match info.status() {
                    CollectionStatus::Green => self.copies(node).await?,
                    CollectionStatus::Red => return Err(self.red(&info)),
                    CollectionStatus::Grey if !woken => {
                        woken = true;
                        node.call(UPDATE, &requests::wake(&self.spec.collection))
                            .await?;
                        Some("a node that was restarted".to_owned())
                    }
                    _ => Some("segments that are being built".to_owned()),
                };
                if waits_for.is_some() {
                    break;
                }
            }
            let Some(what) = waits_for else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "qdrant: collection {} waits for {what} after {} minutes: it goes on by itself; apply again later",
                    self.spec.collection,
                    BUILT_WITHIN.as_secs() / 60
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What of the copies is not in use yet, as a node sees it.
    async fn copies(&self, node: &Cluster) -> Result<Option<String>, Failure> {
        let request = CollectionClusterInfoRequest {
            collection_name: self.spec.collection.clone(),
        };
        let info = node.call(CLUSTER_INFO, &request).await?;
        let local = info.local_shards.iter();
        let remote = info.remote_shards.iter();
        let mut states = local
            .map(|it| (it.shard_id, info.peer_id, it.state()))
            .chain(remote.map(|it| (it.shard_id, it.peer_id, it.state())));
        let idle = states.find(|(_, _, state)| *state != ReplicaState::Active);
        Ok(match (idle, info.shard_transfers.first()) {
            (Some((shard, peer, state)), _) => Some(format!(
                "the copy of shard {shard} on peer {peer}, which is {state:?}"
            )),
            (None, Some(transfer)) => Some(format!("shard {}, which is copied", transfer.shard_id)),
            (None, None) => None,
        })
    }

    fn red(&self, info: &CollectionInfo) -> Failure {
        let error = info.optimizer_status.as_ref().map(|it| it.error.as_str());
        Failure::transient(format!(
            "qdrant: collection {} is red: {}; look at the logs of its nodes",
            self.spec.collection,
            error.unwrap_or_default()
        ))
    }

    /// What was to be done is done; what was not allowed is left.
    async fn compare(&self, applied: &mut Applied, rebuild: Rebuild) -> Result<(), Failure> {
        let changes = self.plan().await?;
        refuse(&changes)?;
        let is_left = |it: &&Change| it.effect == Effect::InPlace || rebuild == Rebuild::Allowed;
        if let Some(change) = changes.iter().find(is_left) {
            return Err(Failure::fatal(format!(
                "qdrant: {} is {} after it was set to {}: does another release apply its own at the same time?",
                change.field,
                change.live.as_deref().unwrap_or("not there"),
                change.declared
            )));
        }
        applied.left = changes;
        Ok(())
    }
}

/// The first change that is refused, and how many more there are.
pub fn refuse(changes: &[Change]) -> Result<(), Failure> {
    let mut refused = changes.iter().filter(|it| it.effect == Effect::Refused);
    let Some(first) = refused.next() else {
        return Ok(());
    };
    let more = match refused.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Err(Failure::fatal(format!("qdrant: {}{more}", first.reason)))
}

async fn aliases(cluster: &Cluster) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let listed = cluster
        .call(LIST_ALIASES, &ListAliasesRequest::default())
        .await?;
    let pairs = listed.aliases.into_iter();
    Ok(pairs
        .map(|it| (it.alias_name, it.collection_name))
        .collect())
}
