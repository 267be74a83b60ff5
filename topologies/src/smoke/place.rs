//! Where the stages are that the test goes through.

use std::sync::Arc;

use penstock_runtime::{Failure, Stop};
use penstock_stages::embed::Embedder;
use penstock_stages::index::check_model;
use penstock_stages::settle::Stores;

use super::reach::Reach;
use crate::config::Config;
use crate::ingest::Intake;
use crate::session::{Session, Working, intake_of, load_craft};
use crate::topics;

pub struct Place {
    pub intake: Intake,
    pub reach: Arc<Reach>,
    /// Where they are in this process.
    working: Option<Working>,
}

impl Place {
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        match Session::open(config)? {
            Session::Network(network) => {
                topics::are_there(config, &[]).await?;
                let craft = load_craft(config).await?;
                let stores = network.stores(config).await?;
                check_model(stores.vectors.as_ref(), craft.embedder.info()).await?;
                Ok(Self {
                    reach: here(stores, craft.embedder),
                    intake: intake_of(config, craft.recipe).await?,
                    working: None,
                })
            }
            Session::Owner(_) if config.is_shared() => Err(Failure::fatal(
                "smoke looks into both stores, which lie in the data folder of the process that runs index, link and settle: \
                 run it there while that one runs, with the same --data, or set qdrant.url and neo4j.url",
            )),
            Session::Owner(folder) => {
                let working = Working::start(config, folder, &[], Stop::new()).await?;
                let parts = &working.parts;
                Ok(Self {
                    reach: here(parts.stores.clone(), parts.craft.embedder.clone()),
                    intake: working.intake.clone(),
                    working: Some(working),
                })
            }
            Session::Beside(beside) => Ok(Self {
                intake: beside.intake().await?,
                reach: Arc::new(Reach::Owner(beside.client)),
                working: None,
            }),
        }
    }

    /// Resolves when a stage of this process ends.
    pub async fn broken(&mut self) -> Failure {
        match &mut self.working {
            None => std::future::pending().await,
            Some(working) => match working.pipeline.ended().await {
                Err(failure) => failure,
                Ok(()) => Failure::fatal("a stage has ended"),
            },
        }
    }

    pub async fn close(self) -> Result<(), Failure> {
        match self.working {
            None => Ok(()),
            Some(working) => working.close().await,
        }
    }
}

fn here(stores: Stores, embedder: Arc<dyn Embedder>) -> Arc<Reach> {
    let stores = Box::new(stores);
    Arc::new(Reach::Here { stores, embedder })
}
