//! How often each kind of process is still to be killed, and how long it took each time until all was in order.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::dice::Dice;

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Coordinator,
    Keeper,
    Engine,
    /// Of a pool.
    Process,
    Client,
}

/// See the module.
#[derive(Debug)]
pub struct Toll {
    each: usize,
    paid: BTreeMap<Victim, Vec<Duration>>,
}

impl Toll {
    /// So many kills of each of these.
    pub fn new(victims: &[Victim], each: usize) -> Toll {
        Toll { each, paid: victims.iter().map(|victim| (*victim, Vec::new())).collect() }
    }

    /// Draws one of those that there are; whoever lags behind is drawn more often.
    pub fn draw(&self, dice: &mut Dice, there: impl Fn(Victim) -> bool) -> Option<Victim> {
        let owed = |(victim, paid): (&Victim, &Vec<Duration>)| (*victim, (self.each - paid.len()) as u64);
        let owed: Vec<_> = self.paid.iter().map(owed).filter(|(victim, _)| there(*victim)).collect();
        let all = owed.iter().map(|(_, left)| left).sum();
        let mut place = if all == 0 { return None } else { dice.below(all) };
        let drawn = owed.iter().find(|(_, left)| {
            let here = place < *left;
            place = place.saturating_sub(*left);
            here
        });
        drawn.map(|(victim, _)| *victim)
    }

    /// One was killed, and all was in order again after this time.
    pub fn pay(&mut self, victim: Victim, took: Duration) {
        self.paid.entry(victim).or_default().push(took);
    }

    /// Whether some are still to be killed.
    pub fn is_owed(&self) -> bool {
        self.paid.values().any(|paid| paid.len() < self.each)
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.paid.iter().try_for_each(|(victim, paid)| {
            let mut paid = paid.clone();
            paid.sort_unstable();
            let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1e3);
            let (middle, worst) = (ms(paid.get(paid.len() / 2)), ms(paid.last()));
            let kind = format!("{victim:?}");
            writeln!(
                f,
                "  {kind:<12}{:>4} kills, in order after {middle:.0} ms (median), {worst:.0} ms (worst)",
                paid.len()
            )
        })
    }
}
