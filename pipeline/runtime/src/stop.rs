//! Stopping is a parameter: soft first (finish what is begun), then hard (abandon it).

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Go,
    Soft,
    Hard,
}

/// A handle that many may hold; each hears of both steps.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Phase>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Go))
    }
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    /// Take no more; finish, commit, leave.
    pub fn soft(&self) {
        self.raise(Phase::Soft);
    }

    /// Abandon what is unfinished; it is replayed.
    pub fn hard(&self) {
        self.raise(Phase::Hard);
    }

    pub fn is_soft(&self) -> bool {
        *self.0.borrow() >= Phase::Soft
    }

    pub fn is_hard(&self) -> bool {
        *self.0.borrow() >= Phase::Hard
    }

    /// Resolves once a soft (or hard) stop was asked for.
    pub async fn softly(&self) {
        self.reached(Phase::Soft).await;
    }

    /// Resolves once a hard stop was asked for.
    pub async fn hardly(&self) {
        self.reached(Phase::Hard).await;
    }

    fn raise(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let higher = phase > *now;
            *now = (*now).max(phase);
            higher
        });
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives in self, so the wait cannot end by it being dropped.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}
