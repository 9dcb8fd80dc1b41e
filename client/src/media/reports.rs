//! A member's RTCP: keep-alives, reports, goodbye.

use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::leg::Ssrc;
use sabha_media::reception::{Reception, ReceptionReport};
use sabha_media::red::{Copies, CopyChoice, REPORTED_MIN};
use sabha_media::rtcp::{
    CompactNtp, CompoundWriter, ExtendedSequence, ReportBlock, ReportBlocks, RtcpPacket,
    RtcpPackets, RtcpWriteError, SenderInfo,
};
use sabha_media::shard::{
    KeepAlive, MediaEpoch, OwnVoice, REPORT_INTERVAL, RemoteReception, keep_alive, ntp,
};
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
    choice: CopyChoice,
    /// Whether the node has reported since copies were last asked for.
    is_reported: bool,
    /// The newest packet that the node has told of.
    highest_sequence: Option<u32>,
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
            choice: CopyChoice::default(),
            is_reported: false,
            highest_sequence: None,
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

    /// Gives out which copies the node's newest report asks for, once.
    pub(super) fn poll_copies(&mut self) -> Option<Copies> {
        std::mem::take(&mut self.is_reported).then(|| self.choice.copies())
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
        let (mut said, mut loss, mut burst_lost) = (None, None, None);
        for packet in RtcpPackets::parse(compound)? {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    self.last_sr = Some((report.info.ntp.compact(), received_at));
                    loss = self.hear(report.blocks, received_at).or(loss);
                }
                RtcpPacket::ReceiverReport(report) => {
                    loss = self.hear(report.blocks, received_at).or(loss);
                }
                RtcpPacket::ExtendedReport(report) => {
                    let own = report.losses().find(|losses| losses.ssrc == self.own);
                    burst_lost = own.and_then(|losses| losses.burst_lost()).or(burst_lost);
                }
                RtcpPacket::Application(packet) => {
                    said = KeepAlive::from_application(&packet).or(said);
                }
                _ => {}
            }
        }
        if let Some(fraction_lost) = loss {
            let heard = RemoteReception { fraction_lost, burst_lost, ..Default::default() };
            self.choice.handle_report(heard.loss(), heard.burst_loss());
            self.is_reported = true;
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
        let report = self.stream.zip(reception.report());
        let block = report.map(|(stream, report)| self.report_block(now, stream, &report));
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
        if let Some((stream, losses)) =
            report.and_then(|(ssrc, report)| Some((ssrc, report.losses?)))
        {
            writer.extended_report(self.own, &[losses.block(stream)])?;
        }
        Ok(writer.finish())
    }

    fn report_block(&self, now: Instant, ssrc: Ssrc, report: &ReceptionReport) -> ReportBlock {
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((sr, at)) => (sr, CompactNtp::from_duration(now.saturating_since(at))),
            None => (CompactNtp::default(), CompactNtp::default()),
        };
        ReportBlock {
            ssrc,
            fraction_lost: report.fraction_lost,
            cumulative_lost: i32::try_from(report.cumulative_lost).unwrap_or(i32::MAX),
            highest_sequence: ExtendedSequence(report.newest_index as u32),
            jitter: report.jitter,
            last_sr,
            delay_since_last_sr,
        }
    }

    /// Takes in what the node says of the member's stream; returns the share lost, in 1/256.
    fn hear(&mut self, blocks: ReportBlocks<'_>, received_at: Instant) -> Option<u8> {
        let arrival = ntp(received_at).compact();
        let mut lost = None;
        for block in blocks.filter(|block| block.ssrc == self.own) {
            self.round_trip = block.round_trip(arrival).or(self.round_trip);
            let before = self.highest_sequence.replace(block.highest_sequence.0);
            let expected = before.map_or(0, |before| block.highest_sequence.0.wrapping_sub(before));
            if expected >= REPORTED_MIN {
                lost = lost.max(Some(block.fraction_lost));
            }
        }
        lost
    }
}

/// How often a member tries to reach the node before it is answered.
const FIRST_CONTACT_INTERVAL: Duration = Duration::from_millis(200);
