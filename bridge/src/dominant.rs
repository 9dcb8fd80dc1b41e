//! Who leads the conversation, for events: the dominant talker.
//!
//! After Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing"
//! (2012): activity over an immediate, a medium and a long interval, each scored by how much
//! likelier it is speech than noise. Another talker leads once its scores are better by a factor in
//! all three.

use std::time::Duration;

use sabha_media::extension::LevelDbov;

/// What one talker's last second was like.
#[derive(Clone, Copy)]
pub(crate) struct Activity {
    /// How loud each packet was, in `BANDS` steps; the newest last.
    packets: [u8; PACKETS],
}

/// The scores of the three intervals; never below `SCORE_MIN`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scores([f32; 3]);

impl Default for Activity {
    fn default() -> Self {
        Self { packets: [0; PACKETS] }
    }
}

impl Activity {
    /// Takes in a packet's level, where packets quieter than `close` are no speech.
    pub(crate) fn push(&mut self, level: LevelDbov, close: LevelDbov) {
        self.packets.rotate_left(1);
        let bands = close.0.saturating_sub(level.0) / BAND_DB;
        self.packets[PACKETS - 1] = bands.min(BANDS as u8);
    }

    /// Returns the scores of the three intervals that end now.
    pub(crate) fn scores(&self) -> Scores {
        let is_loud = |packet: &&u8| **packet >= LOUD_BANDS;
        let blocks = self.packets.chunks(BLOCK_PACKETS);
        let counts = blocks.map(|block| block.iter().filter(is_loud).count());
        let medium = counts.clone().next_back().unwrap_or(0);
        let long = counts.filter(|count| *count >= LOUD_PACKETS).count();
        Scores([
            score(self.packets[PACKETS - 1].into(), BANDS, 0.78),
            score(medium, BLOCK_PACKETS, 24.0),
            score(long, PACKETS / BLOCK_PACKETS, 47.0),
        ])
    }
}

impl Scores {
    /// Those of one who is silent.
    pub(crate) const SILENT: Self = Self([SCORE_MIN; 3]);

    /// Tells whether one with these scores takes the lead from one with those.
    pub(crate) fn lead_over(&self, other: &Self) -> bool {
        let factors = self.0.iter().zip(other.0).map(|(own, other)| (own / other).ln());
        factors.zip(FACTORS_MIN).all(|(factor, factor_min)| factor > factor_min)
    }

    /// Returns the score of the medium interval, by which the best of several is chosen.
    pub(crate) fn medium(&self) -> f32 {
        self.0[1]
    }
}

/// Scores `active` of `all` parts: the logarithm of the ratio of two likelihoods, binomial with
/// equal chances for speech and exponential with `rate` for noise.
fn score(active: usize, all: usize, rate: f32) -> f32 {
    let choices: f32 = (0..active).map(|n| ((all - n) as f32 / (n + 1) as f32).ln()).sum();
    let speech = choices + all as f32 * 0.5_f32.ln();
    let noise = rate.ln() - rate * active as f32;
    (speech - noise).max(SCORE_MIN)
}

/// How often it is decided. Source: section 4 of the paper.
pub(crate) const DECISION_INTERVAL: Duration = Duration::from_millis(300);

/// Packets of the long interval: a second.
const PACKETS: usize = 50;

/// Packets of the medium interval, of which the long one has ten.
const BLOCK_PACKETS: usize = 5;

/// Steps of a packet's level, and their size: up to -3 dBov, where they begin at -55.
const BANDS: usize = 13;
const BAND_DB: u8 = 4;

/// A packet so many steps up is active. Chosen: 12 dB above the closing level.
const LOUD_BANDS: u8 = 3;

/// A block with so many active packets is active: most of it.
const LOUD_PACKETS: usize = 4;

/// The least factors, as logarithms, by which another must be better. Source: the paper's C1 to C3.
const FACTORS_MIN: [f32; 3] = [3.0, 2.0, 0.0];

/// The least score, so that factors are defined.
const SCORE_MIN: f32 = 1e-10;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(levels: &[u8]) -> Scores {
        let mut activity = Activity::default();
        for level in levels {
            activity.push(LevelDbov(*level), LevelDbov(55));
        }
        activity.scores()
    }

    #[test]
    fn one_who_talks_leads_over_one_who_pauses() {
        let talks = after(&[25; 50]);
        let pauses = after(&[[25; 40], [60; 40]].concat());
        assert!(talks.lead_over(&Scores::SILENT));
        assert!(talks.lead_over(&pauses));
        assert!(!pauses.lead_over(&talks));
    }

    #[test]
    fn equal_talkers_and_short_sounds_change_nothing() {
        let talks = after(&[25; 50]);
        assert!(!talks.lead_over(&after(&[30; 50])));
        let coughs = after(&[[70; 48].as_slice(), &[10; 2]].concat());
        assert!(!coughs.lead_over(&talks));
        assert!(!coughs.lead_over(&Scores::SILENT), "too short for the long interval");
    }
}
