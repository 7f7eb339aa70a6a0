//! How much is told of processes that are lost: the first few one by one, then only their number now and then.
//!
//! What a task died of is in its outcome; here it is about a user's screen. Invariant: each loss is told once, by itself
//! or in a number.

use std::time::{Duration, Instant};

use super::{
    Core,
    event::{Effect, Effects},
    notice::Notice,
};

/// So many in a row are told one by one.
const FEW: u32 = 5;

/// The others are told by their number, this long after the first of them; after as long a pause a new row begins.
const PERIOD: Duration = Duration::from_secs(10);

/// What has been told.
#[derive(Debug, Default)]
pub struct Tally {
    told: u32,
    untold: u64,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Tally {
    /// When the number of the others is to be told.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Counts a loss; whether it is told by itself.
    fn tells(&mut self, now: Instant) -> bool {
        let pause = self.last.replace(now).map_or(PERIOD, |last| now.saturating_duration_since(last));
        if pause >= PERIOD && self.untold == 0 {
            self.told = 0;
        }
        if self.told < FEW {
            self.told += 1;
            return true;
        }
        self.untold += 1;
        self.due.get_or_insert(now + PERIOD);
        false
    }
}

impl Core {
    /// Leaves of what is said from `begun` on as much as is to be told now, and adds the number that is due.
    pub(super) fn tally(&mut self, begun: usize, now: Instant, out: &mut Effects) {
        let is_loss = |effect: &Effect| {
            matches!(effect, Effect::Say(Notice::TaskKilled { .. } | Notice::ProcessLost { .. }))
        };
        if out[begun..].iter().any(is_loss) {
            let new = out.split_off(begun);
            out.extend(new.into_iter().filter(|effect| !is_loss(effect) || self.tally.tells(now)));
        }
        if self.tally.due.is_some_and(|due| due <= now) {
            self.tally.due = None;
            let count = std::mem::take(&mut self.tally.untold);
            out.push(Effect::Say(Notice::MoreLost { count, within: PERIOD }));
        }
    }
}
