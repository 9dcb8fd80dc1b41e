//! Sound that is given up because nobody asked for it in time.

use super::BufferedPacket;
use crate::codec::FRAME_SAMPLES;
use crate::rtp::RtpTimestamp;

/// A stretch of a stream, by its timestamps, whose packets are not played even if they come yet:
/// after a stall some are still on their way through the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    /// The first sample that is played again.
    end: RtpTimestamp,
    samples: u32,
    /// Frames by which the stretch was made longer.
    extensions: u32,
}

impl Passed {
    /// Begins a stretch of so many samples at `start`.
    pub(super) fn new(start: RtpTimestamp, samples: u32) -> Self {
        let samples = samples.min(SAMPLES_MAX);
        Self { end: start.wrapping_add(samples), samples, extensions: 0 }
    }

    /// Makes the stretch a frame longer, as the packet at its end is not here in its time; `None`
    /// if it is not to be expected any more.
    pub(super) fn extended(self) -> Option<Self> {
        let frame = FRAME_SAMPLES as u32;
        (self.extensions < EXTENSIONS_MAX).then(|| Self {
            end: self.end.wrapping_add(frame),
            samples: self.samples + frame,
            extensions: self.extensions + 1,
        })
    }

    /// Returns the timestamp from which on packets are played again.
    pub(super) fn end(&self) -> RtpTimestamp {
        self.end
    }

    /// Tells whether a packet lies within.
    pub(super) fn contains(&self, packet: &BufferedPacket<'_>) -> bool {
        let before_end = self.end.distance_from(packet.timestamp);
        u32::try_from(before_end).is_ok_and(|before_end| {
            before_end >= packet.samples.max(1) && before_end <= self.samples
        })
    }
}

/// A longer stretch is as good as any: more than a minute, and safe to compare by distance.
const SAMPLES_MAX: u32 = 1 << 22;

/// Frames that packets of before may take to come through the kernel: 100 ms.
const EXTENSIONS_MAX: u32 = 5;
