//! The transform of two blocks, with what it needs kept ready.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::BLOCK_SAMPLES;

/// Samples of a transform: two blocks.
pub(super) const TRANSFORM_SAMPLES: usize = 2 * BLOCK_SAMPLES;

/// Bins of its spectrum.
pub(super) const BINS: usize = BLOCK_SAMPLES + 1;

/// Two blocks of sound.
pub(super) type Blocks = [f32; TRANSFORM_SAMPLES];

/// Their spectrum.
pub(super) type Spectrum = [Complex32; BINS];

/// A figure for each bin.
pub(super) type Bins = [f32; BINS];

/// Both directions; allocates only when made.
pub(super) struct Transform {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    real: Box<Blocks>,
    complex: Box<Spectrum>,
    scratch: Vec<Complex32>,
}

impl Transform {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(TRANSFORM_SAMPLES);
        let inverse = planner.plan_fft_inverse(TRANSFORM_SAMPLES);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            forward,
            inverse,
            real: Box::new([0.0; TRANSFORM_SAMPLES]),
            complex: Box::new([Complex32::ZERO; BINS]),
            scratch: vec![Complex32::ZERO; scratch],
        }
    }

    /// Returns the spectrum of two blocks.
    pub(super) fn forward(&mut self, blocks: &Blocks, spectrum: &mut Spectrum) {
        self.real.copy_from_slice(blocks);
        let length = self.forward.get_scratch_len();
        self.forward
            .process_with_scratch(&mut self.real[..], spectrum, &mut self.scratch[..length])
            .expect("the lengths are those that were planned");
    }

    /// Returns the blocks that have this spectrum.
    pub(super) fn inverse(&mut self, spectrum: &Spectrum, blocks: &mut Blocks) {
        self.complex.copy_from_slice(spectrum);
        // The spectrum of a real signal is real at both ends; rounding may leave a trace.
        (self.complex[0].im, self.complex[BINS - 1].im) = (0.0, 0.0);
        let length = self.inverse.get_scratch_len();
        self.inverse
            .process_with_scratch(&mut self.complex[..], blocks, &mut self.scratch[..length])
            .expect("the lengths are those that were planned");
        for sample in blocks {
            *sample /= TRANSFORM_SAMPLES as f32;
        }
    }
}
