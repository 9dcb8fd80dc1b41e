//! Tells who talks from the level in each packet's header, before anything is decoded.
//!
//! One per leg. Threshold, hysteresis and hangover; and a back-off for legs whose claims decoding
//! contradicted.

use std::time::Duration;

use sabha_media::extension::LevelDbov;
use sabha_media::time::Instant;

use crate::settings::SquelchSettings;

/// One leg's squelch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Squelch {
    open: bool,
    open_until: Instant,
    /// Peak level that decays, in dB below overload; the smaller, the louder.
    smoothed: f32,
    blocked_until: Instant,
    backoff: Duration,
}

impl Squelch {
    /// Takes a packet's level and returns whether the squelch is open.
    pub(crate) fn handle_level(
        &mut self,
        now: Instant,
        level: LevelDbov,
        settings: &SquelchSettings,
    ) -> bool {
        let level_db = f32::from(level.0);
        self.smoothed = level_db.min(if self.open { self.smoothed + DECAY_DB } else { QUIETEST_DB });
        if now < self.blocked_until {
            return false;
        }
        let threshold = if self.open { settings.close } else { settings.open };
        if level.0 <= threshold.0 {
            self.open = true;
            self.open_until = now + settings.hangover;
        }
        self.open
    }

    /// Closes the squelch if its hangover is over; returns whether it is open.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.open = self.open && now < self.open_until;
        self.open
    }

    /// Closes at once: the leg was muted or removed.
    pub(crate) fn close(&mut self) {
        self.open = false;
    }

    /// Closes and blocks the leg, for longer each time: its claims were false.
    pub(crate) fn block(&mut self, now: Instant) {
        self.open = false;
        self.backoff = (self.backoff * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        self.blocked_until = now + self.backoff;
    }

    /// Returns whether the leg is blocked for false claims.
    pub(crate) fn is_blocked(&self, now: Instant) -> bool {
        now < self.blocked_until
    }

    /// Returns the smoothed level in dB below overload: the smaller, the louder.
    pub(crate) fn smoothed_db(&self) -> f32 {
        self.smoothed
    }
}

/// How fast a peak is forgotten: 1 dB for each packet, 50 dB a second.
const DECAY_DB: f32 = 1.0;

/// The quietest level that RFC 6464 can say.
const QUIETEST_DB: f32 = 127.0;

/// First block after a false claim. Chosen: longer than any hangover.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest block. Chosen: a mended client is heard again within a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(64);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn opens_at_threshold_and_closes_after_hangover() {
        let settings = SquelchSettings::default();
        let mut squelch = Squelch::default();
        assert!(!squelch.handle_level(at(0), LevelDbov(51), &settings));
        assert!(squelch.handle_level(at(20), LevelDbov(50), &settings));
        assert!(squelch.handle_level(at(40), LevelDbov(55), &settings), "hysteresis");
        assert!(squelch.handle_level(at(60), LevelDbov(90), &settings), "hangover");
        assert!(squelch.handle_timeout(at(439)));
        assert!(!squelch.handle_timeout(at(440)));
        assert!(!squelch.handle_level(at(460), LevelDbov(52), &settings));
    }

    #[test]
    fn false_claims_block_for_longer_each_time() {
        let settings = SquelchSettings::default();
        let mut squelch = Squelch::default();
        squelch.block(at(0));
        assert!(!squelch.handle_level(at(999), LevelDbov(0), &settings));
        assert!(squelch.handle_level(at(1_000), LevelDbov(0), &settings));
        squelch.block(at(2_000));
        assert!(squelch.is_blocked(at(3_999)) && !squelch.is_blocked(at(4_000)));
    }
}
