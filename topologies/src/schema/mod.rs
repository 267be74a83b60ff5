//! What is declared in `schemas/qdrant` and `schemas/neo4j`, brought to the stores by `penstock schema`.

mod files;
mod show;

use penstock_adapters::neo4j::{Neo4jConfig, migrations};
use penstock_adapters::qdrant::{QdrantConfig, schema as collections};
use penstock_runtime::Failure;
use serde::{Deserialize, Serialize};

use self::collections::{Applied, Change, Effect, Rebuild};
use self::files::Declared;
use self::migrations::{Done, State, Step};
use crate::cli::{SchemaApplyArgs, SchemaCommand, SchemaStore, SchemaUndoArgs};
use crate::commands::print;
use crate::config::Config;

/// What `schema plan` and `schema status` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// None: that store is not configured.
    pub qdrant: Option<Vec<Change>>,
    pub neo4j: Option<State>,
}

/// What `schema apply` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub qdrant: Option<Applied>,
    pub neo4j: Option<Done>,
}

/// What `schema undo` took back, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    pub undone: Vec<Step>,
}

pub async fn schema(config: &Config, what: &SchemaCommand, json: bool) -> Result<u8, Failure> {
    let stores = Stores::of(config)?;
    match what {
        SchemaCommand::Plan(files) => {
            let declared = Declared::read(files)?;
            show_plan(&stores.plan(&declared).await?, json)
        }
        SchemaCommand::Status(files) => {
            let declared = Declared::read(files)?;
            let plan = stores.plan(&declared).await?;
            print(json, &plan, || show::status(&plan));
            Ok(0)
        }
        SchemaCommand::Apply(args) => stores.apply(args, json).await,
        SchemaCommand::Undo(args) => stores.undo(args, json).await,
    }
}

/// The stores that are configured.
struct Stores {
    qdrant: Option<QdrantConfig>,
    neo4j: Option<Neo4jConfig>,
}

impl Stores {
    fn of(config: &Config) -> Result<Self, Failure> {
        let stores = Self {
            qdrant: config.qdrant(),
            neo4j: config.neo4j(),
        };
        if stores.qdrant.is_none() && stores.neo4j.is_none() {
            return Err(Failure::fatal(
                "schema needs qdrant.url and neo4j.url: stores in a data folder make what they need by themselves",
            ));
        }
        Ok(stores)
    }

    async fn plan(&self, declared: &Declared) -> Result<Plan, Failure> {
        let qdrant = match &self.qdrant {
            Some(qdrant) => Some(collections::compare(qdrant, &declared.collection).await?),
            None => None,
        };
        let neo4j = match &self.neo4j {
            Some(neo4j) => Some(migrations::state(neo4j, &declared.migrations).await?),
            None => None,
        };
        Ok(Plan { qdrant, neo4j })
    }

    /// Neither store is changed where something is refused in one of them.
    async fn apply(&self, args: &SchemaApplyArgs, json: bool) -> Result<u8, Failure> {
        let declared = Declared::read(&args.files)?;
        let plan = self.plan(&declared).await?;
        if args.dry_run {
            return show_plan(&plan, json);
        }
        plan.refuse()?;
        let rebuild = match args.rebuild {
            true => Rebuild::Allowed,
            false => Rebuild::Never,
        };
        let qdrant = match &self.qdrant {
            Some(qdrant) => Some(collections::apply(qdrant, &declared.collection, rebuild).await?),
            None => None,
        };
        let neo4j = match &self.neo4j {
            Some(neo4j) => Some(migrations::apply(neo4j, &declared.migrations).await?),
            None => None,
        };
        let outcome = Outcome { qdrant, neo4j };
        print(json, &outcome, || show::outcome(&outcome));
        let is_left = outcome.qdrant.is_some_and(|it| !it.left.is_empty());
        Ok(if is_left { 2 } else { 0 })
    }

    async fn undo(&self, args: &SchemaUndoArgs, json: bool) -> Result<u8, Failure> {
        if args.store == SchemaStore::Qdrant {
            return Err(Failure::fatal(
                "qdrant: nothing to undo: a collection has no versions; declare it as it was and apply, or restore a \
                 snapshot",
            ));
        }
        let Some(neo4j) = &self.neo4j else {
            return Err(Failure::fatal("schema undo needs neo4j.url"));
        };
        let declared = Declared::read(&args.files)?.migrations;
        let undone = match args.dry_run {
            true => migrations::plan_undo(neo4j, &declared, args.to).await?,
            false => migrations::undo(neo4j, &declared, args.to).await?.steps,
        };
        let undone = Undone { undone };
        print(json, &undone, || show::undone(&undone, args.dry_run));
        Ok(0)
    }
}

impl Plan {
    fn is_as_declared(&self) -> bool {
        self.qdrant.as_ref().is_none_or(Vec::is_empty)
            && self.neo4j.as_ref().is_none_or(State::is_current)
    }

    fn refuse(&self) -> Result<(), Failure> {
        collections::refuse(self.qdrant.as_deref().unwrap_or_default())?;
        self.neo4j.as_ref().map_or(Ok(()), State::refuse)
    }
}

fn show_plan(plan: &Plan, json: bool) -> Result<u8, Failure> {
    print(json, plan, || show::plan(plan));
    plan.refuse()?;
    Ok(if plan.is_as_declared() { 0 } else { 2 })
}
