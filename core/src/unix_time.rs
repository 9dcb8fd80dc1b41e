//! Wall-clock time to the second, and where it comes from.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{pki_types, time_provider::TimeProvider};
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01 00:00 UTC; never after the year 9999.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "u64", into = "u64")]
pub struct UnixTime(u64);

impl UnixTime {
    /// Returns the time `secs` after 1970, clamped to the year 9999.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(if secs < SECS_MAX { secs } else { SECS_MAX })
    }

    /// Returns the seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns the time `by` later, clamped.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self::from_secs(self.0.saturating_add(by.as_secs()))
    }

    /// Returns the time `by` earlier, clamped to 1970.
    #[must_use]
    pub const fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_secs()))
    }

    /// Returns how long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Returns the day as a number: 20260131.
    #[must_use]
    pub fn date(self) -> u32 {
        let (year, month, day) = civil(self.0 / SECS_PER_DAY);
        u32::try_from(year * 10_000 + month * 100 + day).expect("clamped to the year 9999")
    }

    /// Returns the time for SQLite, whose integers are signed.
    pub(crate) fn as_i64(self) -> i64 {
        i64::try_from(self.0).expect("clamped to the year 9999")
    }

    pub(crate) fn pki(self) -> pki_types::UnixTime {
        pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.0))
    }
}

impl From<u64> for UnixTime {
    fn from(secs: u64) -> Self {
        Self::from_secs(secs)
    }
}

impl From<UnixTime> for u64 {
    fn from(time: UnixTime) -> Self {
        time.0
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / SECS_PER_DAY);
        let of_day = self.0 % SECS_PER_DAY;
        let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

/// Where the present comes from: the system, or a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixTime + Send + Sync>);

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            UnixTime::from_secs(elapsed.map_or(0, |elapsed| elapsed.as_secs()))
        })
    }

    /// Returns a clock that stands still.
    #[must_use]
    pub fn fixed(now: UnixTime) -> Self {
        Self::new(move || now)
    }

    /// Returns a clock that reads `now`.
    #[must_use]
    pub fn new(now: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the present.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<pki_types::UnixTime> {
        Some(self.now().pki())
    }
}

/// Returns year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Seconds in a day; UTC as POSIX counts it has no leap seconds.
const SECS_PER_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59 UTC, the last time an X.509 certificate can name (RFC 5280 section 4.1.2.5).
const SECS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_are_shown() {
        let shown = |secs| UnixTime::from_secs(secs).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(shown(1_767_225_599), "2025-12-31 23:59 UTC");
        assert_eq!(shown(u64::MAX), "9999-12-31 23:59 UTC");
        assert_eq!(UnixTime::from_secs(951_782_400).date(), 20_000_229);
    }
}
