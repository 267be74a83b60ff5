//! How each stage is run.

use std::time::Duration;

use penstock_runtime::{Cap, Order, Policy, Reporting, ThrottlePolicy, WindowPolicy};

use crate::config::Config;
use crate::system::threads;

/// One policy per stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Policies {
    pub split: Policy,
    pub parse: Policy,
    pub shard: Policy,
    pub embed: Policy,
    pub index: Policy,
    pub link: Policy,
    pub settle: Policy,
}

impl Policies {
    pub fn of(config: &Config) -> Self {
        const AGE: Duration = Duration::from_millis(20);
        let marks = config.throttle.policy();
        let few = |most| few(most, &marks);
        let batches = |count, age| batches(count, age, &marks);
        let mut embed = batches(64, AGE);
        embed.window.cost = config.embed.batch_tokens;
        embed.throttle.tolerance = OWN_WORK;
        Self {
            split: few(4),
            parse: few(2 * threads(config.parse.threads)),
            shard: few(4),
            embed,
            index: batches(128, AGE),
            link: batches(128, AGE),
            settle: Policy {
                order: Order::OneAtATime,
                tick_every: Some(Duration::from_millis(20)),
                reporting: Reporting::Silent,
                ..batches(500, Duration::from_millis(100))
            },
        }
    }
}

impl Policies {
    /// For a replay: it goes on while nobody waits, and makes room long before live records pile up.
    pub fn behind(mut self) -> Self {
        for policy in self.every() {
            let throttle = &mut policy.throttle;
            throttle.lag_low = throttle.lag_low.min(100);
            throttle.lag_high = throttle.lag_high.min(1_000);
        }
        self
    }

    /// In the order records flow.
    pub fn every(&mut self) -> [&mut Policy; 7] {
        [
            &mut self.split,
            &mut self.parse,
            &mut self.shard,
            &mut self.embed,
            &mut self.index,
            &mut self.link,
            &mut self.settle,
        ]
    }
}

/// Where a stage waits for nobody but its own processor, the time it takes says nothing of a queue elsewhere: beside
/// other busy processes it would shrink to one record at a time. Failures and the lag downstream still throttle it.
const OWN_WORK: f64 = f64::INFINITY;

/// For stages whose records are heavy: one to a batch, at most `most` at once.
fn few(most: usize, marks: &ThrottlePolicy) -> Policy {
    Policy {
        window: WindowPolicy {
            count: 1,
            ..WindowPolicy::default()
        },
        cap: Cap {
            records: 4 * most,
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            start: most,
            max: most,
            tolerance: OWN_WORK,
            ..marks.clone()
        },
        ..Policy::default()
    }
}

/// For stages whose records are light: many to a batch, a batch ahead of the one at work.
fn batches(count: usize, age: Duration, marks: &ThrottlePolicy) -> Policy {
    Policy {
        window: WindowPolicy {
            count,
            age,
            ..WindowPolicy::default()
        },
        cap: Cap {
            records: 4 * count,
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            // Less than a batch gains the store nothing: it pays more for each record.
            min: count,
            start: 2 * count,
            max: 2 * count,
            ..marks.clone()
        },
        ..Policy::default()
    }
}
