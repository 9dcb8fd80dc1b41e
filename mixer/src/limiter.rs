//! Keeps every mix below the ceiling with one gain.
//!
//! The gain is the same for the shared mix and for all personal ones, so a listener who changes
//! from one to the other hears no step. It falls within at most 5 ms, sooner if a peak comes
//! sooner, and rises slowly; a steady signal meets a steady gain and is not distorted.

use sabha_media::codec::Frame;

/// One conference's limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limiter {
    gain: f32,
}

/// A gain for each sample of one frame: a linear ramp, then a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GainRamp {
    from: f32,
    to: f32,
    /// Samples over which the gain changes; 0 is a step.
    length: usize,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Chooses the gain for this tick from all the mixes that it will be applied to.
    pub(crate) fn ramp(&mut self, mixes: &[Frame]) -> GainRamp {
        let peak = mixes.iter().flatten().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let needed = if peak > CEILING { CEILING / peak } else { 1.0 };
        let from = self.gain;
        let to = needed.min(from * RELEASE_STEP);
        self.gain = to;
        let length = if to < from { attack_length(mixes, from, to) } else { RAMP_SAMPLES };
        GainRamp { from, to, length }
    }
}

impl GainRamp {
    /// Applies the gain to one mix.
    pub(crate) fn apply(&self, frame: &mut Frame) {
        if self.from == 1.0 && self.to == 1.0 {
            return;
        }
        for (index, sample) in frame.iter_mut().enumerate() {
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

/// Returns the longest ramp down, in samples, that keeps each sample below the ceiling.
///
/// At sample `i` a ramp of `length` has come down by `(from - to) * i / length`; solved for length.
fn attack_length(mixes: &[Frame], from: f32, to: f32) -> usize {
    let mut length = RAMP_SAMPLES;
    for frame in mixes {
        for (index, sample) in frame.iter().enumerate().take(RAMP_SAMPLES) {
            let allowed = CEILING / sample.abs().max(CEILING);
            if allowed < from {
                let longest = index as f32 * (from - to) / (from - allowed);
                length = length.min(longest as usize);
            }
        }
    }
    length
}

/// The highest sample of any mix: -2 dBFS, so that what Opus adds stays under -1 dBFS.
pub const CEILING: f32 = 0.794;

/// Samples over which the gain changes: 5 ms.
const RAMP_SAMPLES: usize = 240;

/// How much the gain may rise in one tick: 0.5 dB, so 25 dB a second.
const RELEASE_STEP: f32 = 1.059_25;

#[cfg(test)]
mod tests {
    use super::*;
    use sabha_media::codec::FRAME_SAMPLES;

    fn tone(amplitude: f32, start: usize) -> Frame {
        std::array::from_fn(|i| amplitude * (((start + i) as f32) * 0.1).sin())
    }

    fn peak(frame: &Frame) -> f32 {
        frame.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
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
