use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;

/// What happens to a call, instead of what should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The node is there, and cannot.
    Unavailable,
    /// 429 in gRPC's words, with the seconds to wait where there are some.
    Exhausted(Option<u32>),
    /// Writing is locked, as by the lock API.
    ReadOnly,
    /// There is no room for the log of writes.
    DiskFull,
    /// The nodes do not agree.
    NoConsensus,
    /// A word nobody knows.
    Odd,
    /// The work begins late.
    Slow(Duration),
    /// The connection breaks before anything is done.
    CutBefore,
    /// The connection breaks when all is done, and before the answer.
    CutAfter,
}

impl Fault {
    /// The answer, where it is one that a server gives at once.
    pub(super) fn answer(&self) -> Option<Status> {
        Some(match self {
            Self::Unavailable => Status::unavailable("Shard temporarily unavailable: on purpose"),
            Self::Exhausted(seconds) => {
                let words = "Rate limiting exceeded: Write rate limit exceeded, retry later";
                let mut status = Status::resource_exhausted(words);
                if let Some(seconds) = seconds {
                    status
                        .metadata_mut()
                        .insert("retry-after", (*seconds).into());
                }
                status
            }
            Self::ReadOnly => {
                Status::failed_precondition("Storage locked: Write operations are forbidden")
            }
            Self::DiskFull => Status::internal(
                "Service internal error: No space left on device: WAL buffer size exceeds available disk space",
            ),
            Self::NoConsensus => Status::internal(
                "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 10 seconds",
            ),
            Self::Odd => Status::data_loss("Checksum mismatch: expected 1, actual 2"),
            Self::Slow(_) | Self::CutBefore | Self::CutAfter => return None,
        })
    }
}

/// What is to go wrong, and what was called, by the name of the call: `Points/Upsert`.
#[derive(Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    faults: BTreeMap<String, Vec<Fault>>,
    counts: BTreeMap<String, u64>,
}

impl Calls {
    pub fn fail(&self, call: &str, fault: &Fault, times: usize) {
        let mut state = self.locked();
        let faults = state.faults.entry(call.to_owned()).or_default();
        faults.extend(std::iter::repeat_n(fault.clone(), times));
    }

    pub fn mend(&self) {
        self.locked().faults.clear();
    }

    pub fn left(&self) -> usize {
        self.locked().faults.values().map(Vec::len).sum()
    }

    pub fn count(&self, call: &str) -> u64 {
        self.locked().counts.get(call).copied().unwrap_or_default()
    }

    /// Counts a call, and says what happens to it.
    pub fn made(&self, call: &str) -> Option<Fault> {
        let mut state = self.locked();
        *state.counts.entry(call.to_owned()).or_default() += 1;
        let faults = state.faults.get_mut(call)?;
        (!faults.is_empty()).then(|| faults.remove(0))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
