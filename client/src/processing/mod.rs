//! What is done to a live microphone's sound before it is encoded.
//!
//! Echo cancellation, noise suppression and gain control, in this order, each switchable. Pure:
//! frames in, frames out, told what the loudspeaker plays; no clock, no device. Sits between
//! `Source` and encoder, for live microphones only: recorded sound goes through unchanged.

mod echo_canceller;
mod echo_path;
mod far_end;
mod gain_control;
mod microphone;
mod noise_suppressor;

mod residual_echo;
mod transform;

pub use echo_canceller::{ECHO_DELAY_MAX, EchoCanceller};
pub use gain_control::{GAIN_DB, GainControl, SPEECH_LEVEL_DBOV};
pub use microphone::{Microphone, MicrophoneSettings};
pub use noise_suppressor::{Denoised, NoiseSuppressor};

/// Samples that are processed at once: 10 ms, the block of the noise suppressor.
pub const BLOCK_SAMPLES: usize = 480;

/// One block.
pub type Block = [f32; BLOCK_SAMPLES];

/// Blocks in a frame.
const BLOCKS: usize = sabha_media::codec::FRAME_SAMPLES / BLOCK_SAMPLES;
