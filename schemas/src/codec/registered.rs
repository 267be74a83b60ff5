//! Schemas by the ids they have in a registry.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use apache_avro::Schema;
use async_trait::async_trait;
use thiserror::Error;

use super::{CodecError, fingerprint};
use crate::topic::Subject;

/// How long it is believed that an id stands for nothing that can be read. A letter that is put back later asks again.
const BELIEVED: Duration = Duration::from_secs(60);

/// Where a schema is looked up by its id.
#[async_trait]
pub trait SchemaRegistry: Send + Sync {
    /// The Avro schema as JSON; none where there is no such id, or no Avro schema behind it.
    async fn schema(&self, id: u32) -> Result<Option<String>, LookupError>;
}

/// Why a registry gives no answer. It is never the record's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupError {
    /// It may give one later.
    #[error("{0}")]
    Away(String),
    /// Only people can mend it.
    #[error("{0}")]
    Refused(String),
}

/// A schema that records were written with.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    pub mark: u64,
    pub schema: &'static Schema,
}

impl Writer {
    fn of(text: &str) -> Result<Self, apache_avro::Error> {
        // A handful of schemas live as long as the process, as our own do.
        let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(text)?));
        Ok(Self {
            mark: fingerprint(schema),
            schema,
        })
    }
}

impl Subject {
    /// Whether `text` is this schema, as far as bytes show: its documentation may be another.
    pub fn is_schema(&self, text: &str) -> bool {
        let mark = |text: &str| Schema::parse_str(text).ok().map(|it| fingerprint(&it));
        mark(self.schema).is_some() && mark(self.schema) == mark(text)
    }
}

enum Known {
    Writer(Writer),
    Nothing { why: String, since: Instant },
}

impl Known {
    fn is_stale(&self) -> bool {
        matches!(self, Self::Nothing { since, .. } if since.elapsed() > BELIEVED)
    }
}

/// The ids of our own schemas, and what is known of those of others.
pub(super) struct Registered {
    own: HashMap<&'static str, u32>,
    known: RwLock<HashMap<u32, Known>>,
    registry: Arc<dyn SchemaRegistry>,
}

impl Registered {
    pub fn new(
        own: impl IntoIterator<Item = (Subject, u32)>,
        registry: Arc<dyn SchemaRegistry>,
    ) -> Result<Self, CodecError> {
        let mut ids = HashMap::new();
        let mut known = HashMap::new();
        for (subject, id) in own {
            ids.insert(subject.record, id);
            known.insert(id, Known::Writer(Writer::of(subject.schema)?));
        }
        Ok(Self {
            own: ids,
            known: RwLock::new(known),
            registry,
        })
    }

    /// The id to write for a record type.
    pub fn own(&self, record: &str) -> Option<u32> {
        self.own.get(record).copied()
    }

    /// Whether the registry is to be asked for this id.
    pub fn lacks(&self, id: u32) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).is_none_or(Known::is_stale)
    }

    /// The schema behind an id, or why there is none.
    pub fn writer(&self, id: u32) -> Result<Writer, String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(&id) {
            Some(Known::Writer(writer)) => Ok(*writer),
            Some(Known::Nothing { why, .. }) => Err(why.clone()),
            None => Err("it was not looked up".to_owned()),
        }
    }

    pub async fn learn(&self, id: u32) -> Result<(), LookupError> {
        let nothing = |why: String| Known::Nothing {
            why,
            since: Instant::now(),
        };
        let learned = match self.registry.schema(id).await? {
            None => nothing("the registry has no Avro schema of this id".to_owned()),
            Some(text) => match Writer::of(&text) {
                Ok(writer) => Known::Writer(writer),
                Err(error) => nothing(format!("it cannot be read: {error}")),
            },
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Bytes that are no records may name any id: what is not believed any more goes.
        known.retain(|_, it| !it.is_stale());
        known.insert(id, learned);
        Ok(())
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(&self.own).finish()
    }
}
