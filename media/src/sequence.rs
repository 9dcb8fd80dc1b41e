//! Sequence numbers and timestamps that no longer wrap.
//!
//! One unwrapper follows one stream of packets that were authenticated: it believes every jump.
//! Buffers and statistics count in its terms; SRTP keeps an index of its own.

use crate::rtp::{RtpTimestamp, SequenceNumber};

/// Extends 16-bit sequence numbers to 64 bits.
///
/// Right while a packet is less than 32,768 away from the newest. The first packet starts in
/// cycle 1, so packets from before it have a value too. Source: RFC 3550 appendix A.1.
#[derive(Clone, Debug, Default)]
pub struct SequenceUnwrapper {
    newest: Option<u64>,
}

impl SequenceUnwrapper {
    /// Makes an unwrapper that has seen nothing.
    pub const fn new() -> Self {
        Self { newest: None }
    }

    /// Returns the extended value; its low 16 bits are `number`.
    pub fn unwrap(&mut self, number: SequenceNumber) -> u64 {
        let Some(newest) = self.newest else {
            return *self.newest.insert(SEQUENCE_CYCLE + u64::from(number.0));
        };
        let distance = number.distance_from(SequenceNumber(newest as u16));
        let value = newest.saturating_add_signed(i64::from(distance));
        self.newest = Some(newest.max(value));
        value
    }

    /// Returns the newest value so far.
    pub const fn newest(&self) -> Option<u64> {
        self.newest
    }
}

/// Extends 32-bit timestamps to 64 bits.
///
/// Right while a timestamp is less than 2^31 units away from the newest. The first starts in
/// cycle 1, so timestamps from before it have a value too. Source: RFC 3550 section 5.1.
#[derive(Clone, Debug, Default)]
pub struct TimestampUnwrapper {
    newest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Makes an unwrapper that has seen nothing.
    pub const fn new() -> Self {
        Self { newest: None }
    }

    /// Returns the extended value; its low 32 bits are `timestamp`.
    pub fn unwrap(&mut self, timestamp: RtpTimestamp) -> u64 {
        let Some(newest) = self.newest else {
            return *self.newest.insert(TIMESTAMP_CYCLE + u64::from(timestamp.0));
        };
        let distance = timestamp.distance_from(RtpTimestamp(newest as u32));
        let value = newest.saturating_add_signed(i64::from(distance));
        self.newest = Some(newest.max(value));
        value
    }

    /// Returns the newest value so far.
    pub const fn newest(&self) -> Option<u64> {
        self.newest
    }
}

/// Numbers in one cycle of the 16-bit field.
const SEQUENCE_CYCLE: u64 = 1 << 16;

/// Units in one cycle of the 32-bit field.
const TIMESTAMP_CYCLE: u64 = 1 << 32;
