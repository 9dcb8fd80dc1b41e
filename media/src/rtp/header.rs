//! Writing headers, and finding the parts of one without touching the payload.

use crate::drop_reason::DropReason;
use crate::leg::Ssrc;
use crate::rtp::{
    CSRC_MAX, FIXED_HEADER_LEN, PayloadType, RtpTimestamp, SequenceNumber, VERSION, read_u16,
    read_u32,
};

/// The fields that a sender chooses for each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// For audio: the first packet after a silence. RFC 3551 section 4.1.
    pub marker: bool,
    /// The payload's format; only the low seven bits are written.
    pub payload_type: PayloadType,
    /// The packet's place in its stream.
    pub sequence_number: SequenceNumber,
    /// The first sample's instant.
    pub timestamp: RtpTimestamp,
    /// The stream.
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// Writes the 12 fixed octets and returns their number.
    ///
    /// `csrc_count` sources and then, if `has_extension`, an extension block are for the caller to
    /// write after them. Counts above `CSRC_MAX` are written as `CSRC_MAX`, as `write_csrcs` does.
    ///
    /// # Panics
    /// If `out` is shorter than `FIXED_HEADER_LEN`.
    pub fn write_fixed(&self, csrc_count: u8, has_extension: bool, out: &mut [u8]) -> usize {
        let csrc_count = csrc_count.min(CSRC_MAX as u8);
        out[0] = VERSION << 6 | u8::from(has_extension) << 4 | csrc_count;
        out[1] = u8::from(self.marker) << 7 | self.payload_type.0 & 0x7f;
        out[2..4].copy_from_slice(&self.sequence_number.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        out[8..FIXED_HEADER_LEN].copy_from_slice(&self.ssrc.0.to_be_bytes());
        FIXED_HEADER_LEN
    }
}

/// Writes the list of contributing sources and returns its length in octets.
///
/// Sources beyond `CSRC_MAX` are left out. Source: RFC 3550 section 5.1.
///
/// # Panics
/// If `out` is shorter than four octets for each source.
pub fn write_csrcs(csrcs: &[Ssrc], out: &mut [u8]) -> usize {
    let csrcs = &csrcs[..csrcs.len().min(CSRC_MAX)];
    for (index, csrc) in csrcs.iter().enumerate() {
        out[4 * index..4 * index + 4].copy_from_slice(&csrc.0.to_be_bytes());
    }
    4 * csrcs.len()
}

/// Where a header's parts lie, as far as they are readable in an encrypted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderLayout {
    /// End of the CSRC list, where the extension block starts if there is one.
    pub csrcs_end: usize,
    /// End of the header; where the payload or its cipher text starts.
    pub header_len: usize,
}

impl HeaderLayout {
    /// Finds the parts; looks at nothing behind the header.
    ///
    /// # Errors
    /// `MalformedRtp` if the version is not 2 or the header runs past the packet.
    pub fn of(packet: &[u8]) -> Result<Self, DropReason> {
        let Some(first) = packet.first().filter(|first| **first >> 6 == VERSION) else {
            return Err(DropReason::MalformedRtp);
        };
        let csrcs_end = FIXED_HEADER_LEN + 4 * usize::from(first & 0x0f);
        let mut header_len = csrcs_end;
        if first & EXTENSION_BIT != 0 {
            let words = read_u16(packet, csrcs_end + 2).ok_or(DropReason::MalformedRtp)?;
            header_len += EXTENSION_HEADER_LEN + 4 * usize::from(words);
        }
        if packet.len() < header_len {
            return Err(DropReason::MalformedRtp);
        }
        Ok(Self { csrcs_end, header_len })
    }
}

/// Reads the sequence number and SSRC of a packet that has a `HeaderLayout`.
pub(crate) fn stream_position(packet: &[u8]) -> Option<(Ssrc, SequenceNumber)> {
    Some((Ssrc(read_u32(packet, 8)?), SequenceNumber(read_u16(packet, 2)?)))
}

/// The X bit of the first octet. RFC 3550 section 5.1.
pub(crate) const EXTENSION_BIT: u8 = 0x10;

/// The P bit of the first octet. RFC 3550 section 5.1.
pub(crate) const PADDING_BIT: u8 = 0x20;

/// Profile and length before an extension block. RFC 3550 section 5.3.1.
pub(crate) const EXTENSION_HEADER_LEN: usize = 4;
