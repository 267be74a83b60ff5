//! Whether a group ever committed past a record that was not resolved, by all the looks at the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::heard::Place;
use crate::watch::Sample;

/// Every look, made to answer two questions.
pub struct Commits<'a> {
    samples: &'a [Arc<Sample>],
    /// By stage and partition: the farthest position until each look.
    farthest: Vec<Vec<Vec<i64>>>,
    /// How often a position was seen to go back.
    pub went_back: u64,
}

impl<'a> Commits<'a> {
    pub fn of(samples: &'a [Arc<Sample>], stages: usize, partitions: usize) -> Self {
        let mut went_back = 0;
        let mut farthest = Vec::new();
        for stage in 0..stages {
            let mut of_stage = Vec::new();
            for partition in 0..partitions {
                let (mut most, mut before) = (0, 0);
                let mut positions = Vec::with_capacity(samples.len());
                for sample in samples {
                    let committed = sample.committed.get(stage);
                    let committed = committed.and_then(|it| it.get(partition));
                    let committed = committed.copied().unwrap_or(0);
                    went_back += u64::from(committed < before);
                    before = committed;
                    most = committed.max(most);
                    positions.push(most);
                }
                of_stage.push(positions);
            }
            farthest.push(of_stage);
        }
        Self {
            samples,
            farthest,
            went_back,
        }
    }

    /// The first look at which the stage had committed past the record: all that it owes must be there by then.
    pub fn passed(&self, stage: usize, place: Place) -> Option<&BTreeMap<String, Vec<i64>>> {
        let positions = self.farthest.get(stage)?.get(place.partition as usize)?;
        let first = positions.partition_point(|it| *it <= place.offset);
        self.samples.get(first).map(|it| &it.ends)
    }
}

/// Whether a place was on a topic when it ended there.
pub fn is_below(ends: &BTreeMap<String, Vec<i64>>, topic: &str, place: Place) -> bool {
    let end = ends
        .get(topic)
        .and_then(|it| it.get(place.partition as usize));
    end.is_some_and(|end| place.offset < *end)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_first_look_past_a_record_counts() {
        let sample = |committed: i64, end: i64| {
            Arc::new(Sample {
                at: Instant::now(),
                committed: vec![vec![0, committed]],
                ends: [("out".to_owned(), vec![0, end])].into(),
            })
        };
        // It goes back once, as after a crash of a broker.
        let samples = [sample(0, 0), sample(3, 5), sample(2, 6), sample(9, 7)];
        let commits = Commits::of(&samples, 1, 2);
        assert_eq!(commits.went_back, 1);
        let place = |offset| Place {
            partition: 1,
            offset,
        };
        let end = |offset| commits.passed(0, place(offset)).map(|ends| ends["out"][1]);
        assert_eq!(end(0), Some(5));
        assert_eq!(end(2), Some(5));
        assert_eq!(end(3), Some(7));
        assert_eq!(end(9), None);
        let ends = commits.passed(0, place(0)).unwrap();
        assert!(is_below(ends, "out", place(4)));
        assert!(!is_below(ends, "out", place(5)));
        assert!(!is_below(ends, "other", place(0)));
    }
}
