//! Takes noise out of a voice, and tells how likely there is one.
//!
//! RNNoise (J.-M. Valin, "A hybrid DSP/deep learning approach to real-time full-band speech
//! enhancement", 2018) by the crate `nnnoiseless`.

use nnnoiseless::DenoiseState;

use super::{BLOCK_SAMPLES, Block};

/// A noise suppressor; delays the voice by a block.
pub struct NoiseSuppressor {
    state: Box<DenoiseState<'static>>,
    scaled: Box<Block>,
}

/// What became of a block.
pub struct Denoised {
    /// The block before, without noise.
    pub block: Block,
    /// How likely there is a voice, 0 to 1.
    pub voice: f32,
}

impl NoiseSuppressor {
    /// Makes a suppressor; its first block is faded in.
    pub fn new() -> Self {
        Self { state: DenoiseState::new(), scaled: Box::new([0.0; BLOCK_SAMPLES]) }
    }

    /// Takes the next block.
    pub fn handle_block(&mut self, block: &Block) -> Denoised {
        for (scaled, sample) in self.scaled.iter_mut().zip(block) {
            *scaled = sample * FULL_SCALE;
        }
        let mut block = [0.0; BLOCK_SAMPLES];
        let voice = self.state.process_frame(&mut block, &self.scaled[..]);
        for sample in &mut block {
            *sample /= FULL_SCALE;
        }
        Denoised { block, voice }
    }
}

impl Default for NoiseSuppressor {
    fn default() -> Self {
        Self::new()
    }
}

/// RNNoise counts in the steps of 16 bits.
const FULL_SCALE: f32 = 32_768.0;

const _: () = assert!(BLOCK_SAMPLES == DenoiseState::FRAME_SIZE);
