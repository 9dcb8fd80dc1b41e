//! Levels of decoded frames, in dB below overload: the smaller, the louder.

use sabha_media::codec::Frame;
use sabha_media::extension::LevelDbov;

/// Returns a frame's level; 127 for silence.
pub(crate) fn frame_db(frame: &Frame) -> f32 {
    let energy: f32 = frame.iter().map(|sample| sample * sample).sum();
    let mean = energy / frame.len() as f32;
    (-10.0 * mean.max(1e-13).log10()).clamp(0.0, 127.0)
}

/// Rounds to the header's whole decibels.
pub(crate) fn to_dbov(level_db: f32) -> LevelDbov {
    LevelDbov(level_db.clamp(0.0, 127.0).round() as u8)
}
