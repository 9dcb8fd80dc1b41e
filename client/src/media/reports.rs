//! A member's RTCP: keep-alives, reports, goodbye.

use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::leg::Ssrc;
use sabha_media::reception::Reception;
use sabha_media::rtcp::{
    CompactNtp, CompoundWriter, ExtendedSequence, ReportBlock, ReportBlocks, RtcpPacket,
    RtcpPackets, RtcpWriteError, SenderInfo,
};
use sabha_media::shard::{KeepAlive, MediaEpoch, OwnVoice, REPORT_INTERVAL, keep_alive, ntp};
use sabha_media::time::Instant;

use super::MemberSettings;
use super::uplink::Uplink;

/// What is reported, and what the node reports.
pub(super) struct Reports {
    own: Ssrc,
    stream: Option<Ssrc>,
    cname: String,
    epoch: MediaEpoch,
    next: Instant,
    connected: bool,
    own_voice: OwnVoice,
    last_sr: Option<(CompactNtp, Instant)>,
    round_trip: Option<Duration>,
}

impl Reports {
    pub(super) fn new(settings: &MemberSettings) -> Self {
        Self {
            own: settings.send_ssrc,
            stream: settings.receive_ssrcs.first().copied(),
            cname: settings.cname.clone(),
            epoch: settings.epoch,
            next: Instant::ZERO,
            connected: false,
            own_voice: OwnVoice::Returned,
            last_sr: None,
            round_trip: None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Learns that something authentic came from the node.
    pub(super) fn handle_contact(&mut self) {
        self.connected = true;
    }

    /// Wishes for the own voice; the node is told at once.
    pub(super) fn set_own_voice(&mut self, own_voice: OwnVoice) {
        self.own_voice = own_voice;
        self.next = Instant::ZERO;
    }

    /// Takes the node's compound; returns what its keep-alive says, if there is one.
    pub(super) fn handle_compound(
        &mut self,
        compound: &[u8],
        received_at: Instant,
    ) -> Result<Option<KeepAlive>, DropReason> {
        let mut said = None;
        for packet in RtcpPackets::parse(compound)? {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    self.last_sr = Some((report.info.ntp.compact(), received_at));
                    self.hear(report.blocks, received_at);
                }
                RtcpPacket::ReceiverReport(report) => self.hear(report.blocks, received_at),
                RtcpPacket::Application(packet) => {
                    said = KeepAlive::from_application(&packet).or(said);
                }
                _ => {}
            }
        }
        Ok(said)
    }

    /// Writes the next compound and returns its length, 0 if it does not fit.
    pub(super) fn write(
        &mut self,
        now: Instant,
        uplink: &Uplink,
        reception: &mut Reception,
        goodbye: bool,
        out: &mut [u8],
    ) -> usize {
        // Until the node answers, its first contact is tried often.
        self.next = now + if self.connected { REPORT_INTERVAL } else { FIRST_CONTACT_INTERVAL };
        self.compound(now, uplink, reception, goodbye, out).unwrap_or(0)
    }

    fn compound(
        &self,
        now: Instant,
        uplink: &Uplink,
        reception: &mut Reception,
        goodbye: bool,
        out: &mut [u8],
    ) -> Result<usize, RtcpWriteError> {
        let block = self.report_block(now, reception);
        let mut writer = CompoundWriter::new(out);
        if uplink.packets() > 0 {
            let info = SenderInfo {
                ssrc: self.own,
                ntp: ntp(now),
                rtp: uplink.timestamp(),
                packet_count: uplink.packets() as u32,
                octet_count: uplink.octets() as u32,
            };
            writer.sender_report(&info, block.as_slice())?;
        } else {
            writer.receiver_report(self.own, block.as_slice())?;
        }
        writer.cname(self.own, self.cname.as_bytes())?;
        if goodbye {
            writer.goodbye(&[self.own], b"")?;
        } else {
            let said = KeepAlive { own_voice: self.own_voice, ..KeepAlive::from(self.epoch) };
            writer.application(&keep_alive(self.own, &said.to_bytes()))?;
        }
        Ok(writer.finish())
    }

    fn report_block(&self, now: Instant, reception: &mut Reception) -> Option<ReportBlock> {
        let ssrc = self.stream?;
        let report = reception.report()?;
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((sr, at)) => (sr, CompactNtp::from_duration(now.saturating_since(at))),
            None => (CompactNtp::default(), CompactNtp::default()),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: report.fraction_lost,
            cumulative_lost: i32::try_from(report.cumulative_lost).unwrap_or(i32::MAX),
            highest_sequence: ExtendedSequence(report.newest_index as u32),
            jitter: report.jitter,
            last_sr,
            delay_since_last_sr,
        })
    }

    fn hear(&mut self, blocks: ReportBlocks<'_>, received_at: Instant) {
        let arrival = ntp(received_at).compact();
        for block in blocks.filter(|block| block.ssrc == self.own) {
            self.round_trip = block.round_trip(arrival).or(self.round_trip);
        }
    }
}

/// How often a member tries to reach the node before it is answered.
const FIRST_CONTACT_INTERVAL: Duration = Duration::from_millis(200);
