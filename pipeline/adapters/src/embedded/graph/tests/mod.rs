mod trouble;

use std::path::PathBuf;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::link::GraphStore;

use super::super::sql::Db;
use super::SqlGraph;
use crate::graph::tests::{LOAD, World, behaviours, edition};

behaviours!(world);

struct Sql {
    place: Place,
    graph: SqlGraph,
}

fn world() -> Sql {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    Sql { place, graph }
}

#[async_trait(?Send)]
impl World for Sql {
    fn graph(&self) -> &dyn GraphStore {
        &self.graph
    }

    async fn empty(&mut self) {
        *self = world();
    }

    async fn reopen(&mut self) {
        self.graph = SqlGraph::open(&self.place.file).unwrap();
    }

    fn rounds(&self) -> u64 {
        40
    }
}

struct Place {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("graph.sqlite");
    Place {
        _folder: folder,
        file,
    }
}
