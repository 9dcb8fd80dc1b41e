//! Sound cards: a live microphone as `Source`, a live speaker as `Sink`.
//!
//! The device's own thread only moves samples to or from a bounded ring without locks. The media
//! thread takes a frame of 20 ms there for each of its own and resamples it where the device does
//! not run at 48 kHz. The two clocks drift: a ring that runs empty is filled with silence, from a
//! full one a frame is dropped, and both are counted.

mod card;
mod converter;
mod counters;
mod error;
mod microphone;
mod speaker;

pub use card::{DeviceInfo, list};
pub use counters::{DeviceCounters, DeviceFigures};
pub use error::DeviceError;
pub use microphone::DeviceSource;
pub use speaker::DeviceSink;

/// Which way a device's sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Into the program.
    Microphone,
    /// Out of it.
    Speaker,
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Microphone => "microphone",
            Self::Speaker => "speaker",
        })
    }
}

/// The name that stands for the system's choice.
pub const DEFAULT_DEVICE: &str = "default";

/// Frames that wait in a ring before the first is taken: 40 ms, twice what devices hand over at
/// once.
const FRAMES_FIRST: usize = 2;

/// Frames that a ring holds at most: 160 ms. Chosen: more is a delay that nobody wants.
const FRAMES_MAX: usize = 8;
