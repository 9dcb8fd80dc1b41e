//! Reading by the clock: every socket in turn, so often, ready or not.

use std::time::Duration;

use sabha_media::time::Instant;

/// Where a thread is in its rounds through all sockets.
#[derive(Debug)]
pub(super) struct Round {
    every: Duration,
    due: Instant,
    /// The place to go on at; 0 before a round.
    next: u32,
}

impl Round {
    /// Begins with a round that is due at `now`.
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, due: now, next: 0 }
    }

    /// Returns when there is something to read; in the midst of a round, at once.
    pub(super) fn due(&self) -> Instant {
        if self.next > 0 { Instant::ZERO } else { self.due }
    }

    /// Returns the places to read in this turn, of so many; none if no round is due.
    pub(super) fn take(&mut self, now: Instant, places: u32) -> std::ops::Range<u32> {
        if now < self.due() {
            return 0..0;
        }
        let from = self.next;
        let to = places.min(from + SOCKETS_PER_TURN).max(from);
        self.next = to;
        if to >= places {
            self.next = 0;
            // What is missed is not made up for: there is more to read in the next round.
            self.due = (self.due + self.every).max(now);
        }
        from..to
    }
}

/// Sockets read in a turn: as many as a wait reports, so that deadlines are looked at as often.
const SOCKETS_PER_TURN: u32 = 256;

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// Takes turns, each at a time in ms through so many places, and checks which are read; returns
    /// when the next round is due, in ms.
    fn take(round: &mut Round, turns: &[(u64, u32, Range<u32>)]) -> u64 {
        for (at, places, read) in turns {
            assert_eq!(&round.take(Instant::from_millis(*at), *places), read, "at {at} ms");
        }
        round.due().as_nanos() / 1_000_000
    }

    fn every_60_ms(first: u64) -> Round {
        Round::new(Duration::from_millis(60), Instant::from_millis(first))
    }

    #[test]
    fn round_through_many_places_takes_several_turns_and_then_rests() {
        let mut round = every_60_ms(1_000);
        assert_eq!(take(&mut round, &[(1_000, 600, 0..256)]), 0);
        assert_eq!(take(&mut round, &[(1_001, 600, 256..512), (1_002, 600, 512..600)]), 1_060);
        take(&mut round, &[(1_059, 600, 0..0), (1_060, 600, 0..256)]);
    }

    #[test]
    fn places_may_come_and_go_in_the_midst() {
        let mut round = every_60_ms(0);
        assert_eq!(take(&mut round, &[(0, 600, 0..256), (1, 100, 256..256)]), 60);
        take(&mut round, &[(60, 300, 0..256), (61, 900, 256..512), (62, 900, 512..768)]);
        assert_eq!(take(&mut every_60_ms(0), &[(0, 0, 0..0)]), 60);
    }

    #[test]
    fn round_that_was_missed_is_not_made_up_for() {
        let mut round = every_60_ms(0);
        assert_eq!(take(&mut round, &[(500, 1, 0..1)]), 500);
        assert_eq!(take(&mut round, &[(500, 1, 0..1)]), 560);
    }
}
