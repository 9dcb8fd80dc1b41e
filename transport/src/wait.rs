//! One wait of a driver's thread: until when, and how much of it without looking at the sockets.

use std::time::Duration;

use sabha_media::time::Instant;

/// What a back end is to wait for, beside sockets and messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    until: Option<Instant>,
    timeout: Option<Duration>,
    pause: Duration,
}

impl Wait {
    /// Makes a wait that ends at `until`, which is `timeout` away, and begins with `pause`.
    pub(crate) fn new(until: Option<Instant>, timeout: Option<Duration>, pause: Duration) -> Self {
        Self { until, timeout, pause: pause.min(timeout.unwrap_or(pause)) }
    }

    /// Returns when there is something to do at the latest, if that is known.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Lets datagrams gather; returns how long is left to wait for sockets and messages.
    ///
    /// Waking costs a thread as much as reading a datagram, and on loopback it costs the sender
    /// even more.
    pub(crate) fn gather(&self) -> Option<Duration> {
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
        self.timeout.map(|timeout| timeout - self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn pause_is_a_part_of_the_wait_and_never_more() {
        assert_eq!(Wait::new(None, Some(5 * MILLI), MILLI).gather(), Some(4 * MILLI));
        assert_eq!(Wait::new(None, Some(MILLI), 3_600_000 * MILLI).gather(), Some(Duration::ZERO));
        assert_eq!(Wait::new(None, None, MILLI).gather(), None);
    }

    #[test]
    fn wait_without_a_pause_is_as_long_as_before() {
        assert_eq!(Wait::new(None, Some(MILLI), Duration::ZERO).gather(), Some(MILLI));
        assert_eq!(Wait::new(None, None, Duration::ZERO).gather(), None);
    }
}
