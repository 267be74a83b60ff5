//! How soon the groups move again after a fault, and where they stood still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::watch::{PARTITIONS, Sample, Watched};

/// Records that have only just come may wait for the next commit.
const GRACE: Duration = Duration::from_secs(3);

/// When every partition that a group had not read to its end had moved, and which were the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    pub took: Duration,
    pub last: String,
}

/// How long it took from `since` on; none where a partition has not moved yet. `samples` are in order of time; those before
/// `since` do not count.
pub fn recovered(samples: &[Arc<Sample>], stages: &[Watched], since: Instant) -> Option<Recovery> {
    let first = samples.partition_point(|it| it.at < since);
    let samples = samples.get(first..).unwrap_or_default();
    let mut tracks: Vec<Track> = Vec::new();
    for (stage, watched) in stages.iter().enumerate() {
        for partition in 0..PARTITIONS as usize {
            tracks.push(Track {
                stage,
                name: watched.stage,
                from: watched.from,
                partition,
                start: None,
                behind_since: None,
            });
        }
    }
    let mut last = Vec::new();
    for sample in samples {
        let mut blocked = Vec::new();
        for track in &mut tracks {
            if track.is_blocked(sample) {
                blocked.push(format!("{}/{}", track.name, track.partition));
            }
        }
        if blocked.is_empty() {
            return Some(Recovery {
                took: sample.at.saturating_duration_since(since),
                last: last.join(" "),
            });
        }
        last = blocked;
    }
    None
}

/// One partition of one group after a fault.
struct Track {
    stage: usize,
    name: &'static str,
    from: &'static str,
    partition: usize,
    /// Where it stood when first looked at, and whether it was behind.
    start: Option<(i64, bool)>,
    behind_since: Option<Instant>,
}

impl Track {
    fn is_blocked(&mut self, sample: &Sample) -> bool {
        let is_behind = sample.lag(self.stage, self.from, self.partition) > 0;
        let committed = committed(sample, self.stage, self.partition);
        let (start, was_behind) = *self.start.get_or_insert((committed, is_behind));
        if !is_behind {
            self.behind_since = None;
            return false;
        }
        let behind_since = *self.behind_since.get_or_insert(sample.at);
        if committed > start {
            return false;
        }
        was_behind || sample.at.saturating_duration_since(behind_since) >= GRACE
    }
}

fn committed(sample: &Sample, stage: usize, partition: usize) -> i64 {
    let found = sample.committed.get(stage).and_then(|it| it.get(partition));
    found.copied().unwrap_or(0)
}

/// The longest time in which a partition had records to read and its group did not commit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stall {
    pub seconds: f64,
    pub stage: String,
    pub partition: usize,
    /// Seconds since the run began.
    pub at: f64,
}

/// The longest stall of all, and the longest stretch of one that lies outside of all `windows` (from a fault's beginning
/// until the groups had recovered).
pub fn stalls(
    samples: &[Arc<Sample>],
    stages: &[Watched],
    windows: &[(Instant, Instant)],
    begun: Instant,
) -> (Stall, Stall) {
    let (mut longest, mut outside) = (Stall::default(), Stall::default());
    for (stage, watched) in stages.iter().enumerate() {
        for partition in 0..PARTITIONS as usize {
            let mut since: Option<(Instant, i64)> = None;
            for sample in samples {
                let is_behind = sample.lag(stage, watched.from, partition) > 0;
                let committed = committed(sample, stage, partition);
                let moved = since.is_some_and(|(_, before)| committed != before);
                if !is_behind || moved || since.is_none() {
                    since = is_behind.then_some((sample.at, committed));
                    continue;
                }
                let Some((from, _)) = since else { continue };
                let note = |from: Instant, to: Instant| Stall {
                    seconds: to.saturating_duration_since(from).as_secs_f64(),
                    stage: watched.stage.to_owned(),
                    partition,
                    at: from.saturating_duration_since(begun).as_secs_f64(),
                };
                keep_longer(&mut longest, note(from, sample.at));
                for (from, to) in without(from, sample.at, windows) {
                    keep_longer(&mut outside, note(from, to));
                }
            }
        }
    }
    (longest, outside)
}

fn keep_longer(longest: &mut Stall, other: Stall) {
    if other.seconds > longest.seconds {
        *longest = other;
    }
}

/// What is left of a stretch of time without `windows`, which are in order.
fn without(from: Instant, to: Instant, windows: &[(Instant, Instant)]) -> Vec<(Instant, Instant)> {
    let mut left = Vec::new();
    let mut from = from;
    for (begin, end) in windows {
        if *end <= from || *begin >= to {
            continue;
        }
        if *begin > from {
            left.push((from, *begin));
        }
        from = *end;
    }
    if from < to {
        left.push((from, to));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Watched; 1] = [Watched {
        stage: "split",
        from: "t",
    }];

    /// Partition 0 at each second: committed and end.
    fn seconds(begun: Instant, places: &[(i64, i64)]) -> Vec<Arc<Sample>> {
        let sample = |(second, (committed, end)): (usize, &(i64, i64))| {
            Arc::new(Sample {
                at: begun + Duration::from_secs(second as u64),
                committed: vec![vec![*committed, 0, 0, 0]],
                ends: [("t".to_owned(), vec![*end, 0, 0, 0])].into(),
            })
        };
        places.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn recovery_is_movement() {
        let begun = Instant::now();
        let check = |since: u64, places: &[(i64, i64)], expect: Option<u64>| {
            let samples = seconds(begun, places);
            let since = begun + Duration::from_secs(since);
            let took = recovered(&samples, &STAGES, since);
            let took = took.map(|it| it.took);
            assert_eq!(took, expect.map(Duration::from_secs), "{places:?}");
        };
        check(0, &[(5, 5)], Some(0));
        check(0, &[(5, 9), (5, 9)], None);
        check(0, &[(5, 9), (5, 9), (6, 9)], Some(2));
        check(1, &[(5, 9), (5, 9), (6, 9)], Some(1));
        check(2, &[(5, 9), (5, 9), (5, 9), (9, 9)], Some(1));
        check(3, &[(5, 9)], None);
        // What comes behind it later has some time, but not for ever.
        check(0, &[(5, 6), (5, 7), (7, 7)], Some(2));
    }

    #[test]
    fn stalls_are_told_apart_from_faults() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let places = [(1, 5), (1, 5), (1, 5), (1, 5), (1, 6), (2, 6), (6, 6)];
        let samples = seconds(begun, &places);
        let (longest, outside) = stalls(&samples, &STAGES, &[(at(1), at(3))], begun);
        assert_eq!((longest.seconds, longest.at), (4.0, 0.0));
        assert_eq!((outside.seconds, outside.at), (1.0, 0.0));
        let (_, outside) = stalls(&samples, &STAGES, &[], begun);
        assert_eq!(outside.seconds, 4.0);
        let (_, none) = stalls(&samples, &STAGES, &[(at(0), at(9))], begun);
        assert_eq!(none.seconds, 0.0);
    }
}
