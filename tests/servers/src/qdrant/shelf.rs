//! All collections and their aliases, in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prost::Message;
use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::{
    AliasDescription, AliasOperations, CollectionConfig, ListAliasesResponse,
};
use tonic::Status;

use super::collection::Collection;

const ALIASES: &str = "aliases";
const COLLECTIONS: &str = "collections";

pub(super) struct Shelf {
    folder: PathBuf,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    collections: BTreeMap<String, Arc<Collection>>,
    /// Collections by alias.
    aliases: BTreeMap<String, String>,
}

impl Shelf {
    pub fn open(folder: &Path) -> Result<Self> {
        let collections = folder.join(COLLECTIONS);
        fs::create_dir_all(&collections)?;
        let mut state = State::default();
        for entry in fs::read_dir(&collections)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let collection = Collection::open(&name, &entry.path())
                .map_err(|status| Error::other(format!("{name}: {}", status.message())))?;
            state.collections.insert(name, Arc::new(collection));
        }
        if let Ok(bytes) = fs::read(folder.join(ALIASES)) {
            let read = ListAliasesResponse::decode(bytes.as_slice()).map_err(Error::other)?;
            let pairs = read.aliases.into_iter();
            state.aliases = pairs
                .map(|it| (it.alias_name, it.collection_name))
                .collect();
        }
        Ok(Self {
            folder: folder.to_owned(),
            state: RwLock::new(state),
        })
    }

    pub fn close(&self) {
        for collection in self.all() {
            collection.close();
        }
    }

    pub fn optimise(&self) -> std::result::Result<(), Status> {
        self.all().iter().try_for_each(|it| it.optimise())
    }

    /// A collection by its name or an alias.
    pub fn find(&self, name: &str) -> std::result::Result<Arc<Collection>, Status> {
        let state = self.read();
        let name = state.aliases.get(name).map_or(name, String::as_str);
        let found = state.collections.get(name).cloned();
        found.ok_or_else(|| missing(name))
    }

    pub fn names(&self) -> Vec<String> {
        self.read().collections.keys().cloned().collect()
    }

    pub fn create(&self, name: &str, config: CollectionConfig) -> std::result::Result<(), Status> {
        check_name(name)?;
        let mut state = self.write();
        if state.collections.contains_key(name) {
            return Err(Status::already_exists(format!(
                "Wrong input: Collection `{name}` already exists!"
            )));
        }
        if state.aliases.contains_key(name) {
            return Err(Status::invalid_argument(format!(
                "Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
            )));
        }
        let folder = self.folder.join(COLLECTIONS).join(name);
        let collection = Collection::create(name, &folder, config)?;
        let collections = &mut state.collections;
        collections.insert(name.to_owned(), Arc::new(collection));
        Ok(())
    }

    /// Whether it was there.
    pub fn delete(&self, name: &str) -> std::result::Result<bool, Status> {
        let mut state = self.write();
        let Some(collection) = state.collections.remove(name) else {
            return Ok(false);
        };
        collection.remove()?;
        state.aliases.retain(|_, collection| collection != name);
        self.keep(&state.aliases)?;
        Ok(true)
    }

    pub fn aliases(&self) -> Vec<AliasDescription> {
        described(&self.read().aliases)
    }

    /// All of the actions or none.
    pub fn change_aliases(&self, actions: Vec<AliasOperations>) -> std::result::Result<(), Status> {
        let mut state = self.write();
        let mut aliases = state.aliases.clone();
        let unknown =
            |alias: &str| Status::not_found(format!("Not found: Alias {alias} does not exists!"));
        for action in actions {
            match action.action {
                Some(Action::CreateAlias(create)) => {
                    let (alias, collection) = (create.alias_name, create.collection_name);
                    if !state.collections.contains_key(&collection) {
                        return Err(missing(&collection));
                    }
                    if state.collections.contains_key(&alias) {
                        return Err(Status::invalid_argument(format!(
                            "Wrong input: Can't create alias with name {alias}. Collection with the same name already exists"
                        )));
                    }
                    aliases.insert(alias, collection);
                }
                Some(Action::DeleteAlias(delete)) => {
                    let alias = delete.alias_name;
                    aliases.remove(&alias).ok_or_else(|| unknown(&alias))?;
                }
                Some(Action::RenameAlias(rename)) => {
                    let old = rename.old_alias_name;
                    let collection = aliases.remove(&old).ok_or_else(|| unknown(&old))?;
                    aliases.insert(rename.new_alias_name, collection);
                }
                None => return Err(Status::invalid_argument("Malformed AliasOperation type")),
            }
        }
        self.keep(&aliases)?;
        state.aliases = aliases;
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Collection>> {
        self.read().collections.values().cloned().collect()
    }

    fn keep(&self, aliases: &BTreeMap<String, String>) -> std::result::Result<(), Status> {
        let listed = ListAliasesResponse {
            aliases: described(aliases),
            time: 0.0,
        };
        replace(&self.folder.join(ALIASES), &listed.encode_to_vec())
            .map_err(|error| Status::internal(format!("Service internal error: {error}")))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The old content or the new, never half of it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

pub(super) fn missing(collection: &str) -> Status {
    Status::not_found(format!(
        "Not found: Collection `{collection}` doesn't exist!"
    ))
}

fn described(aliases: &BTreeMap<String, String>) -> Vec<AliasDescription> {
    let pairs = aliases.iter();
    pairs
        .map(|(alias, collection)| AliasDescription {
            alias_name: alias.clone(),
            collection_name: collection.clone(),
        })
        .collect()
}

/// It becomes the name of a folder.
fn check_name(name: &str) -> std::result::Result<(), Status> {
    let wrong = |why: &str| {
        Err(Status::invalid_argument(format!(
            "Validation error in body: [collection_name: value {name:?} invalid, {why}]"
        )))
    };
    if name.is_empty() || name.len() > 255 || [".", ".."].contains(&name) {
        return wrong("must be from 1 to 255 characters long");
    }
    match name.chars().find(|c| "<>:\"/\\|?*\0\u{1f}".contains(*c)) {
        Some(c) => wrong(&format!("collection name cannot contain {c:?} char")),
        None => Ok(()),
    }
}
