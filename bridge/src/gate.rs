//! Tells who talks from the level in each packet's header, and how loud.
//!
//! One per leg. It opens on evidence, not on a single packet: loud speech is evidence enough at
//! once, while what is barely above the threshold must last. A loud moment that came to nothing is
//! a room's noise, and raises the threshold for a while.

use std::time::Duration;

use sabha_media::extension::LevelDbov;
use sabha_media::squelch::SquelchSettings;
use sabha_media::time::Instant;

/// One leg's gate. Levels are in dB below overload: the smaller, the louder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    open_until: Instant,
    heard_at: Instant,
    /// Peak level that rises fast and decays.
    level_db: f32,
    /// Decibels above the threshold, summed over the packets of a run.
    evidence_db: f32,
    /// The loudest packet of that run.
    run_db: f32,
    /// The loudest run that came to nothing.
    noise_db: f32,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open_until: Instant::ZERO,
            heard_at: Instant::ZERO,
            level_db: QUIETEST_DB,
            evidence_db: 0.0,
            run_db: QUIETEST_DB,
            noise_db: QUIETEST_DB,
            open: false,
        }
    }
}

impl Gate {
    /// Takes a packet's level and returns whether the gate is open.
    pub(crate) fn handle_level(
        &mut self,
        now: Instant,
        level: LevelDbov,
        settings: &SquelchSettings,
    ) -> bool {
        let packet_db = f32::from(level.0);
        self.smooth(now, packet_db);
        if !self.handle_timeout(now) {
            self.open = self.gather_evidence(packet_db, f32::from(settings.open.0));
            if self.open {
                self.open_until = now + settings.hangover;
            }
        } else if level.0 <= settings.close.0 {
            self.open_until = now + settings.hangover;
        }
        self.open
    }

    /// Closes the gate if its hangover is over; returns whether it is open.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.open = self.open && now < self.open_until;
        self.open
    }

    /// Closes at once: the leg was muted or removed.
    pub(crate) fn close(&mut self) {
        (self.open, self.evidence_db, self.run_db) = (false, 0.0, QUIETEST_DB);
    }

    /// Returns when the gate closes unless another loud packet comes.
    pub(crate) fn open_until(&self) -> Instant {
        self.open_until
    }

    /// Returns the smoothed level.
    pub(crate) fn level_db(&self, now: Instant) -> f32 {
        let quiet_secs = now.saturating_since(self.heard_at).as_secs_f32();
        (self.level_db + DECAY_DB_PER_SEC * quiet_secs).min(QUIETEST_DB)
    }

    fn smooth(&mut self, now: Instant, packet_db: f32) {
        let passed = now.saturating_since(self.heard_at);
        let decayed = self.level_db(now);
        let rise_db = (decayed - packet_db).max(0.0);
        self.level_db = decayed - ATTACK_SHARE * rise_db;
        let forgotten_db = NOISE_DECAY_DB_PER_SEC * passed.as_secs_f32();
        self.noise_db = (self.noise_db + forgotten_db).min(QUIETEST_DB);
        if passed > RUN_PAUSE_MAX {
            self.end_run();
        }
        self.heard_at = now;
    }

    /// Weighs a packet at a closed gate; returns whether the run so far is speech.
    fn gather_evidence(&mut self, packet_db: f32, open_db: f32) -> bool {
        let above_noise = self.noise_db - NOISE_MARGIN_DB;
        let threshold_db = above_noise.clamp(open_db - NOISE_RAISE_DB_MAX, open_db);
        self.evidence_db += threshold_db - packet_db + AT_THRESHOLD_DB;
        if self.evidence_db <= 0.0 {
            self.end_run();
            return false;
        }
        self.run_db = self.run_db.min(packet_db);
        let is_speech = self.evidence_db >= SPEECH_DB;
        if is_speech {
            (self.evidence_db, self.run_db) = (0.0, QUIETEST_DB);
        }
        is_speech
    }

    fn end_run(&mut self) {
        self.noise_db = self.noise_db.min(self.run_db);
        (self.evidence_db, self.run_db) = (0.0, QUIETEST_DB);
    }
}

/// Share of a rise that a packet's level adds at once: after two packets little is missing.
const ATTACK_SHARE: f32 = 0.75;

/// How fast a peak is forgotten: as the mixer's squelch does, 1 dB for each packet of 20 ms.
const DECAY_DB_PER_SEC: f32 = 50.0;

/// Evidence that opens the gate. Chosen: one packet 11 dB above the threshold, two of 5 dB, three
/// of 3 dB, which the look-back still makes good; a single click of a quiet room is none.
const SPEECH_DB: f32 = 12.0;

/// What a packet just at the threshold counts for.
const AT_THRESHOLD_DB: f32 = 1.0;

/// The threshold lies so far above the loudest moment that came to nothing.
const NOISE_MARGIN_DB: f32 = 2.0;

/// The threshold is raised by at most so much: to -40 dBov, below speech at a normal distance.
const NOISE_RAISE_DB_MAX: f32 = 10.0;

/// How fast such a moment is forgotten: a room that fell silent is trusted again within a minute.
const NOISE_DECAY_DB_PER_SEC: f32 = 0.2;

/// A pause that ends a run: five packets.
const RUN_PAUSE_MAX: Duration = Duration::from_millis(100);

/// The quietest level that RFC 6464 can say.
const QUIETEST_DB: f32 = 127.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds levels every 20 ms and returns the places at which the gate is open.
    fn open_at(gate: &mut Gate, from_ms: u64, levels: &[u8]) -> Vec<usize> {
        let settings = SquelchSettings::default();
        let mut open = Vec::new();
        for (place, level) in levels.iter().enumerate() {
            let now = Instant::from_millis(from_ms + 20 * place as u64);
            if gate.handle_level(now, LevelDbov(*level), &settings) {
                open.push(place);
            }
        }
        open
    }

    #[test]
    fn loud_speech_opens_at_once_and_quiet_speech_within_the_look_back() {
        assert_eq!(open_at(&mut Gate::default(), 1_000, &[60, 30]), [1]);
        assert_eq!(open_at(&mut Gate::default(), 1_000, &[60, 45, 45]), [2]);
        assert_eq!(open_at(&mut Gate::default(), 1_000, &[60, 47, 47, 47]), [3]);
        assert_eq!(open_at(&mut Gate::default(), 1_000, &[51; 500]), [], "below the threshold");
    }

    #[test]
    fn flickering_noise_never_opens() {
        let mut gate = Gate::default();
        let levels: Vec<u8> = (0..5_000).map(|n| if n % 7 == 0 { 46 } else { 57 }).collect();
        assert_eq!(open_at(&mut gate, 1_000, &levels), []);
        // Two such moments in a row would have been evidence, had the room not been learned.
        assert_eq!(open_at(&mut gate, 101_000, &[46, 46, 46, 57]), []);
        assert_eq!(open_at(&mut gate, 101_080, &[30]), [0], "speech is still heard");
    }

    #[test]
    fn closes_after_hangover() {
        let mut gate = Gate::default();
        open_at(&mut gate, 1_000, &[30, 55]);
        assert!(gate.handle_timeout(Instant::from_millis(1_419)), "hysteresis and hangover");
        assert!(!gate.handle_timeout(Instant::from_millis(1_420)));
        assert_eq!(open_at(&mut gate, 1_440, &[55]), []);
    }

    #[test]
    fn level_rises_fast_and_decays_with_time() {
        let mut gate = Gate::default();
        open_at(&mut gate, 1_000, &[60, 30, 30, 30]);
        let now = Instant::from_millis(1_060);
        assert!((gate.level_db(now) - 30.0).abs() < 2.0, "{}", gate.level_db(now));
        let later = now + Duration::from_millis(200);
        assert!((gate.level_db(later) - gate.level_db(now) - 10.0).abs() < 0.1);
    }
}
