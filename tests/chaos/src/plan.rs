//! Which faults come, in which order: all of it from the seed.

use clap::ValueEnum;
use serde::Serialize;

use crate::dice::Dice;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL to a process without stores.
    Kill,
    /// SIGKILL to the process that owns the stores.
    KillOwner,
    /// SIGSTOP for longer than a session, then SIGCONT.
    Freeze,
    /// SIGKILL to a broker, which comes back.
    Broker,
    /// Every connection to brokers ends.
    Cut,
    /// Connections become slow.
    Slow,
    /// Nothing passes to or from a broker, and nobody is told.
    Silence,
    /// One process more for a while.
    Scale,
    /// Every process is replaced, one after the other.
    Roll,
    /// The object store refuses everything for a minute.
    Outage,
    /// The disk of the stores is full.
    DiskFull,
    /// One process starts again with its clock an hour off.
    Clock,
    /// A record that kills who works on it.
    Killer,
}

/// Of 200 faults, how many are of each kind.
const DECK: [(Kind, usize); 13] = [
    (Kind::Kill, 50),
    (Kind::KillOwner, 18),
    (Kind::Freeze, 18),
    (Kind::Broker, 14),
    (Kind::Cut, 36),
    (Kind::Slow, 14),
    (Kind::Silence, 10),
    (Kind::Scale, 12),
    (Kind::Roll, 4),
    (Kind::Outage, 3),
    (Kind::DiskFull, 8),
    (Kind::Clock, 8),
    (Kind::Killer, 5),
];
/// Of a hundred faults to processes, those that come together with one to the network.
const TOGETHER: f64 = 30.0;

impl Kind {
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |it| it.get_name().to_owned())
    }

    fn is_of_processes(self) -> bool {
        matches!(self, Self::Kill | Self::KillOwner | Self::Freeze)
    }

    fn is_of_network(self) -> bool {
        matches!(self, Self::Broker | Self::Cut | Self::Slow | Self::Silence)
    }
}

/// A fault, and its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub number: usize,
    pub kind: Kind,
}

/// Faults that begin together.
pub type Round = Vec<Fault>;

/// `count` faults of these kinds (none: all), in rounds. Every kind comes at least once where there are enough.
pub fn plan(seed: u64, count: usize, kinds: &[Kind]) -> Vec<Round> {
    let mut dice = Dice::of(seed, 2);
    let deck: Vec<(Kind, usize)> = DECK
        .into_iter()
        .filter(|(kind, _)| kinds.is_empty() || kinds.contains(kind))
        .collect();
    let whole: usize = deck.iter().map(|(_, share)| share).sum();
    // One of each first, then as many more as its share allows.
    let mut cards: Vec<Kind> = deck.iter().map(|(kind, _)| *kind).collect();
    dice.shuffle(&mut cards);
    let mut more: Vec<Kind> = Vec::new();
    for (kind, share) in &deck {
        let share = count * share / whole.max(1);
        more.extend(std::iter::repeat_n(*kind, share.saturating_sub(1)));
    }
    dice.shuffle(&mut more);
    cards.extend(more);
    // Rounding down leaves some open; what comes often comes once more.
    let mut often = deck.clone();
    often.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
    let missing = count.saturating_sub(cards.len());
    let often = often.iter().cycle().map(|(kind, _)| *kind);
    cards.extend(often.take(missing));
    cards.truncate(count);
    dice.shuffle(&mut cards);
    rounds(cards, &mut dice)
}

fn rounds(mut cards: Vec<Kind>, dice: &mut Dice) -> Vec<Round> {
    let mut rounds = Vec::new();
    let mut number = 0;
    let mut fault = |kind| {
        number += 1;
        Fault { number, kind }
    };
    cards.reverse();
    while let Some(kind) = cards.pop() {
        let mut round = vec![fault(kind)];
        if kind.is_of_processes() && dice.chance(TOGETHER) {
            let other = cards.iter().rposition(|it| it.is_of_network());
            round.extend(other.map(|at| fault(cards.remove(at))));
        }
        rounds.push(round);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(rounds: &[Round]) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for fault in rounds.iter().flatten() {
            *counts.entry(fault.kind).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(plan(9, 200, &[]), plan(9, 200, &[]));
        assert_ne!(plan(9, 200, &[]), plan(10, 200, &[]));
    }

    #[test]
    fn two_hundred_are_the_deck() {
        let rounds = plan(1, 200, &[]);
        assert_eq!(counts(&rounds), DECK.into_iter().collect());
        let numbers: Vec<usize> = rounds.iter().flatten().map(|it| it.number).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
        assert!(rounds.iter().any(|it| it.len() == 2));
        assert!(rounds.iter().all(|it| it.len() <= 2));
    }

    #[test]
    fn few_are_as_many_as_asked_for() {
        for count in [0, 1, 5, 13, 14, 40] {
            let rounds = plan(3, count, &[]);
            assert_eq!(rounds.iter().flatten().count(), count);
        }
        assert_eq!(counts(&plan(3, 13, &[])).len(), 13, "each once");
        let some = [Kind::Cut, Kind::Kill];
        assert_eq!(counts(&plan(3, 6, &some)).len(), 2);
        assert_eq!(plan(3, 6, &some).iter().flatten().count(), 6);
    }
}
