//! Sound as files and figures: what members play, record and are judged by.
//!
//! Reads speech, writes recordings, puts marks into sound and finds them again, and measures delay,
//! gaps, clicks and levels. Works on whole recordings in memory or on disk, never on a packet's
//! way, and knows neither network nor clock. All PCM here is f32 mono at [`SAMPLE_RATE_HZ`] with
//! full scale 1.0; positions and lags are in samples of that rate.

pub mod align;
pub mod built_in;
pub mod click;
pub mod clip;
pub mod drift;
pub mod follow;
pub mod gap;
pub mod level;
pub mod mark;
pub mod mark_detector;
pub mod ogg_opus;
pub mod recorder;
pub mod wav;

mod correlate;
mod resample;

pub use self::{
    align::{AlignError, Alignment, align},
    clip::{Clip, ReadError, read_speech_dir},
    mark::Mark,
    mark_detector::{MarkDetector, MarkHit},
    recorder::{RecordError, WavRecorder},
};

/// Sampling rate of all PCM in this module, in Hz.
pub const SAMPLE_RATE_HZ: u32 = sabha_media::codec::SAMPLE_RATE_HZ;

/// Samples in a millisecond of that PCM.
pub const SAMPLES_PER_MS: usize = SAMPLE_RATE_HZ as usize / 1_000;

/// The longest sound that is read or written: 2 hours, in seconds.
///
/// Chosen because it fits a long conference and keeps one clip under 1.4 GB of memory.
pub const DURATION_S_MAX: u32 = 7_200;
