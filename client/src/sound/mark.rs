//! Marks in sound: short known waveforms that say who spoke and exactly when.

use std::f32::consts::TAU;

use super::{SAMPLE_RATE_HZ, SAMPLES_PER_MS};

/// One of 16 marks, usually one for each talker.
///
/// A mark lasts 40 ms and hops through 16 bands between 500 and 3,500 Hz, gliding upwards through
/// each in 2.5 ms with continuous phase. Mark a takes band `a * k^11 mod 17` in hop k, so each mark
/// visits every band once and two marks meet in few of them: any two correlate by at most 0.28 at
/// any shift, and one with itself by at most 0.22 beyond 1 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(u8);

impl Mark {
    /// Returns mark number `variant`, or `None` from [`MARKS`] on.
    #[must_use]
    pub const fn new(variant: u8) -> Option<Self> {
        if variant < MARKS { Some(Self(variant)) } else { None }
    }

    /// Returns every mark, by number.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..MARKS).map(Self)
    }

    /// Returns the mark's number, 0 to 15.
    #[must_use]
    pub const fn variant(self) -> u8 {
        self.0
    }

    /// Returns the waveform: [`MARK_SAMPLES`] samples, peak [`MARK_PEAK`], faded at both ends.
    #[must_use]
    pub fn samples(self) -> Vec<f32> {
        let mut phase = 0.0;
        (0..MARK_SAMPLES)
            .map(|i| {
                phase = (phase + TAU * self.frequency_hz(i) / SAMPLE_RATE_HZ as f32) % TAU;
                MARK_PEAK * fade(i) * phase.sin()
            })
            .collect()
    }

    /// Adds the mark to `pcm` from sample `at` on; what reaches beyond the end is left off.
    pub fn mix_into(self, pcm: &mut [f32], at: usize) {
        for (sample, mark) in pcm.iter_mut().skip(at).zip(self.samples()) {
            *sample += mark;
        }
    }

    fn frequency_hz(self, i: usize) -> f32 {
        let hop = i / HOP_SAMPLES + 1;
        let power = (0..HOP_EXPONENT).fold(1, |power, _| power * hop % (HOPS + 1));
        let band = (usize::from(self.0) + 1) * power % (HOPS + 1) - 1;
        let glide = (i % HOP_SAMPLES) as f32 / HOP_SAMPLES as f32;
        BAND_LOW_HZ + (band as f32 + glide) * BAND_WIDTH_HZ
    }
}

/// Raised cosine over the first and the last hop's 2 ms.
fn fade(i: usize) -> f32 {
    let edge = i.min(MARK_SAMPLES - 1 - i) as f32 + 0.5;
    let ramp = (edge / FADE_SAMPLES as f32).min(1.0);
    0.5 - 0.5 * (ramp * TAU / 2.0).cos()
}

/// How many marks there are: 16, as many as 17 has multiplicative residues.
pub const MARKS: u8 = 16;

/// A mark's length in samples: 40 ms, two frames; chosen because 3,000 Hz over it leave room for
/// 16 marks that hardly correlate.
pub const MARK_SAMPLES: usize = HOPS * HOP_SAMPLES;

/// A mark's greatest sample; -12 dBFS, above speech at its usual -20 dBFS without clipping on it.
pub const MARK_PEAK: f32 = 0.25;

/// Hops, and bands, of a mark: one less than a prime.
const HOPS: usize = 16;

/// The exponent is odd, so that `k^11` permutes the residues; of the odd ones this measured the
/// lowest correlation between marks (0.27; 1 gives 0.24 but repeats itself by 0.59).
const HOP_EXPONENT: usize = 11;

/// Samples of one hop: 2.5 ms.
const HOP_SAMPLES: usize = 5 * SAMPLES_PER_MS / 2;

/// Samples of the fade at either end: 2 ms.
const FADE_SAMPLES: usize = 2 * SAMPLES_PER_MS;

/// Lower edge of the lowest band, in Hz: above the fundamentals of speech.
pub(super) const BAND_LOW_HZ: f32 = 500.0;

/// Upper edge of the highest band, in Hz: within the band that every speech codec keeps.
pub(super) const BAND_HIGH_HZ: f32 = 3_500.0;

const BAND_WIDTH_HZ: f32 = (BAND_HIGH_HZ - BAND_LOW_HZ) / HOPS as f32;

#[cfg(test)]
mod tests {
    use super::super::correlate::Correlator;
    use super::*;

    /// The greatest normalised correlation of two marks at shifts from `shift_min` samples on.
    fn correlation(a: Mark, b: Mark, shift_min: usize) -> f32 {
        let (a, b) = (a.samples(), b.samples());
        let mut padded = vec![0.0; 3 * MARK_SAMPLES];
        padded[MARK_SAMPLES..2 * MARK_SAMPLES].copy_from_slice(&b);
        let energy: f32 = a.iter().map(|s| s * s).sum();
        let mut greatest = 0f32;
        Correlator::new(&[&a], 2 * MARK_SAMPLES).correlate(&padded, |_, first, products| {
            for (k, product) in products.iter().enumerate() {
                if (first + k).abs_diff(MARK_SAMPLES) >= shift_min {
                    greatest = greatest.max(product.abs() / energy);
                }
            }
        });
        greatest
    }

    #[test]
    fn marks_are_nearly_orthogonal_at_every_shift() {
        for a in Mark::all() {
            for b in Mark::all().filter(|b| *b != a) {
                let value = correlation(a, b, 0);
                assert!(value < 0.28, "marks {} and {}: {value}", a.variant(), b.variant());
            }
            let own = correlation(a, a, SAMPLES_PER_MS);
            assert!(own < 0.22, "mark {}: {own}", a.variant());
        }
    }

    #[test]
    fn mark_has_its_length_and_peak_and_fades_at_both_ends() {
        assert_eq!(Mark::new(MARKS), None);
        for mark in Mark::all() {
            let samples = mark.samples();
            assert_eq!(samples.len(), 40 * SAMPLES_PER_MS);
            let peak = samples.iter().fold(0f32, |peak, s| peak.max(s.abs()));
            assert!((0.24..=MARK_PEAK).contains(&peak));
            assert!(samples[0].abs() < 1e-3 && samples[MARK_SAMPLES - 1].abs() < 1e-3);
        }
    }

    #[test]
    fn mark_beyond_the_end_is_left_off() {
        let mut pcm = vec![0.0; 100];
        Mark(0).mix_into(&mut pcm, 50);
        assert!(pcm[..50].iter().all(|s| *s == 0.0) && pcm[60..].iter().any(|s| *s != 0.0));
        Mark(0).mix_into(&mut pcm, 200);
    }
}
