//! Tells who talks from the level in each packet's header, before anything is decoded.
//!
//! One per leg. Threshold, hysteresis and hangover; and a back-off for legs whose claims decoding
//! contradicted.

use std::time::Duration;

use sabha_media::extension::LevelDbov;
use sabha_media::squelch::SquelchSettings;
use sabha_media::time::Instant;

/// One leg's squelch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Squelch {
    open_until: Instant,
    blocked_until: Instant,
    /// Peak level that decays, in dB below overload; the smaller, the louder.
    smoothed: f32,
    /// Level of what is heard while the squelch is closed: the room's noise.
    floor: f32,
    /// How long the last block was.
    backoff_secs: u8,
    open: bool,
}

impl Default for Squelch {
    fn default() -> Self {
        Self {
            open_until: Instant::ZERO,
            blocked_until: Instant::ZERO,
            smoothed: QUIETEST_DB,
            floor: QUIETEST_DB,
            backoff_secs: 0,
            open: false,
        }
    }
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
        self.smoothed =
            level_db.min(if self.open { self.smoothed + DECAY_DB } else { QUIETEST_DB });
        if now < self.blocked_until {
            return false;
        }
        // Where no tick runs, a level that brought no sound has opened it.
        self.open &= now < self.open_until;
        let threshold = if self.open { settings.close } else { settings.open };
        if level.0 <= threshold.0 {
            self.open = true;
            self.open_until = now + settings.hangover;
        }
        if !self.open {
            self.floor += (level_db - self.floor) * FLOOR_SHARE;
        }
        self.open
    }

    /// Returns the level at and below which a packet is the room's noise, not the voice's onset
    /// or end.
    pub(crate) fn quiet(&self, settings: &SquelchSettings) -> LevelDbov {
        let below_voice = f32::from(settings.close.0) + QUIET_MARGIN_DB;
        let quiet = below_voice.min(self.floor - FLOOR_MARGIN_DB);
        LevelDbov(quiet.clamp(f32::from(settings.open.0), QUIETEST_DB).round() as u8)
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
        self.backoff_secs = (self.backoff_secs * 2).clamp(BACKOFF_SECS_MIN, BACKOFF_SECS_MAX);
        self.blocked_until = now + Duration::from_secs(self.backoff_secs.into());
    }

    /// Tells that for so long nothing could be received: it does not count as a pause.
    pub(crate) fn pass_over(&mut self, time: Duration) {
        self.open_until += time;
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

/// Share of each packet in the noise floor: half, so that eight packets (160 ms) settle it.
const FLOOR_SHARE: f32 = 0.5;

/// What is so much louder than the floor is no longer taken for it.
const FLOOR_MARGIN_DB: f32 = 4.0;

/// What is so much quieter than the closing level is taken for noise in any room.
const QUIET_MARGIN_DB: f32 = 5.0;

/// The quietest level that RFC 6464 can say.
const QUIETEST_DB: f32 = 127.0;

/// First block after a false claim. Chosen: longer than any hangover.
const BACKOFF_SECS_MIN: u8 = 1;

/// Longest block. Chosen: a mended client is heard again within a minute.
const BACKOFF_SECS_MAX: u8 = 64;

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
    fn level_without_sound_opens_for_its_hangover_only() {
        let settings = SquelchSettings::default();
        let mut squelch = Squelch::default();
        assert!(squelch.handle_level(at(0), LevelDbov(30), &settings));
        assert!(!squelch.handle_level(at(5_000), LevelDbov(70), &settings));
    }

    #[test]
    fn quiet_is_what_the_room_sounds_like() {
        let settings = SquelchSettings::default();
        let mut squelch = Squelch::default();
        assert_eq!(squelch.quiet(&settings), LevelDbov(60), "nothing is known of the room");
        for ms in [0, 20, 40] {
            squelch.handle_level(at(ms), LevelDbov(54), &settings);
        }
        assert!(squelch.quiet(&settings).0 > 54, "three packets may be an onset");
        for ms in 3..12 {
            squelch.handle_level(at(20 * ms), LevelDbov(54), &settings);
        }
        assert_eq!(squelch.quiet(&settings), LevelDbov(50), "a quarter of a second is a room");
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
