//! The system's clock beside the driver's: times that mean the same in every process.

use sabha_media::time::Instant;
use sabha_transport::Clock;

/// Maps instants of this process onto the system's clock and back.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// The system's clock at the driver's origin, in ns since the Unix epoch.
    origin: i64,
}

impl Wall {
    /// Reads both clocks.
    pub fn new(clock: Clock) -> Self {
        let reading = clock.reading();
        let real = i64::try_from(reading.real.as_nanos()).unwrap_or(i64::MAX);
        Self { origin: real - reading.now.as_nanos().cast_signed() }
    }

    /// Returns ns since the Unix epoch.
    pub fn nanos(&self, at: Instant) -> i64 {
        self.origin + at.as_nanos().cast_signed()
    }

    /// Returns the instant; the origin for what was before it.
    pub fn instant(&self, nanos: i64) -> Instant {
        Instant::from_nanos(u64::try_from(nanos - self.origin).unwrap_or(0))
    }

    /// Returns which frame of the day's time `at` lies in: the same for all processes.
    pub fn frame(&self, at: Instant) -> u64 {
        u64::try_from(self.nanos(at) / FRAME_NANOS).unwrap_or(0)
    }

    /// Returns when a frame of the day's time begins.
    pub fn begins(&self, frame: u64) -> Instant {
        self.instant(frame.cast_signed() * FRAME_NANOS)
    }
}

/// One frame.
const FRAME_NANOS: i64 = 20_000_000;
