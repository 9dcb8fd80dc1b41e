//! The packet index: a sequence number that does not wrap within a key's life.

use crate::drop_reason::DropReason;
use crate::rtp::SequenceNumber;

/// A packet's place in its SRTP or SRTCP stream.
///
/// For SRTP 48 bits, roll-over counter and sequence number; for SRTCP 31 bits, explicit in the
/// packet. Source: RFC 3711 sections 3.3.1 and 3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketIndex(pub u64);

impl PacketIndex {
    /// The last index of an SRTP stream, 2^48 - 1; then the key is used up. RFC 3711 section 9.2.
    pub const RTP_MAX: Self = Self((1 << 48) - 1);

    /// The last index of an SRTCP stream, 2^31 - 1. RFC 3711 section 9.2.
    pub const RTCP_MAX: Self = Self((1 << 31) - 1);

    /// Returns the sequence number of an SRTP packet.
    pub const fn sequence_number(self) -> SequenceNumber {
        SequenceNumber(self.0 as u16)
    }

    /// Guesses an arriving packet's index from the newest authenticated one.
    ///
    /// The nearest index with that sequence number; a stream's first packet is taken to be in
    /// cycle 0. Source: RFC 3711 section 3.3.1.
    ///
    /// # Errors
    /// `TooOld` if that is before the stream's start, `IndexExhausted` if beyond `RTP_MAX`.
    pub(super) fn estimate(
        newest: Option<Self>,
        number: SequenceNumber,
    ) -> Result<Self, DropReason> {
        let Some(newest) = newest else { return Ok(Self(u64::from(number.0))) };
        let mut distance = i64::from(number.distance_from(newest.sequence_number()));
        // At exactly half a cycle the RFC's guess stays within the roll-over counter's cycle.
        if distance == -HALF_CYCLE && i64::from(newest.sequence_number().0) < HALF_CYCLE {
            distance = HALF_CYCLE;
        }
        let index = newest.0.checked_add_signed(distance).map(Self).ok_or(DropReason::TooOld)?;
        if index <= Self::RTP_MAX { Ok(index) } else { Err(DropReason::IndexExhausted) }
    }
}

/// Half of the sequence number's range.
const HALF_CYCLE: i64 = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// The pseudo-code of RFC 3711 section 3.3.1, with the newest index in two parts.
    fn rfc_estimate(roc: i64, newest: i64, number: i64) -> i64 {
        let v = if newest < 32_768 {
            if number - newest > 32_768 { roc - 1 } else { roc }
        } else if newest - 32_768 > number {
            roc + 1
        } else {
            roc
        };
        (v << 16) + number
    }

    #[test]
    fn estimate_is_that_of_rfc_3711() {
        let numbers = [0, 1, 2, 1000, 32_766, 32_767, 32_768, 32_769, 40_000, 65_534, 65_535];
        for roc in [0_i64, 1, 2, (1 << 32) - 2, (1 << 32) - 1] {
            for newest in numbers {
                for number in numbers {
                    let from = PacketIndex((roc as u64) << 16 | newest as u64);
                    let guess = PacketIndex::estimate(Some(from), SequenceNumber(number as u16));
                    let expected = rfc_estimate(roc, newest, number);
                    let valid = (0..1 << 48).contains(&expected);
                    let expected = valid.then_some(PacketIndex(expected as u64));
                    assert_eq!(guess.ok(), expected, "roc {roc} newest {newest} number {number}");
                }
            }
        }
    }

    #[test]
    fn first_packet_is_in_cycle_zero() {
        let first = PacketIndex::estimate(None, SequenceNumber(65_535));
        assert_eq!(first, Ok(PacketIndex(65_535)));
    }
}
