//! Writing a compound into a send slot.

use thiserror::Error;

use crate::leg::Ssrc;
use crate::rtcp::extended::LossRle;
use crate::rtcp::report::{REPORT_BLOCK_LEN, ReportBlock, SENDER_INFO_LEN, SenderInfo};
use crate::rtcp::{Application, COUNT_MAX, HEADER_LEN, packet_type, sdes_item};
use crate::rtp::VERSION;

/// Why a packet was not written. The compound stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpWriteError {
    /// A compound begins with a report. RFC 3550 section 6.1.
    #[error("the first packet of a compound must be a sender or receiver report")]
    NotReport,
    /// The count field holds `COUNT_MAX`.
    #[error("{0} entries in one packet where {COUNT_MAX} are allowed")]
    TooMany(usize),
    /// A text is longer than 255 octets.
    #[error("a text of {0} octets where 255 are allowed")]
    TextTooLong(usize),
    /// APP data, or chunks of an XR block, are not a multiple of four octets.
    #[error("{0} octets of a packet's data are not a multiple of four")]
    Unaligned(usize),
    /// An APP subtype is above 31.
    #[error("application subtype {0} is above 31")]
    Subtype(u8),
    /// The buffer ends before the packet would.
    #[error("the compound needs {needed} octets and has room for {room}")]
    NoRoom {
        /// Octets that the compound would take with this packet.
        needed: usize,
        /// Octets that the buffer has.
        room: usize,
    },
}

/// Writes packets one after the other; the first must be a report.
///
/// RFC 3550 section 6.1 also asks for a CNAME in every compound: that is the caller's to add.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> CompoundWriter<'a> {
    /// Starts an empty compound at the start of `out`.
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// Appends an SR.
    ///
    /// # Errors
    /// `TooMany` blocks, or `NoRoom`.
    pub fn sender_report(
        &mut self,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<(), RtcpWriteError> {
        let count = count_of(blocks.len())?;
        let body_len = SENDER_INFO_LEN + blocks.len() * REPORT_BLOCK_LEN;
        let body = self.packet(packet_type::SENDER_REPORT, count, body_len)?;
        let (own, others) = body.split_at_mut(SENDER_INFO_LEN);
        own[..4].copy_from_slice(&info.ssrc.0.to_be_bytes());
        own[4..12].copy_from_slice(&info.ntp.0.to_be_bytes());
        own[12..16].copy_from_slice(&info.rtp.0.to_be_bytes());
        own[16..20].copy_from_slice(&info.packet_count.to_be_bytes());
        own[20..].copy_from_slice(&info.octet_count.to_be_bytes());
        write_blocks(blocks, others);
        Ok(())
    }

    /// Appends an RR.
    ///
    /// # Errors
    /// `TooMany` blocks, or `NoRoom`.
    pub fn receiver_report(
        &mut self,
        ssrc: Ssrc,
        blocks: &[ReportBlock],
    ) -> Result<(), RtcpWriteError> {
        let count = count_of(blocks.len())?;
        let body_len = 4 + blocks.len() * REPORT_BLOCK_LEN;
        let body = self.packet(packet_type::RECEIVER_REPORT, count, body_len)?;
        body[..4].copy_from_slice(&ssrc.0.to_be_bytes());
        write_blocks(blocks, &mut body[4..]);
        Ok(())
    }

    /// Appends an SDES with the CNAME of one source.
    ///
    /// # Errors
    /// `TextTooLong`, `NotReport` if it would be first, or `NoRoom`.
    pub fn cname(&mut self, ssrc: Ssrc, cname: &[u8]) -> Result<(), RtcpWriteError> {
        let text_len = text_len_of(cname)?;
        // SSRC, item header, text, and at least one zero that ends the list.
        let body_len = (4 + 2 + cname.len() + 1).next_multiple_of(4);
        let body = self.packet(packet_type::SOURCE_DESCRIPTION, 1, body_len)?;
        body.fill(0);
        body[..4].copy_from_slice(&ssrc.0.to_be_bytes());
        body[4..6].copy_from_slice(&[sdes_item::CNAME, text_len]);
        body[6..6 + cname.len()].copy_from_slice(cname);
        Ok(())
    }

    /// Appends a BYE; an empty reason is left out.
    ///
    /// # Errors
    /// `TooMany` sources, `TextTooLong`, `NotReport` if it would be first, or `NoRoom`.
    pub fn goodbye(&mut self, sources: &[Ssrc], reason: &[u8]) -> Result<(), RtcpWriteError> {
        let count = count_of(sources.len())?;
        let text_len = text_len_of(reason)?;
        let reason_len = if reason.is_empty() { 0 } else { 1 + reason.len() };
        let sources_len = 4 * sources.len();
        let body_len = sources_len + reason_len.next_multiple_of(4);
        let body = self.packet(packet_type::GOODBYE, count, body_len)?;
        let (list, text) = body.split_at_mut(sources_len);
        for (octets, ssrc) in list.chunks_exact_mut(4).zip(sources) {
            octets.copy_from_slice(&ssrc.0.to_be_bytes());
        }
        if let Some((length, text)) = text.split_first_mut() {
            *length = text_len;
            text.fill(0);
            text[..reason.len()].copy_from_slice(reason);
        }
        Ok(())
    }

    /// Appends an APP.
    ///
    /// # Errors
    /// `Subtype` or `Unaligned`, `NotReport` if it would be first, or `NoRoom`.
    pub fn application(&mut self, packet: &Application<'_>) -> Result<(), RtcpWriteError> {
        if usize::from(packet.subtype) > COUNT_MAX {
            return Err(RtcpWriteError::Subtype(packet.subtype));
        }
        if !packet.data.len().is_multiple_of(4) {
            return Err(RtcpWriteError::Unaligned(packet.data.len()));
        }
        let body_len = 8 + packet.data.len();
        let body = self.packet(packet_type::APPLICATION, packet.subtype, body_len)?;
        body[..4].copy_from_slice(&packet.ssrc.0.to_be_bytes());
        body[4..8].copy_from_slice(&packet.name);
        body[8..].copy_from_slice(packet.data);
        Ok(())
    }

    /// Appends an XR with these blocks.
    ///
    /// # Errors
    /// `Unaligned` chunks, `NotReport` if it would be first, or `NoRoom`.
    pub fn extended_report(
        &mut self,
        ssrc: Ssrc,
        blocks: &[LossRle<'_>],
    ) -> Result<(), RtcpWriteError> {
        if let Some(block) = blocks.iter().find(|block| !block.chunks.len().is_multiple_of(4)) {
            return Err(RtcpWriteError::Unaligned(block.chunks.len()));
        }
        let body_len = 4 + blocks.iter().map(LossRle::len).sum::<usize>();
        let body = self.packet(packet_type::EXTENDED_REPORT, 0, body_len)?;
        let (own, mut rest) = body.split_at_mut(4);
        own.copy_from_slice(&ssrc.0.to_be_bytes());
        for block in blocks {
            let (out, behind) = rest.split_at_mut(block.len());
            block.write(out);
            rest = behind;
        }
        Ok(())
    }

    /// Returns the compound's length in octets; 0 if nothing was written.
    pub const fn finish(self) -> usize {
        self.length
    }

    /// Writes a packet's header and returns its body, of a multiple of four octets.
    fn packet(
        &mut self,
        packet_type: u8,
        count: u8,
        body_len: usize,
    ) -> Result<&mut [u8], RtcpWriteError> {
        let is_report =
            matches!(packet_type, packet_type::SENDER_REPORT | packet_type::RECEIVER_REPORT);
        if self.length == 0 && !is_report {
            return Err(RtcpWriteError::NotReport);
        }
        let (start, room) = (self.length, self.out.len());
        let needed = start + HEADER_LEN + body_len;
        let words = u16::try_from(body_len / 4);
        let (Ok(words), true) = (words, needed <= room) else {
            return Err(RtcpWriteError::NoRoom { needed, room });
        };
        self.length = needed;
        let (header, body) = self.out[start..needed].split_at_mut(HEADER_LEN);
        header[..2].copy_from_slice(&[VERSION << 6 | count, packet_type]);
        header[2..].copy_from_slice(&words.to_be_bytes());
        Ok(body)
    }
}

fn write_blocks(blocks: &[ReportBlock], out: &mut [u8]) {
    let (chunks, _) = out.as_chunks_mut();
    for (octets, block) in chunks.iter_mut().zip(blocks) {
        block.write(octets);
    }
}

fn count_of(entries: usize) -> Result<u8, RtcpWriteError> {
    match u8::try_from(entries) {
        Ok(count) if entries <= COUNT_MAX => Ok(count),
        _ => Err(RtcpWriteError::TooMany(entries)),
    }
}

fn text_len_of(text: &[u8]) -> Result<u8, RtcpWriteError> {
    u8::try_from(text.len()).map_err(|_| RtcpWriteError::TextTooLong(text.len()))
}
