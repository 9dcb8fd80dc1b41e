//! When the next report of a stream's reception is due.
//!
//! Shared by a shard, for each leg, and by members. Holds no clock and draws nothing: `now` and
//! what is drawn are arguments. Source: RFC 3550 section 6.2, whose interval too is of at least 5 s
//! and grows with the session; and RFC 4585 section 3.5, by which news of loss may come early.

use std::time::Duration;

use crate::reception::Unreported;
use crate::red::REPORTED_MIN;
use crate::time::Instant;

/// One direction's pace.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportPace {
    reported_at: Instant,
    due: Instant,
    /// Reports that will still come after `REPORT_INTERVAL`, as one before them told of loss.
    watchful: u8,
    /// Whether a report told of `REPORTED_MIN` packets.
    has_begun: bool,
}

impl ReportPace {
    /// Takes note of a report that is about to be made of what is `unreported`. The next one is due after one
    /// to one and a half `interval`, by what is `drawn` of all numbers alike; or after
    /// `REPORT_INTERVAL` if packets were lost lately.
    pub fn handle_report(
        &mut self,
        now: Instant,
        unreported: Unreported,
        interval: Duration,
        drawn: u16,
    ) {
        self.has_begun |= unreported.expected >= REPORTED_MIN.into();
        let is_lossy = is_lossy(unreported);
        let watchful = self.watchful.saturating_sub(1);
        self.watchful = if is_lossy { WATCHFUL_REPORTS } else { watchful };
        let interval = interval.max(REPORT_INTERVAL);
        let spread = interval / 2 * u32::from(drawn) / (1 << u16::BITS);
        let wait = if self.watchful > 0 { REPORT_INTERVAL } else { interval + spread };
        (self.reported_at, self.due) = (now, now + wait);
    }

    /// Returns when the next report is due, by what was received since the last: sooner if packets
    /// are lost, or if nothing of a stream was reported yet.
    pub fn due(&self, unreported: Unreported) -> Instant {
        let is_news = !self.has_begun && unreported.expected >= REPORTED_MIN.into();
        let is_urgent = is_news || is_lossy(unreported);
        if is_urgent { self.due.min(self.reported_at + REPORT_INTERVAL) } else { self.due }
    }
}

fn is_lossy(Unreported { expected, lost }: Unreported) -> bool {
    expected >= REPORTED_MIN.into() && lost * LOSSY_ONE_IN >= expected
}

/// The least time between two reports. Source: RFC 3550 section 6.2.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The longest interval that a node asks for. Chosen: 10,000 listeners who are sent 17 packets of
/// 60 ms a second, and whose reports go both ways every 12.5 s on average, have 0.94 % of RTCP; and
/// two reports fit into the time after which a leg counts as lost.
pub const REPORT_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// A stream that loses one packet in so many is reported often: 2 %, where copies begin.
const LOSSY_ONE_IN: u64 = 50;

/// Reports that come often after loss was told: until what loss brought has been taken back.
const WATCHFUL_REPORTS: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reception::Reception;
    use crate::rtp::RtpTimestamp;

    const SECOND: Duration = Duration::from_secs(1);
    const INTERVAL: Duration = REPORT_INTERVAL_MAX;
    const START: Instant = Instant::from_millis(100_000);

    /// A stream of which every `lost_one_in`th packet is lost.
    struct Rig {
        reception: Reception,
        pace: ReportPace,
        index: u64,
    }

    impl Rig {
        fn new() -> Self {
            Self { reception: Reception::default(), pace: ReportPace::default(), index: 0 }
        }

        fn receive(&mut self, packets: u64, lost_one_in: u64) {
            for _ in 0..packets {
                self.index += 1;
                if !self.index.is_multiple_of(lost_one_in) {
                    let timestamp = RtpTimestamp(self.index as u32 * 960);
                    self.reception.count(self.index, timestamp, START);
                }
            }
        }

        /// Returns after how long the next is due.
        fn report(&mut self, drawn: u16) -> Duration {
            self.pace.handle_report(START, self.reception.since_report(), INTERVAL, drawn);
            self.reception.report();
            self.due()
        }

        fn due(&self) -> Duration {
            self.pace.due(self.reception.since_report()).saturating_since(START)
        }
    }

    #[test]
    fn clean_stream_is_reported_at_the_interval_with_jitter() {
        let mut rig = Rig::new();
        assert_eq!(rig.due(), Duration::ZERO, "the first report goes at once");
        rig.receive(100, u64::MAX);
        assert_eq!(rig.report(0), INTERVAL);
        rig.receive(200, u64::MAX);
        assert_eq!(rig.report(1 << 15), INTERVAL * 5 / 4);
        let most = rig.report(u16::MAX);
        assert!(most < INTERVAL * 3 / 2 && most > INTERVAL * 149 / 100, "{most:?}");
        let due = rig.due();
        rig.receive(400, 100);
        assert_eq!(rig.due(), due, "one in a hundred is no loss to hurry for");
    }

    #[test]
    fn loss_is_reported_early_and_for_a_while_after() {
        let mut rig = Rig::new();
        rig.receive(100, u64::MAX);
        assert_eq!(rig.report(0), INTERVAL);
        rig.receive(100, 20);
        assert_eq!(rig.due(), SECOND * 5);
        for _ in 0..WATCHFUL_REPORTS {
            assert_eq!(rig.report(50_000), SECOND * 5);
            rig.receive(100, u64::MAX);
        }
        assert_eq!(rig.report(0), INTERVAL);
    }

    #[test]
    fn first_packets_of_a_stream_are_reported_early() {
        let mut rig = Rig::new();
        assert_eq!(rig.report(0), INTERVAL, "nothing was received");
        rig.receive(REPORTED_MIN.into(), u64::MAX);
        assert_eq!(rig.due(), SECOND * 5);
        assert_eq!(rig.report(0), INTERVAL);
        rig.receive(REPORTED_MIN.into(), u64::MAX);
        assert_eq!(rig.due(), INTERVAL);
    }

    #[test]
    fn no_report_comes_sooner_than_five_seconds_whatever_is_asked_for() {
        let mut pace = ReportPace::default();
        for interval in [Duration::ZERO, SECOND, REPORT_INTERVAL] {
            pace.handle_report(START, Unreported::default(), interval, 0);
            let due = pace.due(Unreported::default()).saturating_since(START);
            assert_eq!(due, REPORT_INTERVAL);
        }
    }
}
