//! RTCP compounds as views, and a writer for them.
//!
//! Checks a whole compound before any of it is believed; keeps no statistics. When reports are due
//! says `ReportPace`. `Shard` reads compounds after `unprotect_rtcp` and writes them before
//! `protect_rtcp`; keep-alives are APP packets. Source: RFC 3550 section 6.

mod compound;
mod control;
mod extended;
mod pace;
mod report;
mod writer;

pub use compound::{RtcpPacket, RtcpPackets};
pub use control::{Application, Goodbye, SdesChunk, SdesChunks, SourceDescription};
pub use extended::{ExtendedReport, LossRle, LossRun};
pub use pace::{REPORT_INTERVAL, REPORT_INTERVAL_MAX, ReportPace};
pub use report::{
    CompactNtp, ExtendedSequence, NtpTimestamp, ReceiverReport, ReportBlock, ReportBlocks,
    SenderInfo, SenderReport,
};
pub use writer::{CompoundWriter, RtcpWriteError};

/// Most report blocks, sources or chunks of one packet: the count has five bits.
pub const COUNT_MAX: usize = 31;

/// Octets before a packet's body: version, count, type and length. RFC 3550 section 6.4.1.
const HEADER_LEN: usize = 4;

/// Packet types of RFC 3550 section 12.1.
mod packet_type {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const SOURCE_DESCRIPTION: u8 = 202;
    pub const GOODBYE: u8 = 203;
    pub const APPLICATION: u8 = 204;
    /// RFC 3611 section 2.
    pub const EXTENDED_REPORT: u8 = 207;
}

/// SDES items of RFC 3550 section 12.2.
mod sdes_item {
    pub const END: u8 = 0;
    pub const CNAME: u8 = 1;
}
