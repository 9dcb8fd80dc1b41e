//! Learns the way from loudspeaker to microphone, and tells which echo arrives by it.
//!
//! A partitioned frequency-domain Kalman filter (G. Enzner and P. Vary, "Frequency-domain adaptive
//! Kalman filter for acoustic echo control", Signal Processing 86, 2006; F. Kuech et al.,
//! "State-space architecture of the partitioned-block-based acoustic echo controller", ICASSP
//! 2014). It weighs what it does not know of the path against what else the microphone hears, so
//! it learns while one side speaks and holds still while both do, without a detector of that.

use realfft::num_complex::Complex32;

use super::transform::{BINS, Bins, Blocks, Spectrum, TRANSFORM_SAMPLES, Transform};
use super::{BLOCK_SAMPLES, Block};

/// The estimated path.
pub(super) struct EchoPath {
    transform: Transform,
    /// The last two blocks of the loudspeaker.
    far: Blocks,
    /// What the loudspeaker played, a spectrum for each block; a ring.
    history: Vec<FarBlock>,
    newest: usize,
    /// The path's impulse response, a spectrum for each block of it.
    parts: Vec<Part>,
    /// The part that is cut to its length next.
    cut_next: usize,
    /// Blocks since the loudspeaker was last heard.
    silent_blocks: usize,
    /// Power of what the microphone hears besides a known echo.
    near_power: Bins,
    unknown_power: Bins,
    error_mean: f32,
    capture_mean: f32,
    blocks: Blocks,
    spectrum: Spectrum,
}

struct FarBlock {
    spectrum: Spectrum,
    power: Bins,
}

struct Part {
    response: Spectrum,
    /// Mean square error of the response.
    uncertainty: Bins,
}

impl EchoPath {
    pub(super) fn new() -> Self {
        let far = || FarBlock { spectrum: [Complex32::ZERO; BINS], power: [0.0; BINS] };
        let part =
            || Part { response: [Complex32::ZERO; BINS], uncertainty: [UNCERTAINTY_FIRST; BINS] };
        Self {
            transform: Transform::new(),
            far: [0.0; TRANSFORM_SAMPLES],
            history: (0..PARTS).map(|_| far()).collect(),
            newest: 0,
            parts: (0..PARTS).map(|_| part()).collect(),
            cut_next: 0,
            silent_blocks: PARTS,
            near_power: [0.0; BINS],
            unknown_power: [0.0; BINS],
            error_mean: 0.0,
            capture_mean: 0.0,
            blocks: [0.0; TRANSFORM_SAMPLES],
            spectrum: [Complex32::ZERO; BINS],
        }
    }

    /// Takes what the loudspeaker plays and returns the echo that the microphone hears of it and
    /// of what was played before.
    pub(super) fn handle_far_end(&mut self, far: &Block) -> Block {
        self.silent_blocks = if is_heard(far) { 0 } else { self.silent_blocks + 1 };
        self.newest = (self.newest + PARTS - 1) % PARTS;
        self.far.copy_within(BLOCK_SAMPLES.., 0);
        self.far[BLOCK_SAMPLES..].copy_from_slice(far);
        let newest = &mut self.history[self.newest];
        self.transform.forward(&self.far, &mut newest.spectrum);
        for (power, bin) in newest.power.iter_mut().zip(&newest.spectrum) {
            *power = bin.norm_sqr();
        }
        if self.is_silent() {
            self.unknown_power.fill(0.0);
            return [0.0; BLOCK_SAMPLES];
        }
        self.echo()
    }

    /// Learns from what the microphone heard and what is left of it without the echo.
    pub(super) fn handle_error(&mut self, capture: &Block, error: &Block) {
        if self.is_silent() {
            return;
        }
        self.watch_divergence(capture, error);
        self.blocks[..BLOCK_SAMPLES].fill(0.0);
        self.blocks[BLOCK_SAMPLES..].copy_from_slice(error);
        self.transform.forward(&self.blocks, &mut self.spectrum);
        self.weigh();
        self.learn();
        for _ in 0..CUTS {
            self.cut();
        }
    }

    /// Returns the power of the echo that the estimate is expected to miss, by bin.
    pub(super) fn unknown_power(&self) -> &Bins {
        &self.unknown_power
    }

    /// Tells whether nothing that the loudspeaker played can be heard any more.
    fn is_silent(&self) -> bool {
        self.silent_blocks >= PARTS
    }

    fn echo(&mut self) -> Block {
        self.spectrum.fill(Complex32::ZERO);
        for (age, part) in self.parts.iter().enumerate() {
            let far = &self.history[(self.newest + age) % PARTS].spectrum;
            for ((sum, far), response) in self.spectrum.iter_mut().zip(far).zip(&part.response) {
                *sum += far * response;
            }
        }
        self.transform.inverse(&self.spectrum, &mut self.blocks);
        let mut echo = [0.0; BLOCK_SAMPLES];
        echo.copy_from_slice(&self.blocks[BLOCK_SAMPLES..]);
        echo
    }

    /// Estimates how much of the error is echo that is not known, and how much is none.
    fn weigh(&mut self) {
        self.unknown_power.fill(0.0);
        for (age, part) in self.parts.iter().enumerate() {
            let far = &self.history[(self.newest + age) % PARTS].power;
            for ((sum, far), uncertainty) in
                self.unknown_power.iter_mut().zip(far).zip(&part.uncertainty)
            {
                *sum += HALF * uncertainty * far;
            }
        }
        for (power, error) in self.near_power.iter_mut().zip(&self.spectrum) {
            *power += (error.norm_sqr() - *power) * NEAR_POWER_SHARE;
        }
    }

    fn learn(&mut self) {
        let mut step = [0.0; BINS];
        for ((step, unknown), near) in
            step.iter_mut().zip(&self.unknown_power).zip(&self.near_power)
        {
            *step = 1.0 / (unknown + near + POWER_FLOOR);
        }
        for (age, part) in self.parts.iter_mut().enumerate() {
            let far = &self.history[(self.newest + age) % PARTS];
            for (bin, step) in step.iter().enumerate() {
                let gain = part.uncertainty[bin] * step;
                part.response[bin] += far.spectrum[bin].conj() * self.spectrum[bin] * gain;
                let kept = (1.0 - HALF * gain * far.power[bin]).max(0.0);
                part.uncertainty[bin] = PERSISTENCE * kept * part.uncertainty[bin]
                    + (1.0 - PERSISTENCE) * part.response[bin].norm_sqr()
                    + UNCERTAINTY_FLOOR;
            }
        }
    }

    /// Cuts one part of the response to a block, which keeps its end from wrapping to its front.
    fn cut(&mut self) {
        let response = &mut self.parts[self.cut_next].response;
        self.transform.inverse(response, &mut self.blocks);
        self.blocks[BLOCK_SAMPLES..].fill(0.0);
        self.transform.forward(&self.blocks, response);
        self.cut_next = (self.cut_next + 1) % PARTS;
    }

    /// Learns anew when subtracting makes it worse, as after the loudspeaker was moved.
    fn watch_divergence(&mut self, capture: &Block, error: &Block) {
        self.capture_mean += (energy(capture) - self.capture_mean) * DIVERGENCE_SHARE;
        self.error_mean += (energy(error) - self.error_mean) * DIVERGENCE_SHARE;
        if self.error_mean <= self.capture_mean * DIVERGENCE_RATIO {
            return;
        }
        for part in &mut self.parts {
            part.response.fill(Complex32::ZERO);
            part.uncertainty.fill(UNCERTAINTY_FIRST);
        }
        self.error_mean = self.capture_mean;
    }
}

fn is_heard(far: &Block) -> bool {
    energy(far) > FAR_SILENT_POWER * BLOCK_SAMPLES as f32
}

fn energy(block: &Block) -> f32 {
    block.iter().map(|sample| sample * sample).sum()
}

/// Blocks of the impulse response: 300 ms, which holds the buffers of a sound card both ways and a
/// room's reverberation.
pub(super) const PARTS: usize = 30;

/// Parts cut to their length for each block: each part five times in 250 ms. Chosen: cutting all
/// of them costs five times the transforms and cancels no better.
const CUTS: usize = 6;

/// Mean square of a bin of the response before anything is known. Chosen by measurement, on a path
/// of -10 dB: with 0.1 the first seconds are noise, with 0.001 learning takes longer.
const UNCERTAINTY_FIRST: f32 = 0.005;

/// What is never known better.
const UNCERTAINTY_FLOOR: f32 = 1e-12;

/// How much of the squared response is still as it was after a block: forgotten within 25 s of
/// sound. Chosen by measurement: 0.9998 squared; slower cancels less, faster hurts double talk.
const PERSISTENCE: f32 = 0.999_6;

/// Share of each block in the smoothed power of what is no echo. Chosen by measurement.
const NEAR_POWER_SHARE: f32 = 0.5;

/// Share of a transform that is a block: half of it is history.
const HALF: f32 = 0.5;

/// Added to a power that is divided by.
const POWER_FLOOR: f32 = 1e-8;

/// The loudspeaker is silent below this mean square: -75 dBFS, less than makes an echo.
const FAR_SILENT_POWER: f32 = 3e-8;

/// Share of each block in the means by which divergence is noticed: half of a fifth of a second.
const DIVERGENCE_SHARE: f32 = 0.05;

/// The estimate is given up when what is left has so much more energy than what was heard.
const DIVERGENCE_RATIO: f32 = 1.5;
