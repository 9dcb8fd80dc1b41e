//! A member's RTCP: keep-alives, reports, goodbye.

use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::leg::Ssrc;
use sabha_media::reception::{ReceptionReport, Unreported};
use sabha_media::red::{Copies, CopyChoice, REPORTED_MIN};
use sabha_media::rtcp::{
    CompactNtp, CompoundWriter, ExtendedSequence, LossRle, REPORT_INTERVAL, ReportBlock,
    ReportBlocks, ReportPace, RtcpPacket, RtcpPackets, RtcpWriteError, SenderInfo,
};
use sabha_media::rtp::SequenceNumber;
use sabha_media::shard::{KeepAlive, MediaEpoch, OwnVoice, RemoteReception, keep_alive, ntp};
use sabha_media::time::Instant;

use super::MemberSettings;
use super::local_mix::Stream;
use super::uplink::Uplink;
use crate::random::Random;

/// What is reported, and what the node reports.
pub(super) struct Reports {
    own: Ssrc,
    cname: String,
    epoch: MediaEpoch,
    pace: ReportPace,
    /// How often the node wants to hear of this member.
    interval: Duration,
    random: Random,
    /// When something is to be said that does not wait for the pace.
    early: Option<Instant>,
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
            cname: settings.cname.clone(),
            epoch: settings.epoch,
            pace: ReportPace::default(),
            interval: REPORT_INTERVAL,
            random: Random::new(settings.send_ssrc.0.into(), 0),
            early: None,
            connected: false,
            own_voice: OwnVoice::Returned,
            last_sr: None,
            round_trip: None,
            choice: CopyChoice::default(),
            is_reported: false,
            highest_sequence: None,
        }
    }

    /// Returns when the next compound is due, by what was received.
    pub(super) fn next(&self, streams: &[Stream]) -> Instant {
        let due = self.pace.due(unreported(streams));
        self.early.map_or(due, |early| early.min(due))
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
        self.early = Some(Instant::ZERO);
    }

    /// Takes the node's compound; returns what its keep-alive says, if there is one.
    pub(super) fn handle_compound(
        &mut self,
        compound: &[u8],
        received_at: Instant,
    ) -> Result<Option<KeepAlive>, DropReason> {
        let (mut said, mut heard, mut burst_lost) = (None, None, None);
        for packet in RtcpPackets::parse(compound)? {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    self.last_sr = Some((report.info.ntp.compact(), received_at));
                    heard = self.hear(report.blocks, received_at).or(heard);
                }
                RtcpPacket::ReceiverReport(report) => {
                    heard = self.hear(report.blocks, received_at).or(heard);
                }
                RtcpPacket::ExtendedReport(report) => {
                    let own = report.losses().find(|losses| losses.ssrc == self.own);
                    burst_lost = own.and_then(|losses| losses.burst_lost()).or(burst_lost);
                }
                RtcpPacket::Application(packet) => {
                    said = KeepAlive::from_application(&packet).or(said);
                    self.interval = said.map_or(self.interval, |said| said.report_interval);
                }
                _ => {}
            }
        }
        if let Some(heard) = heard {
            self.choice.handle_report(&RemoteReception { burst_lost, ..heard }.path());
            self.is_reported = true;
        }
        Ok(said)
    }

    /// Writes the next compound and returns its length, 0 if it does not fit.
    pub(super) fn write(
        &mut self,
        now: Instant,
        uplink: &Uplink,
        streams: &mut [Stream],
        goodbye: bool,
        out: &mut [u8],
    ) -> usize {
        // Until the node answers, its first contact is tried often.
        self.early = (!self.connected).then_some(now + FIRST_CONTACT_INTERVAL);
        let drawn = self.random.bits() as u16;
        self.pace.handle_report(now, unreported(streams), self.interval, drawn);
        self.compound(now, uplink, streams, goodbye, out).unwrap_or(0)
    }

    fn compound(
        &self,
        now: Instant,
        uplink: &Uplink,
        streams: &mut [Stream],
        goodbye: bool,
        out: &mut [u8],
    ) -> Result<usize, RtcpWriteError> {
        let mut reports = [None; RECEIVE_STREAMS_MAX];
        for (report, stream) in reports.iter_mut().zip(streams) {
            *report = stream.reception.report().map(|report| (stream.ssrc, report));
        }
        let (mut blocks, mut count) = ([ReportBlock::default(); RECEIVE_STREAMS_MAX], 0);
        for (ssrc, report) in reports.iter().flatten() {
            blocks[count] = self.report_block(now, *ssrc, report);
            count += 1;
        }
        let blocks = &blocks[..count];
        let mut writer = CompoundWriter::new(out);
        if uplink.packets() > 0 {
            let info = SenderInfo {
                ssrc: self.own,
                ntp: ntp(now),
                rtp: uplink.timestamp(),
                packet_count: uplink.packets() as u32,
                octet_count: uplink.octets() as u32,
            };
            writer.sender_report(&info, blocks)?;
        } else {
            writer.receiver_report(self.own, blocks)?;
        }
        writer.cname(self.own, self.cname.as_bytes())?;
        if goodbye {
            writer.goodbye(&[self.own], b"")?;
        } else {
            let said = KeepAlive { own_voice: self.own_voice, ..KeepAlive::from(self.epoch) };
            writer.application(&keep_alive(self.own, &said.to_bytes()))?;
        }
        write_losses(self.own, &reports, &mut writer)?;
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
    fn hear(&mut self, blocks: ReportBlocks<'_>, received_at: Instant) -> Option<RemoteReception> {
        let arrival = ntp(received_at).compact();
        let mut heard = None;
        for block in blocks.filter(|block| block.ssrc == self.own) {
            self.round_trip = block.round_trip(arrival).or(self.round_trip);
            let before = self.highest_sequence.replace(block.highest_sequence.0);
            let expected = before.map_or(0, |before| block.highest_sequence.0.wrapping_sub(before));
            if expected >= REPORTED_MIN {
                let (fraction_lost, jitter) = (block.fraction_lost, block.jitter);
                heard = Some(RemoteReception { fraction_lost, jitter, ..Default::default() });
            }
        }
        heard
    }
}

/// Returns what was received since the last report, of all streams together.
fn unreported(streams: &[Stream]) -> Unreported {
    let all = streams.iter().map(|stream| stream.reception.since_report());
    all.fold(Unreported::default(), |all, one| all + one)
}

/// Tells which packets were lost, of the streams that lost any.
fn write_losses(
    own: Ssrc,
    reports: &[Option<(Ssrc, ReceptionReport)>],
    writer: &mut CompoundWriter<'_>,
) -> Result<(), RtcpWriteError> {
    let (begin, end) = (SequenceNumber(0), SequenceNumber(0));
    let none = LossRle { ssrc: own, thinning: 0, begin, end, chunks: &[] };
    let (mut blocks, mut count) = ([none; RECEIVE_STREAMS_MAX], 0);
    for (ssrc, report) in reports.iter().flatten() {
        if let Some(losses) = &report.losses {
            blocks[count] = losses.block(*ssrc);
            count += 1;
        }
    }
    if count == 0 {
        return Ok(());
    }
    writer.extended_report(own, &blocks[..count])
}

/// How often a member tries to reach the node before it is answered.
const FIRST_CONTACT_INTERVAL: Duration = Duration::from_millis(200);
