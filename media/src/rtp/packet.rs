//! A read-only view of one plain RTP packet.

use crate::drop_reason::DropReason;
use crate::leg::Ssrc;
use crate::rtp::header::{EXTENSION_BIT, EXTENSION_HEADER_LEN, HeaderLayout, PADDING_BIT};
use crate::rtp::{FIXED_HEADER_LEN, PayloadType, RtpTimestamp, SequenceNumber, read_u16, read_u32};

/// One plain RTP packet; its lengths are checked once, by `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    layout: HeaderLayout,
    payload_end: usize,
}

/// A header extension, not yet taken apart. Source: RFC 3550 section 5.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock<'a> {
    /// What defines the block: 0xBEDE and 0x1000 to 0x100F are RFC 8285's forms.
    pub profile: u16,
    /// The block without profile and length; a multiple of four octets.
    pub bytes: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Views `bytes` as an RTP packet that is not encrypted.
    ///
    /// # Errors
    /// `MalformedRtp` if the version is not 2, the header runs past the packet, or the padding is
    /// empty or longer than what follows the header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let layout = HeaderLayout::of(bytes)?;
        let padding = match bytes {
            [first, .., last] if first & PADDING_BIT != 0 => {
                if *last == 0 {
                    return Err(DropReason::MalformedRtp);
                }
                usize::from(*last)
            }
            _ => 0,
        };
        if bytes.len() - layout.header_len < padding {
            return Err(DropReason::MalformedRtp);
        }
        Ok(Self { bytes, layout, payload_end: bytes.len() - padding })
    }

    /// Tells whether the marker bit is set.
    pub fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// Returns the payload type.
    pub fn payload_type(&self) -> PayloadType {
        PayloadType(self.bytes[1] & 0x7f)
    }

    /// Returns the sequence number.
    pub fn sequence_number(&self) -> SequenceNumber {
        SequenceNumber(u16::from_be_bytes(self.octets(2)))
    }

    /// Returns the timestamp.
    pub fn timestamp(&self) -> RtpTimestamp {
        RtpTimestamp(u32::from_be_bytes(self.octets(4)))
    }

    /// Returns the stream's identifier.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes(self.octets(8)))
    }

    /// Returns the contributing sources, at most `CSRC_MAX`, in the header's order.
    pub fn csrcs(&self) -> Csrcs<'a> {
        Csrcs(&self.bytes[FIXED_HEADER_LEN..self.layout.csrcs_end])
    }

    /// Returns the header extension, if there is one.
    pub fn extension(&self) -> Option<ExtensionBlock<'a>> {
        if self.bytes[0] & EXTENSION_BIT == 0 {
            return None;
        }
        let profile = read_u16(self.bytes, self.layout.csrcs_end)?;
        let start = self.layout.csrcs_end + EXTENSION_HEADER_LEN;
        Some(ExtensionBlock { profile, bytes: &self.bytes[start..self.layout.header_len] })
    }

    /// Returns the payload without padding; may be empty.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.layout.header_len..self.payload_end]
    }

    /// Returns the length of the whole header, CSRC list and extension included, in octets.
    pub fn header_len(&self) -> usize {
        self.layout.header_len
    }

    fn octets<const N: usize>(&self, offset: usize) -> [u8; N] {
        let octets = &self.bytes[offset..offset + N];
        octets.try_into().expect("parse checked the 12 fixed octets")
    }
}

/// The contributing sources of one packet.
#[derive(Clone, Debug)]
pub struct Csrcs<'a>(&'a [u8]);

impl Iterator for Csrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let csrc = read_u32(self.0, 0)?;
        self.0 = &self.0[4..];
        Some(Ssrc(csrc))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 4, Some(self.0.len() / 4))
    }
}

impl ExactSizeIterator for Csrcs<'_> {}
