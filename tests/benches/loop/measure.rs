//! What a process costs, read from outside, so that it is the same for every contender.

use std::time::{Duration, Instant};

use crate::contenders::Working;
use crate::fill::Topics;

const POLL: Duration = Duration::from_millis(20);
/// Without one more record for so long, something is wrong.
const STALLED: Duration = Duration::from_secs(60);
/// The clock runs from here on: before it, programs start, groups settle and compilers warm up.
const WARM: f64 = 0.2;

/// One run of one contender.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Records a second.
    pub rate: f64,
    /// CPU seconds for a million records.
    pub cpu: f64,
    /// The most memory it ever had, MiB.
    pub memory: f64,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    records: u64,
    cpu: Duration,
}

/// Waits until `wanted` records are on `topic`.
pub fn watch(
    topics: &Topics,
    topic: &str,
    wanted: u64,
    working: &mut Working,
) -> Result<Run, String> {
    let warm = (wanted as f64 * WARM) as u64;
    let (mut from, mut last) = (None, (0, Instant::now()));
    loop {
        let records = topics.records(topic)?;
        let seen = Seen {
            at: Instant::now(),
            records,
            cpu: cpu(working.id())?,
        };
        if from.is_none() && records >= warm {
            from = Some(seen);
        }
        if records >= wanted {
            let from = from.unwrap_or(seen);
            let (records, time) = (records - from.records, seen.at - from.at);
            return Ok(Run {
                rate: records as f64 / time.as_secs_f64().max(1e-9),
                cpu: (seen.cpu - from.cpu).as_secs_f64() / records.max(1) as f64 * 1e6,
                memory: peak(working.id())?,
            });
        }
        if records > last.0 {
            last = (records, seen.at);
        }
        if let Some(how) = working.ended() {
            return Err(format!(
                "{} ended with {how} at {records} of {wanted} records",
                working.name()
            ));
        }
        if last.1.elapsed() > STALLED {
            return Err(format!(
                "{} stands still at {records} of {wanted} records",
                working.name()
            ));
        }
        std::thread::park_timeout(POLL);
    }
}

/// User and system time of a process, all threads.
fn cpu(id: u32) -> Result<Duration, String> {
    /// Of Linux, on every platform it has user space for.
    const TICKS: f64 = 100.0;
    let file = format!("/proc/{id}/stat");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_secs_f64((user + system) / TICKS)),
        _ => Err(format!("{file} is not understood: {text}")),
    }
}

/// The most memory a process ever had, MiB.
pub fn peak(id: u32) -> Result<f64, String> {
    let file = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    kib.map(|it| it / 1024.0)
        .ok_or_else(|| format!("{file} is not understood"))
}
