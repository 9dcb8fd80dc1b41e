//! RTCP between a shard and its members: reports, and keep-alives that carry the epoch.
//!
//! Everything a shard sends and reads here is under SRTCP. The clock in sender reports is the
//! driver's, not the day's: only differences of it are used (RFC 3550 section 4 allows it).

use std::time::Duration;

use super::leg::Leg;
use crate::codec::SAMPLE_RATE_HZ;
use crate::leg::Ssrc;
use crate::rtcp::{
    Application, CompactNtp, CompoundWriter, ExtendedSequence, NtpTimestamp, ReportBlock,
    RtcpWriteError, SenderInfo,
};
use crate::time::Instant;

/// Which ownership of a conference a keep-alive belongs to; ordered by counter, then rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaEpoch {
    /// Grows with each change of owner.
    pub counter: u64,
    /// The owner's place in the succession.
    pub rank: u16,
}

/// How often each leg is sent a compound, and how often a member sends one.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The name of our application-defined RTCP packets.
pub const KEEP_ALIVE_NAME: [u8; 4] = *b"SABH";

/// Subtype of a keep-alive: 8 octets epoch counter, 2 octets rank, 2 octets zero.
pub const KEEP_ALIVE_SUBTYPE: u8 = 0;

impl MediaEpoch {
    /// Writes the epoch as the data of a keep-alive.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.counter.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.rank.to_be_bytes());
        bytes
    }

    /// Reads the data of a keep-alive; what follows the known octets is ignored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (counter, rest) = bytes.split_first_chunk()?;
        let (rank, _) = rest.split_first_chunk()?;
        Some(Self { counter: u64::from_be_bytes(*counter), rank: u16::from_be_bytes(*rank) })
    }
}

/// Returns the driver's clock in NTP's format.
pub fn ntp(now: Instant) -> NtpTimestamp {
    let nanos = u128::from(now.as_nanos());
    NtpTimestamp(((nanos << 32) / 1_000_000_000) as u64)
}

/// Writes the leg's compound: SR or RR with what was received of the member, CNAME, keep-alive.
///
/// The SR is that of the leg's first stream; of one, as clocks of all streams are the same.
pub(super) fn write_compound(
    leg: &mut Leg,
    now: Instant,
    epoch: MediaEpoch,
    out: &mut [u8],
) -> Result<usize, RtcpWriteError> {
    let Some(stream) = leg.sent.first().copied() else { return Ok(0) };
    let own = stream.ssrc;
    let block = report_block(leg, now);
    let blocks = block.as_slice();
    let mut writer = CompoundWriter::new(out);
    match stream.last {
        Some((timestamp, sent_at)) => {
            let since = now.saturating_since(sent_at).as_nanos() * u128::from(SAMPLE_RATE_HZ);
            let info = SenderInfo {
                ssrc: own,
                ntp: ntp(now),
                rtp: timestamp.wrapping_add((since / 1_000_000_000) as u32),
                packet_count: stream.packets as u32,
                octet_count: stream.octets as u32,
            };
            writer.sender_report(&info, blocks)?;
        }
        None => writer.receiver_report(own, blocks)?,
    }
    writer.cname(own, CNAME)?;
    writer.application(&keep_alive(own, &epoch.to_bytes()))?;
    Ok(writer.finish())
}

/// Makes a keep-alive packet.
pub fn keep_alive(ssrc: Ssrc, epoch: &[u8; 12]) -> Application<'_> {
    Application { subtype: KEEP_ALIVE_SUBTYPE, ssrc, name: KEEP_ALIVE_NAME, data: epoch }
}

fn report_block(leg: &mut Leg, now: Instant) -> Option<ReportBlock> {
    let report = leg.reception.report()?;
    let (last_sr, delay) = match leg.last_sr {
        Some((sr, at)) => (sr, CompactNtp::from_duration(now.saturating_since(at))),
        None => (CompactNtp::default(), CompactNtp::default()),
    };
    Some(ReportBlock {
        ssrc: leg.send_ssrc,
        fraction_lost: report.fraction_lost,
        cumulative_lost: report.cumulative_lost.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        highest_sequence: ExtendedSequence(report.newest_index as u32),
        jitter: report.jitter,
        last_sr,
        delay_since_last_sr: delay,
    })
}

/// The canonical name of a node's streams; who it is says the certificate, not RTCP.
const CNAME: &[u8] = b"node";
