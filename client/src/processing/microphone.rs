//! One live microphone's processing, frame by frame.

use sabha_media::codec::Frame;

use super::far_end::FarEnd;
use super::{BLOCK_SAMPLES, BLOCKS, Block, Denoised, EchoCanceller, GainControl, NoiseSuppressor};

/// What is done to a live microphone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicrophoneSettings {
    /// Take out what the loudspeaker plays; delays the voice by 10 ms.
    pub echo_cancellation: bool,
    /// Take out noise; delays the voice by 10 ms.
    pub noise_suppression: bool,
    /// Bring speech to `SPEECH_LEVEL_DBOV`.
    pub gain_control: bool,
}

impl Default for MicrophoneSettings {
    fn default() -> Self {
        Self { echo_cancellation: true, noise_suppression: true, gain_control: true }
    }
}

/// The stages of one microphone.
pub struct Microphone {
    far_end: FarEnd,
    echo: Option<EchoCanceller>,
    /// Gain control needs it too: it tells speech from noise.
    noise: Option<NoiseSuppressor>,
    suppresses_noise: bool,
    gain: Option<GainControl>,
}

impl Microphone {
    /// Makes the stages that are asked for.
    pub fn new(settings: MicrophoneSettings) -> Self {
        let MicrophoneSettings { echo_cancellation, noise_suppression, gain_control } = settings;
        Self {
            far_end: FarEnd::new(),
            echo: echo_cancellation.then(EchoCanceller::new),
            noise: (noise_suppression || gain_control).then(NoiseSuppressor::new),
            suppresses_noise: noise_suppression,
            gain: gain_control.then(GainControl::new),
        }
    }

    /// Takes a frame that the loudspeaker is given now, before the microphone's of the same time.
    pub fn handle_far_end(&mut self, frame: &Frame) {
        self.far_end.push(frame);
    }

    /// Processes the microphone's next frame.
    pub fn handle_capture(&mut self, frame: &mut Frame) {
        let far = self.far_end.pop();
        let (blocks, _) = frame.as_chunks_mut::<BLOCK_SAMPLES>();
        let (far, _) = far.as_chunks::<BLOCK_SAMPLES>();
        for (block, far) in blocks.iter_mut().zip(far) {
            self.handle_block(block, far);
        }
    }

    /// Passes over frames of the microphone that are never captured.
    pub fn skip(&mut self, frames: u64) {
        self.far_end.skip(frames);
    }

    fn handle_block(&mut self, block: &mut Block, far: &Block) {
        if let Some(echo) = &mut self.echo {
            *block = echo.handle_block(block, far);
        }
        let mut voice = 0.0;
        if let Some(noise) = &mut self.noise {
            let denoised: Denoised = noise.handle_block(block);
            voice = denoised.voice;
            if self.suppresses_noise {
                *block = denoised.block;
            }
        }
        if let Some(gain) = &mut self.gain {
            gain.handle_block(block, voice);
        }
    }
}

/// A frame is whole blocks.
const _: () = assert!(sabha_media::codec::FRAME_SAMPLES == BLOCKS * BLOCK_SAMPLES);
