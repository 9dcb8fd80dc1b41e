//! RTP packets as views over their octets.
//!
//! Reads and writes headers; owns no buffer, keeps no state and decrypts nothing. `Shard` calls
//! `classify` and `sender_ssrc` on every datagram, engines read `RtpPacket` after it is decrypted
//! and write `RtpHeader` into the send slot. Source: RFC 3550 section 5.

pub(crate) mod header;
mod number;
mod packet;

use crate::leg::Ssrc;

pub(crate) use header::HeaderLayout;
pub use header::{RtpHeader, write_csrcs};
pub use number::{PayloadType, RtpTimestamp, SequenceNumber};
pub use packet::{Csrcs, ExtensionBlock, RtpPacket};

/// Length of the fixed header, in octets. Source: RFC 3550 section 5.1.
pub const FIXED_HEADER_LEN: usize = 12;

/// Most contributing sources in one header: the CC field has four bits. RFC 3550 section 5.1.
pub const CSRC_MAX: usize = 15;

/// The protocol version in the first two bits of RTP and RTCP. RFC 3550 section 5.1.
pub(crate) const VERSION: u8 = 2;

/// What a datagram claims to be by its first two octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Neither: another version, or shorter than two octets.
    Neither,
}

/// Tells RTP from RTCP on one port.
///
/// A second octet from 192 to 223 is an RTCP packet type; RTP payload types 64 to 95 are never
/// agreed, so the two cannot be mistaken. Says nothing of validity. Source: RFC 5761 section 4.
pub const fn classify(datagram: &[u8]) -> PacketKind {
    let [first, second, ..] = datagram else { return PacketKind::Neither };
    if *first >> 6 != VERSION {
        return PacketKind::Neither;
    }
    match *second {
        192..=223 => PacketKind::Rtcp,
        _ => PacketKind::Rtp,
    }
}

/// Returns the SSRC that a datagram claims to come from, encrypted or not.
///
/// Octets 8 to 11 of RTP and 4 to 7 of RTCP. `None` if it is neither or ends before its SSRC.
pub fn sender_ssrc(datagram: &[u8]) -> Option<Ssrc> {
    let offset = match classify(datagram) {
        PacketKind::Rtp => 8,
        PacketKind::Rtcp => 4,
        PacketKind::Neither => return None,
    };
    read_u32(datagram, offset).map(Ssrc)
}

/// Reads four octets in network order; `None` past the end.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let octets = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

/// Reads two octets in network order; `None` past the end.
pub(crate) fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    let octets = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_be_bytes(octets.try_into().ok()?))
}
