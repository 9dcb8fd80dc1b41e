//! How long a leg has held a slot of late: nobody holds one for ever on a claim.
//!
//! The bridge never decodes, so it cannot tell a false level from a true one. Instead, who has held
//! a slot for `HELD_MAX` counts as quieter by `SPENT_DB` until half of that time has passed without
//! it. It loses the slot only to somebody who talks.

use std::time::Duration;

use sabha_media::time::Instant;

/// One leg's account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    /// Grows while the leg holds a slot and shrinks as fast while it does not.
    held: Duration,
    at: Instant,
    holds: bool,
    is_spent: bool,
}

impl Hold {
    /// Takes note that the leg takes a slot, or gives it up.
    pub(crate) fn set(&mut self, now: Instant, holds: bool) {
        self.advance(now);
        self.holds = holds;
    }

    /// Returns by how much less the leg counts, in dB.
    pub(crate) fn discount_db(&mut self, now: Instant) -> f32 {
        self.advance(now);
        if self.is_spent { SPENT_DB } else { 0.0 }
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_since(self.at);
        self.at = now;
        self.held = match self.holds {
            true => (self.held + passed).min(HELD_MAX),
            false => self.held.saturating_sub(passed),
        };
        self.is_spent = self.held == HELD_MAX || self.is_spent && self.held > HELD_MAX / 2;
    }
}

/// How long a slot is held at full weight. Chosen: longer than a turn in conversation; a speech
/// goes on for longer, but then nobody wants the slot.
const HELD_MAX: Duration = Duration::from_secs(10);

/// What is lost then. Chosen: anybody at a normal distance is louder than the loudest claim less
/// this.
const SPENT_DB: f32 = 25.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_spend_the_hold_and_five_without_restore_it() {
        let at = |secs: u64| Instant::from_millis(secs * 1_000);
        let mut hold = Hold::default();
        hold.set(at(100), true);
        assert!(hold.discount_db(at(109)) < 1.0);
        assert!(hold.discount_db(at(110)) > 1.0);
        hold.set(at(150), false);
        assert!(hold.discount_db(at(154)) > 1.0);
        assert!(hold.discount_db(at(155)) < 1.0);
    }

    #[test]
    fn short_pauses_do_not_restore_it() {
        let mut hold = Hold::default();
        for round in 0..20 {
            let begin = Instant::from_millis(1_000 * round);
            hold.set(begin, true);
            hold.set(begin + Duration::from_millis(900), false);
        }
        assert!(hold.discount_db(Instant::from_millis(20_000)) > 1.0);
    }
}
