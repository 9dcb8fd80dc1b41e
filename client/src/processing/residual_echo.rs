//! Attenuates what subtraction leaves of the echo: it is never subtracted to the last bit.
//!
//! A gain for each bin, by how much of the bin can be echo: a Wiener filter between overlapping
//! windows. Bins in which the near voice is louder pass.

use realfft::num_complex::Complex32;

use super::transform::{BINS, Bins, Blocks, Spectrum, TRANSFORM_SAMPLES, Transform};
use super::{BLOCK_SAMPLES, Block};

/// The attenuation of what is left.
pub(super) struct ResidualEcho {
    transform: Transform,
    window: Box<Blocks>,
    error: Blocks,
    echo: Blocks,
    overlap: Block,
    error_power: Bins,
    echo_power: Bins,
    gain: Bins,
    blocks: Blocks,
    spectrum: Spectrum,
    echo_spectrum: Spectrum,
}

impl ResidualEcho {
    pub(super) fn new() -> Self {
        let window = |index| {
            let phase = (index as f32 + 0.5) / TRANSFORM_SAMPLES as f32;
            (phase * std::f32::consts::PI).sin()
        };
        Self {
            transform: Transform::new(),
            window: Box::new(std::array::from_fn(window)),
            error: [0.0; TRANSFORM_SAMPLES],
            echo: [0.0; TRANSFORM_SAMPLES],
            overlap: [0.0; BLOCK_SAMPLES],
            error_power: [0.0; BINS],
            echo_power: [0.0; BINS],
            gain: [1.0; BINS],
            blocks: [0.0; TRANSFORM_SAMPLES],
            spectrum: [Complex32::ZERO; BINS],
            echo_spectrum: [Complex32::ZERO; BINS],
        }
    }

    /// Returns the block before `error` without what is left of the echo.
    ///
    /// `echo` is what was subtracted, `unknown_power` the power of what could not be.
    pub(super) fn handle_block(
        &mut self,
        error: &Block,
        echo: &Block,
        unknown_power: &Bins,
    ) -> Block {
        shift(&mut self.error, error);
        shift(&mut self.echo, echo);
        window(&self.echo, &self.window, &mut self.blocks);
        self.transform.forward(&self.blocks, &mut self.echo_spectrum);
        window(&self.error, &self.window, &mut self.blocks);
        self.transform.forward(&self.blocks, &mut self.spectrum);
        self.choose_gain(unknown_power);
        for (bin, gain) in self.spectrum.iter_mut().zip(&self.gain) {
            *bin *= gain;
        }
        self.transform.inverse(&self.spectrum, &mut self.blocks);
        self.overlap_add()
    }

    fn choose_gain(&mut self, unknown_power: &Bins) {
        for (bin, unknown) in unknown_power.iter().enumerate() {
            let power = self.spectrum[bin].norm_sqr();
            self.error_power[bin] += (power - self.error_power[bin]) * ERROR_SHARE;
            let echo = self.echo_spectrum[bin].norm_sqr();
            self.echo_power[bin] = echo.max(self.echo_power[bin] * ECHO_DECAY);
            let left = LEAK * self.echo_power[bin] + unknown;
            let all = self.error_power[bin].max(power) + POWER_FLOOR;
            let wanted = (1.0 - OVERESTIMATE * left / all).max(GAIN_MIN);
            let rise = if wanted > self.gain[bin] { GAIN_RISE } else { 1.0 };
            self.gain[bin] += (wanted - self.gain[bin]) * rise;
        }
    }

    fn overlap_add(&mut self) -> Block {
        let mut sum = [0.0; BLOCK_SAMPLES];
        let (first, second) = self.blocks.split_at(BLOCK_SAMPLES);
        let (rising, falling) = self.window.split_at(BLOCK_SAMPLES);
        for (index, sum) in sum.iter_mut().enumerate() {
            *sum = self.overlap[index] + first[index] * rising[index];
            self.overlap[index] = second[index] * falling[index];
        }
        sum
    }
}

fn shift(blocks: &mut Blocks, block: &Block) {
    blocks.copy_within(BLOCK_SAMPLES.., 0);
    blocks[BLOCK_SAMPLES..].copy_from_slice(block);
}

fn window(blocks: &Blocks, window: &Blocks, out: &mut Blocks) {
    for ((out, sample), factor) in out.iter_mut().zip(blocks).zip(window) {
        *out = sample * factor;
    }
}

/// Share of each block in the smoothed power of what is left.
const ERROR_SHARE: f32 = 0.5;

/// How much of a block's echo is thought to linger in the next: 1.5 dB less, so 60 dB in 400 ms,
/// as in a furnished room.
const ECHO_DECAY: f32 = 0.7;

/// Share of the echo's power that is thought to be left by subtraction at least: -20 dB. Chosen by
/// measurement.
const LEAK: f32 = 0.01;

/// How much more than it is thought to be is taken away: less leaves tones of what is left.
const OVERESTIMATE: f32 = 3.0;

/// The least gain: -25 dB, as much again as subtraction takes.
const GAIN_MIN: f32 = 0.056;

/// How fast the gain rises: half of the way in a block; it falls at once.
const GAIN_RISE: f32 = 0.5;

/// Added to a power that is divided by.
const POWER_FLOOR: f32 = 1e-12;
