//! Reciprocal rank fusion: ranks count, scores of different kinds are never compared.

use std::collections::BTreeMap;

/// How slowly a rank loses worth.
const K: f32 = 60.0;

/// Rankings, best first, made one. An item's score is the sum of 1 / (60 + rank), rank from 1, over the rankings it stands
/// in. Equal scores are ordered by the better of the ranks, then by the item, so that the same rankings always give the
/// same order.
pub fn fuse<T: Copy + Ord>(rankings: &[Vec<T>]) -> Vec<(T, f32)> {
    let mut scores: BTreeMap<T, (f32, usize)> = BTreeMap::new();
    for ranking in rankings {
        for (rank, item) in ranking.iter().enumerate() {
            let (score, best) = scores.entry(*item).or_insert((0.0, rank));
            *score += 1.0 / (K + 1.0 + rank as f32);
            *best = rank.min(*best);
        }
    }
    let mut fused: Vec<(T, f32, usize)> = scores
        .into_iter()
        .map(|(item, (score, best))| (item, score, best))
        .collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.2.cmp(&b.2)).then(a.0.cmp(&b.0)));
    fused
        .into_iter()
        .map(|(item, score, _)| (item, score))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rankings: &[&[u8]], expect: &[u8]) {
        let rankings: Vec<Vec<u8>> = rankings.iter().map(|ranking| ranking.to_vec()).collect();
        let fused: Vec<u8> = fuse(&rankings).into_iter().map(|(item, _)| item).collect();
        assert_eq!(fused, expect, "{rankings:?}");
    }

    #[test]
    fn standing_in_both_rankings_wins() {
        check(&[], &[]);
        check(&[&[], &[]], &[]);
        check(&[&[3, 1, 2]], &[3, 1, 2]);
        check(&[&[1, 2], &[3, 2]], &[2, 1, 3]);
        check(&[&[1, 2, 3], &[3, 2, 1]], &[1, 3, 2]);
        check(&[&[5], &[4]], &[4, 5]);
    }

    #[test]
    fn scores_are_sums_of_reciprocal_ranks() {
        let fused = fuse(&[vec!['a', 'b'], vec!['b']]);
        assert_eq!(fused[0].0, 'b');
        assert!((fused[0].1 - (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-7);
        assert!((fused[1].1 - 1.0 / 61.0).abs() < 1e-7);
    }
}
