use std::sync::Mutex;
use std::time::Duration;

use penstock_runtime::Failure;

use super::lock;

/// What calls of a fake meet. Calls are those of one store, whatever they ask.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    refuse_every: u64,
    lose_every: u64,
    panics: usize,
    down: bool,
    delay: Duration,
    calls: u64,
    failed: u64,
}

impl Faults {
    /// Every so many-th call fails for a transient reason and changes nothing; 0: none.
    pub fn refuse_every(&self, calls: u64) {
        lock(&self.0).refuse_every = calls;
    }

    /// Every so many-th call does its work, but fails for a transient reason as if the answer were lost; 0: none.
    pub fn lose_every(&self, calls: u64) {
        lock(&self.0).lose_every = calls;
    }

    /// The next calls panic.
    pub fn panic_next(&self, calls: usize) {
        lock(&self.0).panics += calls;
    }

    /// Down: every call fails for a transient reason.
    pub fn set_down(&self, down: bool) {
        lock(&self.0).down = down;
    }

    /// How long every call takes.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.0).delay = delay;
    }

    /// Calls so far, and how many of them failed.
    pub fn counts(&self) -> (u64, u64) {
        let plan = lock(&self.0);
        (plan.calls, plan.failed)
    }

    /// Before the work of a call.
    pub(super) async fn begin(&self, doing: &str) -> Result<(), Failure> {
        let (delay, verdict) = {
            let mut plan = lock(&self.0);
            plan.calls += 1;
            let verdict = plan.verdict(doing);
            plan.failed += u64::from(verdict.is_err());
            (plan.delay, verdict)
        };
        // Half before and half after, so that a call which is broken off may have done its work or not.
        pass(delay / 2).await;
        verdict
    }

    /// After the work of a call.
    pub(super) async fn end(&self, doing: &str) -> Result<(), Failure> {
        let (delay, verdict) = {
            let mut plan = lock(&self.0);
            let lost = strikes(plan.lose_every, plan.calls);
            plan.failed += u64::from(lost);
            let no_answer = || Err(Failure::transient(format!("{doing}: no answer")));
            (plan.delay, if lost { no_answer() } else { Ok(()) })
        };
        pass(delay / 2).await;
        verdict
    }
}

impl Plan {
    #[allow(clippy::panic, reason = "what it is asked for")]
    fn verdict(&mut self, doing: &str) -> Result<(), Failure> {
        if self.panics > 0 {
            self.panics -= 1;
            panic!("{doing}: a panic was ordered");
        }
        if self.down {
            return Err(Failure::transient(format!("{doing}: the store is down")));
        }
        if strikes(self.refuse_every, self.calls) {
            return Err(Failure::transient(format!("{doing}: the store is busy")));
        }
        Ok(())
    }
}

fn strikes(every: u64, calls: u64) -> bool {
    every > 0 && calls.is_multiple_of(every)
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
