//! Sender and receiver reports, and the clocks in them.

use std::time::Duration;

use crate::leg::Ssrc;
use crate::rtp::{RtpTimestamp, read_u32};

/// A wall-clock time: seconds since 1900 in the upper, fractions of 2^-32 s in the lower half.
///
/// Source: RFC 3550 section 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NtpTimestamp(pub u64);

impl NtpTimestamp {
    /// Returns the middle 32 bits, as reports refer to a sender report.
    pub const fn compact(self) -> CompactNtp {
        CompactNtp((self.0 >> 16) as u32)
    }
}

/// A time or an interval in units of 2^-16 s; wraps after 18 hours. RFC 3550 section 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompactNtp(pub u32);

impl CompactNtp {
    /// Returns an interval in these units, rounded down; longer ones are cut to the longest.
    pub fn from_duration(duration: Duration) -> Self {
        let units = (duration.as_nanos() << 16) / 1_000_000_000;
        Self(u32::try_from(units).unwrap_or(u32::MAX))
    }

    /// Returns the interval, rounded down to nanoseconds.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(((self.0 as u64) * 1_000_000_000) >> 16)
    }
}

/// A sequence number with a count of its cycles above it. Source: RFC 3550 section 6.4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExtendedSequence(pub u32);

/// How one stream arrives at whoever reports. Source: RFC 3550 section 6.4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; duplicates can make it negative. Within 24 bits.
    pub cumulative_lost: i32,
    /// The highest sequence number received.
    pub highest_sequence: ExtendedSequence,
    /// Interarrival jitter in units of the stream's clock.
    pub jitter: u32,
    /// When the last SR of the stream was sent, by its sender's clock; 0 if none came.
    pub last_sr: CompactNtp,
    /// How long before this report that SR came; 0 if none came.
    pub delay_since_last_sr: CompactNtp,
}

impl ReportBlock {
    /// Returns the round trip, given when the report arrived by the clock of the SR's sender.
    ///
    /// `None` if no SR had come, or the times contradict each other. RFC 3550 section 6.4.1.
    pub fn round_trip(&self, arrival: CompactNtp) -> Option<Duration> {
        if self.last_sr == CompactNtp::default() {
            return None;
        }
        let elapsed = arrival.0.wrapping_sub(self.last_sr.0);
        elapsed.checked_sub(self.delay_since_last_sr.0).map(|trip| CompactNtp(trip).as_duration())
    }

    pub(super) fn write(&self, out: &mut [u8; REPORT_BLOCK_LEN]) {
        let lost = self.cumulative_lost.clamp(CUMULATIVE_LOST_MIN, CUMULATIVE_LOST_MAX);
        let lost = u32::from(self.fraction_lost) << 24 | lost.cast_unsigned() & 0x00ff_ffff;
        let words = [
            self.ssrc.0,
            lost,
            self.highest_sequence.0,
            self.jitter,
            self.last_sr.0,
            self.delay_since_last_sr.0,
        ];
        for (octets, word) in out.chunks_exact_mut(4).zip(words) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
    }

    fn read(block: &[u8]) -> Option<Self> {
        let lost = read_u32(block, 4)?;
        Some(Self {
            ssrc: Ssrc(read_u32(block, 0)?),
            fraction_lost: (lost >> 24) as u8,
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: ExtendedSequence(read_u32(block, 8)?),
            jitter: read_u32(block, 12)?,
            last_sr: CompactNtp(read_u32(block, 16)?),
            delay_since_last_sr: CompactNtp(read_u32(block, 20)?),
        })
    }
}

/// What a sender says of its own stream. Source: RFC 3550 section 6.4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender's stream.
    pub ssrc: Ssrc,
    /// When the report was sent, by the sender's wall clock.
    pub ntp: NtpTimestamp,
    /// The same instant on the stream's clock.
    pub rtp: RtpTimestamp,
    /// Packets sent since the start; wraps.
    pub packet_count: u32,
    /// Payload octets sent since the start; wraps.
    pub octet_count: u32,
}

/// A sender report; profile-specific extensions are ignored.
#[derive(Clone, Debug)]
pub struct SenderReport<'a> {
    /// What the sender says of its own stream.
    pub info: SenderInfo,
    /// How other streams arrive at the sender.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let ntp = u64::from(read_u32(body, 4)?) << 32 | u64::from(read_u32(body, 8)?);
        let info = SenderInfo {
            ssrc: Ssrc(read_u32(body, 0)?),
            ntp: NtpTimestamp(ntp),
            rtp: RtpTimestamp(read_u32(body, 12)?),
            packet_count: read_u32(body, 16)?,
            octet_count: read_u32(body, 20)?,
        };
        Some(Self { info, blocks: ReportBlocks::parse(count, &body[SENDER_INFO_LEN..])? })
    }
}

/// A receiver report; profile-specific extensions are ignored.
#[derive(Clone, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// How streams arrive there.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let ssrc = Ssrc(read_u32(body, 0)?);
        Some(Self { ssrc, blocks: ReportBlocks::parse(count, &body[4..])? })
    }
}

/// Iterates over the blocks of one report, at most `COUNT_MAX`.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl<'a> ReportBlocks<'a> {
    fn parse(count: u8, bytes: &'a [u8]) -> Option<Self> {
        bytes.get(..usize::from(count) * REPORT_BLOCK_LEN).map(Self)
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(REPORT_BLOCK_LEN)?;
        self.0 = rest;
        ReportBlock::read(block)
    }
}

/// Octets of the sender's SSRC and its own information.
pub(super) const SENDER_INFO_LEN: usize = 24;

/// Octets of one report block.
pub(super) const REPORT_BLOCK_LEN: usize = 24;

/// The field's bounds, 24 bits with a sign.
const CUMULATIVE_LOST_MIN: i32 = -(1 << 23);
const CUMULATIVE_LOST_MAX: i32 = (1 << 23) - 1;
