//! Keeps sound below the ceiling with one gain: a node's mixes, a member's, a microphone.
//!
//! It falls within at most 5 ms, sooner if a peak comes sooner, and rises slowly; a steady signal
//! meets a steady gain and is not distorted.

use crate::codec::FRAME_SAMPLES;

/// A gain that follows the loudest of what it is applied to.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
}

/// A gain for each sample of one block: a linear ramp, then a constant.
#[derive(Clone, Copy, Debug)]
pub struct GainRamp {
    from: f32,
    to: f32,
    /// Samples over which the gain changes; 0 is a step.
    length: usize,
}

impl Limiter {
    /// Begins without any gain.
    pub fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Lets no sample of a block pass the ceiling.
    pub fn limit(&mut self, block: &mut [f32]) {
        self.ramp(&[&*block]).apply(block);
    }

    /// Chooses one gain for blocks of one length that are heard at the same time, by different
    /// listeners: who changes from one to another hears no step.
    pub fn ramp<B: AsRef<[f32]>>(&mut self, blocks: &[B]) -> GainRamp {
        let samples = blocks.first().map_or(0, |block| block.as_ref().len());
        let all = blocks.iter().flat_map(AsRef::as_ref);
        let peak = all.fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let needed = if peak > CEILING { CEILING / peak } else { 1.0 };
        let from = self.gain;
        let to = needed.min(from * RELEASE_STEP.powf(samples as f32 / FRAME_SAMPLES as f32));
        self.gain = to;
        let longest = RAMP_SAMPLES.min(samples);
        let length = if to < from { attack_length(blocks, from, to, longest) } else { longest };
        GainRamp { from, to, length }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl GainRamp {
    /// Applies the gain to one block.
    pub fn apply(&self, block: &mut [f32]) {
        if self.from == 1.0 && self.to == 1.0 {
            return;
        }
        for (index, sample) in block.iter_mut().enumerate() {
            *sample *= self.at(index);
        }
    }

    fn at(&self, index: usize) -> f32 {
        if index >= self.length {
            return self.to;
        }
        self.from + (self.to - self.from) * index as f32 / self.length as f32
    }
}

/// Returns the longest ramp down, up to `longest` samples, that keeps each sample below the ceiling.
///
/// At sample `i` a ramp of `length` has come down by `(from - to) * i / length`; solved for length.
fn attack_length<B: AsRef<[f32]>>(blocks: &[B], from: f32, to: f32, longest: usize) -> usize {
    let mut length = longest;
    for block in blocks {
        for (index, sample) in block.as_ref().iter().enumerate().take(longest) {
            let allowed = CEILING / sample.abs().max(CEILING);
            if allowed < from {
                let longest = index as f32 * (from - to) / (from - allowed);
                length = length.min(longest as usize);
            }
        }
    }
    length
}

/// The highest sample that leaves: -2 dBFS, so that what Opus adds stays under -1 dBFS.
pub const CEILING: f32 = 0.794;

/// Samples over which the gain changes: 5 ms.
const RAMP_SAMPLES: usize = 240;

/// How much the gain may rise in a frame of 20 ms: 0.5 dB, so 25 dB a second.
const RELEASE_STEP: f32 = 1.059_25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Frame;

    fn tone(amplitude: f32, start: usize) -> Frame {
        std::array::from_fn(|i| amplitude * (((start + i) as f32) * 0.1).sin())
    }

    fn peak(block: &[f32]) -> f32 {
        block.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
    }

    #[test]
    fn no_sample_ever_passes_the_ceiling() {
        for (start, amplitude) in [(0, 8.0), (16, 3.0), (8, 1.0), (400, 20.0)] {
            let mut limiter = Limiter::new();
            for tick in 0..10 {
                let level = if tick % 3 == 0 { amplitude } else { 0.1 };
                let mut mixes = [tone(level, start + tick * FRAME_SAMPLES)];
                limiter.ramp(&mixes).apply(&mut mixes[0]);
                assert!(peak(&mixes[0]) <= CEILING * 1.000_01, "{}", peak(&mixes[0]));
            }
        }
    }

    #[test]
    fn blocks_of_any_length_are_limited_and_released_alike() {
        for samples in [240, 480, 960] {
            let (mut limiter, mut gains) = (Limiter::new(), Vec::new());
            for start in (0..28_800).step_by(samples) {
                let mut block: Vec<f32> =
                    tone(if start < 9_600 { 3.0 } else { 0.5 }, start)[..samples].into();
                limiter.limit(&mut block);
                assert!(peak(&block) <= CEILING * 1.000_01, "{samples}: {}", peak(&block));
                gains.push(limiter.gain);
            }
            let after = |at: usize| gains[at / samples - 1];
            assert!((after(9_600) - CEILING / 3.0).abs() < 0.001, "{samples}: {}", after(9_600));
            let risen = after(19_200) / after(9_600);
            assert!((risen - RELEASE_STEP.powi(10)).abs() < 0.001, "{samples}: {risen}");
        }
    }

    #[test]
    fn quiet_mixes_pass_unchanged() {
        let mut limiter = Limiter::new();
        let original = tone(0.5, 0);
        let mut mixes = [original];
        limiter.ramp(&mixes).apply(&mut mixes[0]);
        assert_eq!(mixes[0], original);
    }

    #[test]
    fn steady_signal_meets_a_steady_gain() {
        let mut limiter = Limiter::new();
        for tick in 0..200 {
            let mixes = [tone(4.0, tick * FRAME_SAMPLES)];
            let ramp = limiter.ramp(&mixes);
            if tick > 2 {
                assert!((ramp.from - ramp.to).abs() < 1e-3);
            }
        }
    }
}
