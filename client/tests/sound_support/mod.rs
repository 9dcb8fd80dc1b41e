//! What the tests of `sabha_client::sound` share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use sabha_client::sound::{Clip, built_in::built_in_clips};
use sabha_media::codec::{
    Decoder, Encoder, EncoderSettings, FRAME_SAMPLES, PAYLOAD_SIZE_MAX,
    opus::{OpusDecoder, OpusEncoder},
};

/// A generation of Opus delays sound by the encoder's look-ahead: 6.5 ms, in samples.
pub const GENERATION_DELAY: usize = 312;

/// Encodes and decodes as many times over as asked, 20 ms at 32 kbit/s.
pub fn opus_generations(pcm: &[f32], generations: usize) -> Vec<f32> {
    let mut sound = pcm.to_vec();
    for _ in 0..generations {
        let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 5 });
        let mut decoder = OpusDecoder::new();
        let (mut payload, mut out) = ([0; PAYLOAD_SIZE_MAX], [0.0; FRAME_SAMPLES]);
        let mut heard = Vec::with_capacity(sound.len());
        for frame in sound.chunks_exact(FRAME_SAMPLES) {
            let frame = frame.try_into().unwrap();
            let length = encoder.encode(frame, &mut payload).unwrap();
            decoder.decode(Some(&payload[..length]), &mut out).unwrap();
            heard.extend_from_slice(&out);
        }
        sound = heard;
    }
    sound
}

/// All built-in clips in a row: about 15 s of speech of four voices.
pub fn speech() -> Vec<f32> {
    built_in_clips().into_iter().flat_map(|clip: Clip| clip.samples).collect()
}

/// White noise of the given RMS, the same for the same seed.
pub fn noise(samples: usize, rms: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..samples).map(|_| uniform() * rms * 3f32.sqrt()).collect()
}

/// A path in the test's own folder.
pub fn scratch(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sound");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}
