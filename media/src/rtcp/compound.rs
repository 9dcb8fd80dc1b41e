//! A compound, checked as a whole and then read packet by packet.

use crate::drop_reason::DropReason;
use crate::rtcp::control::{Application, Goodbye, SourceDescription};
use crate::rtcp::extended::ExtendedReport;
use crate::rtcp::report::{ReceiverReport, SenderReport};
use crate::rtcp::{HEADER_LEN, packet_type};
use crate::rtp::{VERSION, header::PADDING_BIT, read_u16};

/// One packet of a compound.
#[derive(Clone, Debug)]
pub enum RtcpPacket<'a> {
    /// SR, RFC 3550 section 6.4.1.
    SenderReport(SenderReport<'a>),
    /// RR, RFC 3550 section 6.4.2.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES, RFC 3550 section 6.5.
    SourceDescription(SourceDescription<'a>),
    /// BYE, RFC 3550 section 6.6.
    Goodbye(Goodbye<'a>),
    /// APP, RFC 3550 section 6.7.
    Application(Application<'a>),
    /// XR, RFC 3611 section 2.
    ExtendedReport(ExtendedReport<'a>),
}

/// Iterates over a valid compound; packets of unknown type are skipped.
#[derive(Clone, Debug)]
pub struct RtcpPackets<'a> {
    rest: &'a [u8],
}

impl<'a> RtcpPackets<'a> {
    /// Checks a plain compound: every length, and every body of a known type.
    ///
    /// # Errors
    /// `MalformedRtcp` if the first packet is neither SR nor RR, a version is not 2, lengths do
    /// not add up to the compound, a packet before the last is padded, or a body breaks its own
    /// rules. Source: RFC 3550 sections 6.1 and A.2.
    pub fn parse(compound: &'a [u8]) -> Result<Self, DropReason> {
        let mut rest = compound;
        let mut is_first = true;
        while !rest.is_empty() {
            let (raw, behind) = RawPacket::split(rest).ok_or(DropReason::MalformedRtcp)?;
            let packet = raw.parse().ok_or(DropReason::MalformedRtcp)?;
            if is_first && !packet.is_some_and(|packet| packet.is_report()) {
                return Err(DropReason::MalformedRtcp);
            }
            is_first = false;
            rest = behind;
        }
        if is_first { Err(DropReason::MalformedRtcp) } else { Ok(Self { rest: compound }) }
    }
}

impl<'a> Iterator for RtcpPackets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        // `parse` went this way before, so nothing is malformed here.
        while let Some((raw, behind)) = RawPacket::split(self.rest) {
            self.rest = behind;
            if let Some(Some(packet)) = raw.parse() {
                return Some(packet);
            }
        }
        None
    }
}

impl RtcpPacket<'_> {
    const fn is_report(&self) -> bool {
        matches!(self, Self::SenderReport(_) | Self::ReceiverReport(_))
    }
}

/// One packet with its header read and its padding removed.
#[derive(Clone, Copy, Debug)]
struct RawPacket<'a> {
    count: u8,
    packet_type: u8,
    body: &'a [u8],
}

impl<'a> RawPacket<'a> {
    /// Splits the first packet from those behind it; `None` if it breaks the common rules.
    fn split(compound: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let first = *compound.first()?;
        let length = HEADER_LEN + 4 * usize::from(read_u16(compound, 2)?);
        if first >> 6 != VERSION || compound.len() < length {
            return None;
        }
        let (packet, behind) = compound.split_at(length);
        let mut body = &packet[HEADER_LEN..];
        if first & PADDING_BIT != 0 {
            let padding = usize::from(*body.last()?);
            let is_allowed = behind.is_empty() && padding != 0 && padding.is_multiple_of(4);
            body = &body[..body.len().checked_sub(padding).filter(|_| is_allowed)?];
        }
        Some((Self { count: first & 0x1f, packet_type: packet[1], body }, behind))
    }

    /// Reads the body: `None` if malformed, `Some(None)` if the type is unknown.
    fn parse(self) -> Option<Option<RtcpPacket<'a>>> {
        let Self { count, body, .. } = self;
        let packet = match self.packet_type {
            packet_type::SENDER_REPORT => {
                RtcpPacket::SenderReport(SenderReport::parse(count, body)?)
            }
            packet_type::RECEIVER_REPORT => {
                RtcpPacket::ReceiverReport(ReceiverReport::parse(count, body)?)
            }
            packet_type::SOURCE_DESCRIPTION => {
                RtcpPacket::SourceDescription(SourceDescription::parse(count, body)?)
            }
            packet_type::GOODBYE => RtcpPacket::Goodbye(Goodbye::parse(count, body)?),
            packet_type::APPLICATION => RtcpPacket::Application(Application::parse(count, body)?),
            packet_type::EXTENDED_REPORT => {
                RtcpPacket::ExtendedReport(ExtendedReport::parse(body)?)
            }
            _ => return Some(None),
        };
        Some(Some(packet))
    }
}
