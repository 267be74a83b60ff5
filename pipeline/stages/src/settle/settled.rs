use penstock_runtime::{Outgoing, Route};
use penstock_schemas::{Codec, CodecError, Completed, LedgerEntry, Topic, topics};

use super::port::TERM;

/// What settle writes.
#[derive(Debug, Clone)]
pub enum Settled {
    /// With the term of the partition's owner.
    Entry(Box<LedgerEntry>, i64),
    Completed(Box<Completed>),
}

/// Entries to the ledger, completions to their topic.
#[derive(Clone, Copy)]
pub struct SettledRoute {
    pub ledger: Topic<LedgerEntry>,
    pub completed: Topic<Completed>,
}

impl Default for SettledRoute {
    fn default() -> Self {
        Self {
            ledger: topics::LEDGER,
            completed: topics::COMPLETED,
        }
    }
}

impl Route<Settled> for SettledRoute {
    fn topics(&self) -> Vec<&'static str> {
        vec![self.ledger.name(), self.completed.name()]
    }

    fn encode(&self, codec: &Codec, output: &Settled) -> Result<Outgoing, CodecError> {
        match output {
            Settled::Entry(entry, term) => {
                let mut record = self.ledger.encode(codec, entry.as_ref())?;
                let term = (TERM.into(), term.to_string().into());
                record.headers.push(term);
                Ok(record)
            }
            Settled::Completed(completed) => self.completed.encode(codec, completed.as_ref()),
        }
    }
}
