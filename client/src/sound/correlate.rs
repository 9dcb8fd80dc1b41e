//! Sliding dot products of templates with a long signal, by FFT in overlapping blocks.

use std::sync::Arc;

use rustfft::{Fft, FftPlanner, num_complex::Complex32};

/// Correlates a fixed set of templates with any signal.
pub(super) struct Correlator {
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// Spectra of two templates each: conj(A) + i conj(B), so one inverse transform gives both.
    pairs: Vec<Vec<Complex32>>,
    templates: usize,
    template_samples: usize,
    block_samples: usize,
}

impl Correlator {
    /// Prepares templates of one length, at least one of at least one sample; `block_lags` is how
    /// many lags a block should give, rounded up to make the block a power of two.
    pub(super) fn new(templates: &[&[f32]], block_lags: usize) -> Self {
        let template_samples = templates[0].len();
        let block_samples = (template_samples + block_lags).next_power_of_two();
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(block_samples);
        let scale = 1.0 / block_samples as f32;
        let spectrum = |template: &[f32]| {
            assert_eq!(template.len(), template_samples, "templates have one length");
            let mut buffer = vec![Complex32::default(); block_samples];
            for (bin, &sample) in buffer.iter_mut().zip(template) {
                bin.re = sample * scale;
            }
            forward.process(&mut buffer);
            buffer
        };
        let pairs = templates.chunks(2).map(|pair| {
            let mut both = spectrum(pair[0]);
            both.iter_mut().for_each(|bin| *bin = bin.conj());
            if let Some(second) = pair.get(1) {
                for (bin, other) in both.iter_mut().zip(spectrum(second)) {
                    *bin += Complex32::i() * other.conj();
                }
            }
            both
        });
        Self {
            pairs: pairs.collect(),
            forward,
            inverse: planner.plan_fft_inverse(block_samples),
            templates: templates.len(),
            template_samples,
            block_samples,
        }
    }

    /// Calls `each(template, first_lag, products)` for every template and block of lags: product
    /// k is the sum of `template[i] * signal[first_lag + k + i]`. Only lags at which the template
    /// lies within the signal are given.
    pub(super) fn correlate(&self, signal: &[f32], mut each: impl FnMut(usize, usize, &[f32])) {
        let Some(last_lag) = signal.len().checked_sub(self.template_samples) else { return };
        let block_lags = self.block_samples - self.template_samples + 1;
        let mut spectrum = vec![Complex32::default(); self.block_samples];
        let mut buffer = spectrum.clone();
        let mut products = vec![0.0; block_lags];
        for first in (0..=last_lag).step_by(block_lags) {
            let end = signal.len().min(first + self.block_samples);
            spectrum.fill(Complex32::default());
            for (bin, &sample) in spectrum.iter_mut().zip(&signal[first..end]) {
                bin.re = sample;
            }
            self.forward.process(&mut spectrum);
            let lags = block_lags.min(last_lag + 1 - first);
            for template in 0..self.templates {
                if template % 2 == 0 {
                    let pair = &self.pairs[template / 2];
                    for ((bin, signal), pair) in buffer.iter_mut().zip(&spectrum).zip(pair) {
                        *bin = signal * pair;
                    }
                    self.inverse.process(&mut buffer);
                }
                for (product, bin) in products.iter_mut().zip(&buffer) {
                    *product = if template % 2 == 0 { bin.re } else { bin.im };
                }
                each(template, first, &products[..lags]);
            }
        }
    }
}

/// Running sums of squares, to give the energy of any stretch at once.
pub(super) struct Energy(Vec<f64>);

impl Energy {
    pub(super) fn new(signal: &[f32]) -> Self {
        let mut sum = 0.0;
        let squares = signal.iter().map(|&sample| {
            sum += f64::from(sample) * f64::from(sample);
            sum
        });
        Self(std::iter::once(0.0).chain(squares).collect())
    }

    /// Energy of `samples` samples from `start` on.
    pub(super) fn of(&self, start: usize, samples: usize) -> f64 {
        (self.0[start + samples] - self.0[start]).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_equal_those_of_the_definition_across_blocks() {
        let wave = |i: usize, k: f32| (i as f32 * k).sin() + 0.3 * (i as f32 * 1.7 * k).cos();
        let signal: Vec<f32> = (0..1_000).map(|i| wave(i, 0.37)).collect();
        let templates: Vec<Vec<f32>> =
            [0.2, 0.5, 0.9].iter().map(|&k| (0..50).map(|i| wave(i, k)).collect()).collect();
        let views: Vec<&[f32]> = templates.iter().map(Vec::as_slice).collect();
        let mut lags_seen = [0; 3];
        Correlator::new(&views, 100).correlate(&signal, |template, first, products| {
            assert_eq!(first, lags_seen[template]);
            lags_seen[template] += products.len();
            for (k, product) in products.iter().enumerate() {
                let pairs = templates[template].iter().zip(&signal[first + k..]);
                let expected: f32 = pairs.map(|(a, b)| a * b).sum();
                assert!((product - expected).abs() < 1e-3, "{product} is not {expected}");
            }
        });
        assert_eq!(lags_seen, [951; 3]);
    }

    #[test]
    fn signal_shorter_than_the_template_has_no_lags() {
        Correlator::new(&[&[1.0; 8]], 8).correlate(&[1.0; 7], |_, _, _| panic!("no lag fits"));
    }
}
