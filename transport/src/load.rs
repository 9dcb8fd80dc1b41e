//! How busy a driver's thread is: what it tells its endpoints a few times a second.
//!
//! Pure: told when a wait began and ended. Whoever wants to do less when there is too much to do
//! reads it in `Endpoint::handle_load`.

use std::time::Duration;

use sabha_media::time::Instant;

/// What a thread did since the load was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The time since then: `LOAD_INTERVAL`, or longer if the thread was late.
    pub interval: Duration,
    /// How much of it the thread was not waiting for something to do.
    ///
    /// Wall time: what the kernel gave to others while this thread had work counts, and so does
    /// the time by which a wait ended too late.
    pub busy: Duration,
    /// The latest call of `handle_timeout`.
    pub late_max: Duration,
    /// Datagrams handed to endpoints.
    pub datagrams_in: u64,
    /// Datagrams that the kernel took.
    pub datagrams_out: u64,
}

impl Load {
    /// Returns the share of the time that the thread was busy, from 0 to 1.
    pub fn busy_share(&self) -> f64 {
        if self.interval.is_zero() {
            return 0.0;
        }
        (self.busy.as_secs_f64() / self.interval.as_secs_f64()).min(1.0)
    }
}

/// How often a driver tells its endpoints the load: chosen because a dozen ticks give a steady
/// figure, and four a second still let an overload end before anyone's buffer has grown far.
pub const LOAD_INTERVAL: Duration = Duration::from_millis(250);

/// Adds up one thread's load.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    began: Instant,
    /// Since when the thread is busy.
    busy_since: Instant,
    load: Load,
    datagrams_in_before: u64,
    datagrams_out_before: u64,
}

impl LoadMeter {
    /// Begins at `now`, with a thread that has work to do.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            busy_since: now,
            load: Load::default(),
            datagrams_in_before: 0,
            datagrams_out_before: 0,
        }
    }

    /// Counts the time until now as busy, before a wait or a reading; returns what is new of it.
    pub(crate) fn count_busy(&mut self, now: Instant) -> Duration {
        let busy = now.saturating_since(self.busy_since);
        self.load.busy += busy;
        self.busy_since = now;
        busy
    }

    /// Notes that the wait is over. It was to end by `due`: what came later was not idle.
    pub(crate) fn end_wait(&mut self, now: Instant, due: Option<Instant>) {
        let idle_until = due.map_or(now, |due| due.min(now));
        self.busy_since = idle_until.max(self.busy_since);
    }

    /// Notes how late a timeout was called.
    pub(crate) fn record_late(&mut self, late: Duration) {
        self.load.late_max = self.load.late_max.max(late);
    }

    /// Returns when the load is to be told next.
    pub(crate) fn due(&self) -> Instant {
        self.began + LOAD_INTERVAL
    }

    /// Returns the load and begins anew; `count_busy` comes first.
    ///
    /// Takes the counts of datagrams since the thread's start.
    pub(crate) fn take(&mut self, now: Instant, datagrams_in: u64, datagrams_out: u64) -> Load {
        let load = Load {
            interval: now.saturating_since(self.began),
            datagrams_in: datagrams_in.wrapping_sub(self.datagrams_in_before),
            datagrams_out: datagrams_out.wrapping_sub(self.datagrams_out_before),
            ..self.load
        };
        *self = Self {
            began: now,
            busy_since: now,
            load: Load::default(),
            datagrams_in_before: datagrams_in,
            datagrams_out_before: datagrams_out,
        };
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn busy_is_the_time_not_spent_waiting() {
        let mut meter = LoadMeter::new(at(1_000));
        assert_eq!(meter.due(), at(1_250));
        assert_eq!(meter.count_busy(at(1_010)), Duration::from_millis(10));
        meter.end_wait(at(1_110), None);
        meter.count_busy(at(1_150));
        meter.end_wait(at(1_200), Some(at(1_220)));
        meter.count_busy(at(1_250));
        let load = meter.take(at(1_250), 0, 0);
        assert_eq!(load.interval, Duration::from_millis(250));
        assert_eq!(load.busy, Duration::from_millis(10 + 40 + 50));
        assert!((load.busy_share() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn wait_that_ends_too_late_counts_as_busy_from_when_it_was_due() {
        let mut meter = LoadMeter::new(at(0));
        meter.count_busy(at(0));
        meter.end_wait(at(100), Some(at(20)));
        meter.count_busy(at(110));
        meter.end_wait(at(250), Some(at(250)));
        meter.count_busy(at(250));
        assert_eq!(meter.take(at(250), 0, 0).busy, Duration::from_millis(90));
    }

    #[test]
    fn wait_that_was_due_before_it_began_counts_nothing_twice() {
        let mut meter = LoadMeter::new(at(0));
        meter.count_busy(at(100));
        meter.end_wait(at(100), Some(at(40)));
        meter.count_busy(at(200));
        assert_eq!(meter.take(at(200), 0, 0).busy, Duration::from_millis(200));
    }

    #[test]
    fn each_reading_tells_only_what_is_new() {
        let mut meter = LoadMeter::new(at(0));
        meter.record_late(Duration::from_millis(7));
        meter.record_late(Duration::from_millis(3));
        let first = meter.take(at(250), 10, 100);
        assert_eq!((first.datagrams_in, first.datagrams_out), (10, 100));
        assert_eq!(first.late_max, Duration::from_millis(7));
        meter.count_busy(at(250));
        meter.end_wait(at(500), None);
        let second = meter.take(at(500), 15, 130);
        assert_eq!((second.datagrams_in, second.datagrams_out), (5, 30));
        assert_eq!((second.busy, second.late_max), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn share_of_no_time_is_none() {
        assert!(Load::default().busy_share().abs() < 1e-9);
    }
}
