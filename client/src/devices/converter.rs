//! Frames of a device's rate to frames of 48 kHz, or back, each of 20 ms.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};
use sabha_media::codec::FRAME_SAMPLES;

use crate::sound::SAMPLE_RATE_HZ;

/// Converts one frame at a time; allocates only when made.
pub(super) struct Converter(Option<Fft<f32>>);

impl Converter {
    /// Prepares for `from_hz` to `to_hz`, at both of which a frame is whole samples.
    pub(super) fn new(from_hz: u32, to_hz: u32) -> Self {
        let needed = from_hz != to_hz;
        Self(needed.then(|| {
            Fft::new_custom(
                from_hz as usize,
                to_hz as usize,
                frame_samples(from_hz),
                1,
                1,
                WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            )
            .expect("both rates and the frame are above 0")
        }))
    }

    /// Converts a frame; both slices hold 20 ms at their rate.
    pub(super) fn convert(&mut self, from: &[f32], to: &mut [f32]) {
        let Some(resampler) = &mut self.0 else {
            to.copy_from_slice(from);
            return;
        };
        let length = to.len();
        let input = InterleavedSlice::new(from, 1, from.len()).expect("one channel");
        let mut output = InterleavedSlice::new_mut(to, 1, length).expect("one channel");
        resampler.process_into_buffer(&input, &mut output, None).expect("both slices hold a frame");
    }
}

/// Samples of a frame at a rate.
pub(super) fn frame_samples(rate_hz: u32) -> usize {
    FRAME_SAMPLES * rate_hz as usize / SAMPLE_RATE_HZ as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_keeps_level_and_pitch_at_every_rate() {
        for rate_hz in [16_000, 32_000, 44_100, 48_000, 96_000] {
            let mut converter = Converter::new(rate_hz, SAMPLE_RATE_HZ);
            let mut frame = [0.0; FRAME_SAMPLES];
            for turn in 0..10 {
                let sample = |index| {
                    let at = (turn * frame_samples(rate_hz) + index) as f32 / rate_hz as f32;
                    (at * 1_000.0 * std::f32::consts::TAU).sin()
                };
                let from: Vec<f32> = (0..frame_samples(rate_hz)).map(sample).collect();
                converter.convert(&from, &mut frame);
            }
            let power = frame.iter().map(|sample| sample * sample).sum::<f32>();
            assert!((power / FRAME_SAMPLES as f32 - 0.5).abs() < 0.01, "{rate_hz} Hz");
            let rises = frame.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
            assert!((19..=20).contains(&rises), "{rises} periods in 20 ms at {rate_hz} Hz");
        }
    }
}
