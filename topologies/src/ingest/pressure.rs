//! `ingest` slows down with split, as every stage does with the one it feeds.

use std::sync::Arc;
use std::time::Duration;

use penstock_runtime::{Pace, ThrottlePolicy};
use penstock_schemas::topics;
use tokio::time::{Instant, sleep};

use crate::pipeline::{LAG_POLL, group_of};
use crate::streams::Streams;

/// What waits for split, and how much it leaves of the time to send in.
pub struct Pressure {
    log: Arc<dyn Streams>,
    marks: ThrottlePolicy,
    pace: Pace,
    looked_at: Option<Instant>,
    /// 0: nothing is sent; 1: as fast as it goes.
    share: f64,
    /// How long the document before took.
    sending: Duration,
}

impl Pressure {
    pub fn new(log: Arc<dyn Streams>, marks: ThrottlePolicy) -> Self {
        Self {
            log,
            marks,
            pace: Pace::default(),
            looked_at: None,
            share: 1.0,
            sending: Duration::ZERO,
        }
    }

    /// Sends a document as soon as it may be sent. They go one at a time, so the share that a stage takes of its permitted
    /// in-flight is taken of the time here: who may have a tenth waits nine times as long as it sends.
    pub async fn send<T>(&mut self, sending: impl Future<Output = T>) -> T {
        self.wait().await;
        let begun = Instant::now();
        let sent = sending.await;
        self.sending = begun.elapsed();
        sent
    }

    async fn wait(&mut self) {
        self.look().await;
        if self.share == 0.0 {
            tracing::warn!("split is far behind: documents are held back until it has caught up");
        }
        while self.share == 0.0 {
            sleep(LAG_POLL).await;
            self.look().await;
        }
        sleep(pause(self.share, self.sending)).await;
    }

    async fn look(&mut self) {
        let now = Instant::now();
        if self.looked_at.is_some_and(|at| now < at + LAG_POLL) {
            return;
        }
        self.looked_at = Some(now);
        let group = group_of("split");
        let stand = self.log.stand(&group, topics::DOCUMENTS.name()).await;
        // Where it cannot be told the last one holds.
        if let Ok(stand) = stand {
            let backlog = self.pace.look(stand.waiting, stand.done, now);
            self.share = backlog.share(&self.marks);
        }
    }
}

/// Between two documents, of which one takes `sending`. No longer than until the next look.
fn pause(share: f64, sending: Duration) -> Duration {
    let times = (1.0 / share - 1.0).max(0.0);
    Duration::try_from_secs_f64(sending.as_secs_f64() * times)
        .unwrap_or(LAG_POLL)
        .min(LAG_POLL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_time() {
        let check = |share: f64, sending_ms: u64, pause_ms: u64| {
            let paused = pause(share, Duration::from_millis(sending_ms));
            assert_eq!(paused.as_millis(), u128::from(pause_ms), "{share}");
        };
        check(1.0, 10, 0);
        check(0.5, 10, 10);
        check(0.1, 10, 90);
        check(0.001, 10, 2_000);
        check(0.001, 0, 0);
    }
}
