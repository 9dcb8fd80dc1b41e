//! A member's RTCP: what it reports, and what the node orders.

use std::time::Duration;

use sabha_client::random::Random;
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::leg::Ssrc;
use sabha_media::reception::{Reception, Unreported};
use sabha_media::rtcp::{
    CompactNtp, CompoundWriter, ExtendedSequence, REPORT_INTERVAL, ReportBlock, ReportPace,
    RtcpPacket, RtcpPackets, RtcpWriteError, SenderInfo,
};
use sabha_media::rtp::RtpTimestamp;
use sabha_media::shard::{KeepAlive, MediaEpoch, UplinkOrder, keep_alive, ntp};
use sabha_media::time::Instant;

/// One member's side of RTCP.
pub struct Contact {
    own: Ssrc,
    epoch: MediaEpoch,
    pace: ReportPace,
    /// How often the node wants to hear of this member.
    interval: Duration,
    /// When its first contact is tried again.
    retry_at: Option<Instant>,
    is_answered: bool,
    order: UplinkOrder,
    last_sr: Option<(CompactNtp, Instant)>,
    random: Random,
}

/// A stream that is received, and how it was so far.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedStream {
    /// Which.
    pub ssrc: Ssrc,
    /// What arrived of it.
    pub reception: Reception,
}

/// What was sent so far, for sender reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// RTP packets.
    pub packets: u32,
    /// Octets of payload.
    pub octets: u32,
    /// The timestamp of what is due next.
    pub timestamp: RtpTimestamp,
}

impl Contact {
    /// Makes the side of a member that was not heard yet; it writes at once.
    pub fn new(own: Ssrc, epoch: MediaEpoch, random: Random) -> Self {
        Self {
            own,
            epoch,
            pace: ReportPace::default(),
            interval: REPORT_INTERVAL,
            retry_at: None,
            is_answered: false,
            order: UplinkOrder::Everything,
            last_sr: None,
            random,
        }
    }

    /// Returns when the next compound is due, by what was received.
    pub fn next(&self, streams: &[ReceivedStream]) -> Instant {
        self.retry_at.unwrap_or_else(|| self.pace.due(unreported(streams)))
    }

    /// Returns what the node ordered last.
    pub fn order(&self) -> UplinkOrder {
        self.order
    }

    /// Learns that something authentic came.
    pub fn handle_contact(&mut self) {
        self.is_answered = true;
        self.retry_at = None;
    }

    /// Takes the node's compound; returns whether the order changed.
    ///
    /// # Errors
    /// `MalformedRtcp`.
    pub fn handle_compound(
        &mut self,
        compound: &[u8],
        received_at: Instant,
    ) -> Result<bool, DropReason> {
        let before = self.order;
        for packet in RtcpPackets::parse(compound)? {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    self.last_sr = Some((report.info.ntp.compact(), received_at));
                }
                RtcpPacket::Application(packet) => {
                    let said = KeepAlive::from_application(&packet);
                    self.order = said.map_or(self.order, |said| said.uplink);
                    self.interval = said.map_or(self.interval, |said| said.report_interval);
                }
                _ => {}
            }
        }
        Ok(self.order != before)
    }

    /// Writes the next compound; returns its length, 0 if it does not fit.
    pub fn write(
        &mut self,
        now: Instant,
        sent: Sent,
        streams: &mut [ReceivedStream],
        is_goodbye: bool,
        out: &mut [u8],
    ) -> usize {
        // Until the node answers, its first contact is tried often.
        self.retry_at = (!self.is_answered).then_some(now + FIRST_CONTACT_INTERVAL);
        let drawn = self.random.bits() as u16;
        self.pace.handle_report(now, unreported(streams), self.interval, drawn);
        self.compound(now, sent, streams, is_goodbye, out).unwrap_or(0)
    }

    fn compound(
        &self,
        now: Instant,
        sent: Sent,
        streams: &mut [ReceivedStream],
        is_goodbye: bool,
        out: &mut [u8],
    ) -> Result<usize, RtcpWriteError> {
        let mut blocks = [None; RECEIVE_STREAMS_MAX];
        let reported = streams.iter_mut().filter_map(|stream| self.report_block(now, stream));
        blocks.iter_mut().zip(reported).for_each(|(block, reported)| *block = Some(reported));
        let count = blocks.iter().flatten().count();
        let blocks = blocks.map(Option::unwrap_or_default);
        let blocks = &blocks[..count];
        let mut writer = CompoundWriter::new(out);
        if sent.packets > 0 {
            let info = SenderInfo {
                ssrc: self.own,
                ntp: ntp(now),
                rtp: sent.timestamp,
                packet_count: sent.packets,
                octet_count: sent.octets,
            };
            writer.sender_report(&info, blocks)?;
        } else {
            writer.receiver_report(self.own, blocks)?;
        }
        writer.cname(self.own, CNAME)?;
        if is_goodbye {
            writer.goodbye(&[self.own], b"")?;
        } else {
            writer.application(&keep_alive(self.own, &KeepAlive::from(self.epoch).to_bytes()))?;
        }
        Ok(writer.finish())
    }

    fn report_block(&self, now: Instant, stream: &mut ReceivedStream) -> Option<ReportBlock> {
        let report = stream.reception.report()?;
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((sr, at)) => (sr, CompactNtp::from_duration(now.saturating_since(at))),
            None => (CompactNtp::default(), CompactNtp::default()),
        };
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: report.fraction_lost,
            cumulative_lost: i32::try_from(report.cumulative_lost).unwrap_or(i32::MAX),
            highest_sequence: ExtendedSequence(report.newest_index as u32),
            jitter: report.jitter,
            last_sr,
            delay_since_last_sr,
        })
    }
}

/// Returns what was received since the last report, of all streams together.
fn unreported(streams: &[ReceivedStream]) -> Unreported {
    let all = streams.iter().map(|stream| stream.reception.since_report());
    all.fold(Unreported::default(), |all, one| all + one)
}

/// How often a member tries to reach the node before it is answered. Source: the client's.
const FIRST_CONTACT_INTERVAL: Duration = Duration::from_millis(200);

/// The same for all: who a source is says the certificate.
const CNAME: &[u8] = b"load";

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Contact {
        Contact::new(Ssrc(1), MediaEpoch::default(), Random::new(1, 1))
    }

    #[test]
    fn order_in_a_keep_alive_is_learned() {
        let mut out = [0; 200];
        for order in [UplinkOrder::Voice, UplinkOrder::Probes, UplinkOrder::Everything] {
            let mut writer = CompoundWriter::new(&mut out);
            writer.receiver_report(Ssrc(9), &[]).unwrap();
            let said = KeepAlive { uplink: order, ..KeepAlive::default() }.to_bytes();
            writer.application(&keep_alive(Ssrc(9), &said)).unwrap();
            let length = writer.finish();
            let mut contact = contact();
            let changed = contact.handle_compound(&out[..length], Instant::ZERO).unwrap();
            assert_eq!((contact.order(), changed), (order, order != UplinkOrder::Everything));
        }
        assert!(contact().handle_compound(&[1, 2, 3], Instant::ZERO).is_err());
    }

    #[test]
    fn first_contact_is_repeated_until_answered_and_then_spread() {
        let mut contact = contact();
        let mut out = [0; 200];
        let now = Instant::from_millis(1_000);
        assert!(contact.write(now, Sent::default(), &mut [], false, &mut out) > 0);
        assert_eq!(contact.next(&[]), now + FIRST_CONTACT_INTERVAL);
        contact.handle_contact();
        let wait = contact.next(&[]).saturating_since(now);
        assert!((REPORT_INTERVAL..REPORT_INTERVAL * 3 / 2).contains(&wait), "{wait:?}");
    }

    #[test]
    fn each_stream_that_was_heard_is_reported() {
        let mut streams = [2, 3, 4]
            .map(|ssrc| ReceivedStream { ssrc: Ssrc(ssrc), reception: Reception::default() });
        for at in [0, 2] {
            for index in 7..9 {
                streams[at].reception.count(index, RtpTimestamp(0), Instant::ZERO);
            }
        }
        let mut out = [0; 300];
        let length = contact().write(Instant::ZERO, Sent::default(), &mut streams, false, &mut out);
        let mut packets = RtcpPackets::parse(&out[..length]).unwrap();
        let Some(RtcpPacket::ReceiverReport(report)) = packets.next() else { panic!("no report") };
        let reported: Vec<_> = report.blocks.map(|block| block.ssrc).collect();
        assert_eq!(reported, [Ssrc(2), Ssrc(4)]);
    }
}
