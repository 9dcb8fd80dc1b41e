//! Counts what of a stream arrived, for receiver reports.
//!
//! Source: RFC 3550 sections 6.4.1, A.3 and A.8. Fed with authenticated, replay-checked packets
//! only, so the probation of appendix A.1 is not needed.

mod loss_map;

pub use loss_map::LossChunks;

use crate::rtp::RtpTimestamp;
use crate::time::Instant;
use loss_map::LossMap;

/// Reception of one stream, since its first packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    first_index: Option<u64>,
    newest_index: u64,
    received: u64,
    transit: Option<u32>,
    jitter_sixteenths: u64,
    expected_prior: u64,
    received_prior: u64,
    losses: LossMap,
}

/// What a report says of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionReport {
    /// Packets expected since the last report.
    pub expected: u64,
    /// Lost since the last report, in 256ths of what was expected.
    pub fraction_lost: u8,
    /// Lost since the start; negative if duplicates outnumber losses.
    pub cumulative_lost: i64,
    /// The newest sequence number, unwrapped.
    pub newest_index: u64,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Which packets were lost since the last report; `None` if none was.
    pub losses: Option<LossChunks>,
}

/// What was received since the last report, of one stream or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreported {
    /// Packets expected.
    pub expected: u64,
    /// Of those, packets that did not arrive.
    pub lost: u64,
}

impl std::ops::Add for Unreported {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { expected: self.expected + other.expected, lost: self.lost + other.lost }
    }
}

impl Reception {
    /// Lets the next packet's time say nothing of jitter: its sender kept it back.
    pub fn forget_transit(&mut self) {
        self.transit = None;
    }

    /// Counts a packet.
    pub fn count(&mut self, index: u64, timestamp: RtpTimestamp, received_at: Instant) {
        self.received += 1;
        let first = *self.first_index.get_or_insert(index);
        self.first_index = Some(first.min(index));
        self.losses.count(index, self.newest_index.max(first));
        self.newest_index = self.newest_index.max(index);
        // Both on the 48 kHz clock and modulo 2^32, as timestamps are.
        let arrival = u128::from(received_at.as_nanos()) * 48 / 1_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp.0);
        if let Some(previous) = self.transit {
            let step = transit.wrapping_sub(previous).cast_signed().unsigned_abs();
            let jitter = self.jitter_sixteenths;
            self.jitter_sixteenths = jitter + u64::from(step) - ((jitter + 8) >> 4);
        }
        self.transit = Some(transit);
    }

    /// Returns the packets received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the packets expected, from the first to the newest.
    pub fn expected(&self) -> u64 {
        self.first_index.map_or(0, |first| self.newest_index - first + 1)
    }

    /// Returns the packets that did not arrive; negative if duplicates outnumber them.
    pub fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.received.cast_signed()
    }

    /// Returns the packets expected since the last report, and how many of them did not arrive.
    pub fn since_report(&self) -> Unreported {
        let expected = self.expected() - self.expected_prior;
        let lost = expected.saturating_sub(self.received - self.received_prior);
        Unreported { expected, lost }
    }

    /// Returns interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        u32::try_from(self.jitter_sixteenths >> 4).unwrap_or(u32::MAX)
    }

    /// Makes a report and begins the next interval; `None` before the first packet.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        let begin = self.first_index? + self.expected_prior;
        let Unreported { expected, lost } = self.since_report();
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        Some(ReceptionReport {
            expected,
            fraction_lost: fraction as u8,
            cumulative_lost: self.lost(),
            newest_index: self.newest_index,
            jitter: self.jitter(),
            losses: self.losses.chunks(begin, self.newest_index),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_for_each_interval() {
        let mut reception = Reception::default();
        for index in (0..100).filter(|index| index % 4 != 3 || *index == 99) {
            let at = Instant::from_millis(index * 20);
            reception.count(index, RtpTimestamp(index as u32 * 960), at);
        }
        let report = reception.report().unwrap();
        assert_eq!((report.cumulative_lost, report.newest_index), (24, 99));
        assert_eq!(report.fraction_lost, 61);
        reception.count(100, RtpTimestamp(96_000), Instant::from_millis(2_000));
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let mut reception = Reception::default();
        let mut expected = 0.0_f64;
        for index in 0..500_u64 {
            let late = if index % 2 == 0 { 0 } else { 5 };
            let at = Instant::from_millis(index * 20 + late);
            reception.count(index, RtpTimestamp(index as u32 * 960), at);
            if index > 0 {
                expected += (240.0 - expected) / 16.0;
            }
        }
        assert!((f64::from(reception.jitter()) - expected).abs() < 2.0);
    }
}
