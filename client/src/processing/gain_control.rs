//! Brings a voice to the level at which all are heard alike.
//!
//! Follows the level of speech only, slowly and within bounds, and holds its gain in pauses, so
//! that a room's noise does not rise between sentences. A limiter takes what is sudden.

use std::ops::RangeInclusive;

use sabha_media::limiter::Limiter;

use super::{BLOCK_SAMPLES, Block};

/// Automatic gain control.
#[derive(Clone, Copy, Debug)]
pub struct GainControl {
    /// Mean square of speech, as it came.
    speech_power: f32,
    /// Blocks of speech heard, up to `MEMORY_BLOCKS`.
    heard: u32,
    gain_db: f32,
    limiter: Limiter,
}

impl GainControl {
    /// Begins without any gain.
    pub fn new() -> Self {
        Self { speech_power: 0.0, heard: 0, gain_db: 0.0, limiter: Limiter::new() }
    }

    /// Brings a block to its level; `voice` is how likely it is speech, 0 to 1.
    pub fn handle_block(&mut self, block: &mut Block, voice: f32) {
        let before = self.gain_db;
        let power = block.iter().map(|sample| sample * sample).sum::<f32>() / BLOCK_SAMPLES as f32;
        if voice >= VOICE_MIN && power > SPEECH_POWER_MIN {
            self.follow(power);
        }
        let (from, to) = (linear(before), linear(self.gain_db));
        for (index, sample) in block.iter_mut().enumerate() {
            *sample *= from + (to - from) * index as f32 / BLOCK_SAMPLES as f32;
        }
        self.limiter.limit(block);
    }

    /// Returns the present gain.
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    fn follow(&mut self, power: f32) {
        self.heard = (self.heard + 1).min(MEMORY_BLOCKS);
        self.speech_power += (power - self.speech_power) / self.heard as f32;
        let level_db = 10.0 * self.speech_power.log10();
        let wanted = (SPEECH_LEVEL_DBOV - level_db).clamp(*GAIN_DB.start(), *GAIN_DB.end());
        self.gain_db += (wanted - self.gain_db).clamp(-FALL_DB, RISE_DB);
    }
}

impl Default for GainControl {
    fn default() -> Self {
        Self::new()
    }
}

fn linear(gain_db: f32) -> f32 {
    10f32.powf(gain_db / 20.0)
}

/// The level of speech, without pauses, that is aimed at: the nominal one of speech codecs, which
/// leaves room for its peaks. Source: ITU-T P.56, and -26 dBov in ITU-T G.191.
pub const SPEECH_LEVEL_DBOV: f32 = -26.0;

/// The bounds of the gain, in dB. Chosen: from a shout to a whisper at arm's length; more would
/// raise a quiet room into hearing.
pub const GAIN_DB: RangeInclusive<f32> = -20.0..=24.0;

/// How much the gain may rise and fall in a block of speech, in dB: 6 and 12 dB a second.
const RISE_DB: f32 = 0.06;
const FALL_DB: f32 = 0.12;

/// Blocks of speech that the level is a mean of: 3 s, a sentence.
const MEMORY_BLOCKS: u32 = 300;

/// A block is speech from this likelihood on. Chosen: what RNNoise gives within words.
const VOICE_MIN: f32 = 0.7;

/// A quieter block is none, whatever its likelihood: -60 dBFS.
const SPEECH_POWER_MIN: f32 = 1e-6;
