//! From arrival to visible.

use std::time::Duration;

use serde::Serialize;

/// Seconds, by the nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    pub documents: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub longest: f64,
}

impl Latency {
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        let rank = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            let time = times.get(rank.saturating_sub(1));
            time.map_or(0.0, Duration::as_secs_f64)
        };
        Self {
            documents: times.len(),
            p50: rank(0.50),
            p95: rank(0.95),
            p99: rank(0.99),
            longest: rank(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let hundred = Latency::of((1..=100).rev().map(Duration::from_secs));
        assert_eq!(
            (hundred.documents, hundred.p50, hundred.p95, hundred.p99),
            (100, 50.0, 95.0, 99.0)
        );
        assert_eq!(hundred.longest, 100.0);
        let one = Latency::of([Duration::from_secs(3)]);
        assert_eq!((one.p50, one.p99), (3.0, 3.0));
        assert_eq!(Latency::of([]).p99, 0.0);
    }
}
