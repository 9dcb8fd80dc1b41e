//! The monotonic clock, and kernel receive stamps on the same scale.
//!
//! The one place on the media plane that reads time; everything behind it is told.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sabha_media::time::Instant;

/// Tells the time since an origin, by CLOCK_MONOTONIC.
///
/// Instants of two clocks compare only if both have the same origin: take [`Clock::process`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// Returns the clock that all drivers of this process share.
    ///
    /// Its origin is the moment of the first call.
    pub fn process() -> Self {
        static PROCESS: OnceLock<Clock> = OnceLock::new();
        *PROCESS.get_or_init(|| Self { origin: std::time::Instant::now() })
    }

    /// Returns the time since the origin, in nanoseconds.
    pub fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Reads CLOCK_MONOTONIC and CLOCK_REALTIME together, to place kernel stamps.
    ///
    /// The two reads are about 50 ns apart, which is the error of the mapping.
    pub fn reading(&self) -> ClockReading {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ClockReading { now: self.now(), real }
    }
}

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The monotonic time.
    pub now: Instant,
    /// CLOCK_REALTIME at `now`, since the Unix epoch.
    pub real: Duration,
}

impl ClockReading {
    /// Maps a CLOCK_REALTIME stamp (SO_TIMESTAMPNS) onto the monotonic clock.
    ///
    /// Never later than `now`. A stamp from the future, or older than `STAMP_AGE_MAX`, says that
    /// somebody set CLOCK_REALTIME in between, and maps to `now`.
    pub fn received_at(&self, stamp: Duration) -> Instant {
        match self.real.checked_sub(stamp) {
            Some(age) if age <= STAMP_AGE_MAX => self.now - age,
            _ => self.now,
        }
    }
}

/// The oldest stamp that is believed: chosen because no datagram waits 10 s in a socket that a
/// live driver reads, and clocks are rarely stepped by less.
const STAMP_AGE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> ClockReading {
        ClockReading { now: Instant::from_millis(60_000), real: Duration::from_secs(1_000_000) }
    }

    #[test]
    fn stamp_keeps_its_age_on_the_monotonic_clock() {
        let stamp = Duration::from_secs(1_000_000) - Duration::from_millis(3);
        assert_eq!(reading().received_at(stamp), Instant::from_millis(59_997));
    }

    #[test]
    fn stamp_from_the_future_is_clamped_to_now() {
        assert_eq!(reading().received_at(Duration::from_secs(1_000_001)), reading().now);
    }

    #[test]
    fn stamp_from_before_a_clock_step_is_clamped_to_now() {
        assert_eq!(reading().received_at(Duration::from_secs(900_000)), reading().now);
    }

    #[test]
    fn process_clock_has_one_origin_and_never_runs_back() {
        let first = Clock::process().now();
        let other = std::thread::spawn(|| Clock::process().now()).join().unwrap();
        assert!(other >= first);
        assert!(Clock::process().now() >= other);
    }
}
