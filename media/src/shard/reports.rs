//! RTCP from a shard to its members: reports, with a keep-alive in each.
//!
//! All of it goes under SRTCP. The clock in sender reports is the
//! driver's, not the day's: only differences of it are used (RFC 3550 section 4 allows it).

use super::keep_alive::{KeepAlive, keep_alive};
use super::leg::Leg;
use crate::codec::SAMPLE_RATE_HZ;
use crate::reception::ReceptionReport;
use crate::rtcp::{
    CompactNtp, CompoundWriter, ExtendedSequence, NtpTimestamp, ReportBlock, RtcpWriteError,
    SenderInfo,
};
use crate::time::Instant;

/// Returns the driver's clock in NTP's format.
pub fn ntp(now: Instant) -> NtpTimestamp {
    let nanos = u128::from(now.as_nanos());
    NtpTimestamp(((nanos << 32) / 1_000_000_000) as u64)
}

/// Writes the leg's compound: SR or RR with what was received of the member, CNAME, keep-alive.
///
/// The SR is that of the leg's first stream; of one, as clocks of all streams are the same.
pub(super) fn write_compound(
    leg: &Leg,
    now: Instant,
    said: KeepAlive,
    report: Option<&ReceptionReport>,
    out: &mut [u8],
) -> Result<usize, RtcpWriteError> {
    let Some((own, stream)) = leg.sent.iter().next().copied() else { return Ok(0) };
    let block = report.map(|report| report_block(leg, now, report));
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
    writer.application(&keep_alive(own, &said.to_bytes()))?;
    if let Some(losses) = report.and_then(|report| report.losses.as_ref()) {
        writer.extended_report(own, &[losses.block(leg.send_ssrc)])?;
    }
    Ok(writer.finish())
}

fn report_block(leg: &Leg, now: Instant, report: &ReceptionReport) -> ReportBlock {
    let (last_sr, delay) = match leg.last_sr {
        Some((sr, at)) => (sr, CompactNtp::from_duration(now.saturating_since(at))),
        None => (CompactNtp::default(), CompactNtp::default()),
    };
    ReportBlock {
        ssrc: leg.send_ssrc,
        fraction_lost: report.fraction_lost,
        cumulative_lost: report.cumulative_lost.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        highest_sequence: ExtendedSequence(report.newest_index as u32),
        jitter: report.jitter,
        last_sr,
        delay_since_last_sr: delay,
    }
}

/// The canonical name of a node's streams; who it is says the certificate, not RTCP.
const CNAME: &[u8] = b"node";
