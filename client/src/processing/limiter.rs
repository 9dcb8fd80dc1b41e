//! Keeps a voice below the ceiling.
//!
//! The gain falls within at most a block, sooner if a peak comes sooner, and rises slowly.

use super::{BLOCK_SAMPLES, Block};

/// A limiter with a gain of its own on top of another's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    gain: f32,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Lets no sample pass the ceiling.
    pub(super) fn apply(&mut self, block: &mut Block) {
        let peak = block.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let (from, needed) = (self.gain, CEILING / peak.max(CEILING));
        let to = needed.min(from * RELEASE_STEP).min(1.0);
        self.gain = to;
        if from == 1.0 && to == 1.0 {
            return;
        }
        let length = ramp_length(block, from, to);
        for (index, sample) in block.iter_mut().enumerate() {
            let place = if index < length { index as f32 / length as f32 } else { 1.0 };
            *sample *= from + (to - from) * place;
        }
    }
}

/// Returns the longest ramp from one gain to another, in samples, that keeps each sample below the
/// ceiling: at sample `i` a ramp of `length` has come down by `(from - to) * i / length`.
fn ramp_length(block: &Block, from: f32, to: f32) -> usize {
    let longest = |(index, sample): (usize, &f32)| {
        let allowed = CEILING / sample.abs().max(CEILING);
        (allowed < from).then(|| (index as f32 * (from - to) / (from - allowed)) as usize)
    };
    block.iter().enumerate().filter_map(longest).fold(BLOCK_SAMPLES, usize::min)
}

/// The highest sample that is sent: -2 dBFS, so that what Opus adds stays below full scale.
pub const CEILING: f32 = 0.794;

/// How much the gain may rise in a block: 0.25 dB, so 25 dB a second.
const RELEASE_STEP: f32 = 1.029;
