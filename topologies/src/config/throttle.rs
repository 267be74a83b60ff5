use std::time::Duration;

use penstock_runtime::ThrottlePolicy;
use serde::{Deserialize, Serialize};

/// How far a stage may lag before those that feed it, `ingest` among them, slow down (low) and stop (high).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleSettings {
    /// Records.
    pub lag_low: u64,
    pub lag_high: u64,
    /// The same as time, at the pace the stage has while it is busy, where more than a thousand records wait.
    pub lag_seconds_low: u64,
    pub lag_seconds_high: u64,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        let policy = ThrottlePolicy::default();
        Self {
            lag_low: policy.lag_low,
            lag_high: policy.lag_high,
            lag_seconds_low: policy.lag_time_low.as_secs(),
            lag_seconds_high: policy.lag_time_high.as_secs(),
        }
    }
}

impl ThrottleSettings {
    /// The error names the mark that is not above its lower one.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, low, high) in [
            ("lag", self.lag_low, self.lag_high),
            ("lag_seconds", self.lag_seconds_low, self.lag_seconds_high),
        ] {
            if high <= low {
                return Err(format!(
                    "throttle.{name}_high is {high}, expected more than throttle.{name}_low, which is {low}"
                ));
            }
        }
        Ok(())
    }

    /// A throttle with these marks.
    pub fn policy(&self) -> ThrottlePolicy {
        ThrottlePolicy {
            lag_low: self.lag_low,
            lag_high: self.lag_high,
            lag_time_low: Duration::from_secs(self.lag_seconds_low),
            lag_time_high: Duration::from_secs(self.lag_seconds_high),
            ..ThrottlePolicy::default()
        }
    }
}
