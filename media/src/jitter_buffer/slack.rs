//! How early a stream's recent packets were.

use std::time::Duration;

/// The smallest wait of the last one to two windows of packets, in ns; negative if late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slack {
    current: Option<i64>,
    previous: Option<i64>,
    count: u32,
}

impl Slack {
    /// Takes in how long a packet waited.
    pub(super) fn push(&mut self, nanos: i64) {
        self.current = Some(self.current.map_or(nanos, |current| current.min(nanos)));
        self.count += 1;
        if self.count == WINDOW {
            self.previous = self.current.take();
            self.count = 0;
        }
    }

    /// Tells that playout moved earlier by `step`, so that every packet will wait so much less.
    pub(super) fn shorten(&mut self, step: Duration) {
        let step = nanos(step);
        self.current = self.current.map(|value| value.saturating_sub(step));
        self.previous = self.previous.map(|value| value.saturating_sub(step));
    }

    /// Tells that playout moved later by `step`, so that every packet will wait so much more.
    pub(super) fn lengthen(&mut self, step: Duration) {
        let step = nanos(step);
        self.current = self.current.map(|value| value.saturating_add(step));
        self.previous = self.previous.map(|value| value.saturating_add(step));
    }

    /// Returns whether there was a whole window of packets.
    pub(super) fn is_settled(&self) -> bool {
        self.previous.is_some()
    }

    /// Returns the smallest wait; `None` before the first packet.
    pub(super) fn min(&self) -> Option<i64> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(current.min(previous)),
            (one, other) => one.or(other),
        }
    }
}

/// Returns a duration in ns, as far as 64 bits reach: 292 years.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Packets of a window: half a second of 20 ms packets.
const WINDOW: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_wait_is_forgotten_after_two_windows() {
        let mut slack = Slack::default();
        slack.push(3);
        for _ in 0..2 * WINDOW - 2 {
            slack.push(9);
            assert_eq!(slack.min(), Some(3));
        }
        slack.push(9);
        assert_eq!(slack.min(), Some(9));
        slack.shorten(Duration::from_nanos(10));
        assert_eq!(slack.min(), Some(-1));
    }
}
