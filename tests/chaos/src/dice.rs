//! Numbers from a seed: the same seed throws the same dice.

/// SplitMix64: small, and good enough to choose by.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for one of many things, so that what is thrown for one changes nothing for the others.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `0` to `count - 1`; 0 where there is nothing to choose from.
    pub fn below(&mut self, count: usize) -> usize {
        match count as u64 {
            0 => 0,
            count => (self.next() % count) as usize,
        }
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// True in `percent` of a hundred throws; tenths count.
    pub fn chance(&mut self, percent: f64) -> bool {
        ((self.next() % 100_000) as f64) < percent * 1000.0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        of.get(self.below(of.len())).copied().unwrap_or(otherwise)
    }

    pub fn shuffle<T>(&mut self, these: &mut [T]) {
        for last in (1..these.len()).rev() {
            these.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let throws = |seed| {
            let mut dice = Dice::of(seed, 0);
            std::iter::repeat_with(move || dice.next()).take(100)
        };
        assert!(throws(7).eq(throws(7)));
        assert!(!throws(7).eq(throws(8)));
    }

    #[test]
    fn throws_stay_within() {
        let mut dice = Dice::of(1, 2);
        let mut seen = [false; 6];
        for _ in 0..1000 {
            seen[dice.below(6)] = true;
            assert!((3..=5).contains(&dice.between(3, 5)));
        }
        assert_eq!(seen, [true; 6]);
        assert_eq!(dice.below(0), 0);
        let hits = (0..100_000).filter(|_| dice.chance(0.5)).count();
        assert!((350..650).contains(&hits), "{hits}");
    }

    #[test]
    fn shuffling_keeps_all() {
        let mut cards: Vec<u32> = (0..50).collect();
        Dice::of(3, 0).shuffle(&mut cards);
        assert_ne!(cards, (0..50).collect::<Vec<_>>());
        cards.sort_unstable();
        assert_eq!(cards, (0..50).collect::<Vec<_>>());
    }
}
