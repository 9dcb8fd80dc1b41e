//! What a shard keeps of one leg: keys, address, reception.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::codec::samples_duration;
use crate::engine::{LegConfig, LegKey};
use crate::leg::{LegId, LegRole, Ssrc};
use crate::reception::{Reception, ReceptionReport};
use crate::red::{PathReport, REPORTED_MIN, UNREPORTED_MAX};
use crate::rtcp::{
    CompactNtp, ExtendedReport, ExtendedSequence, LossRle, ReportBlocks, ReportPace,
};
use crate::rtp::{RtpHeader, RtpTimestamp};
use crate::shard::bitrate::BitrateChoice;
use crate::shard::orders::LegOrders;
use crate::shard::{ConferenceKey, OwnVoice, ntp};
use crate::srtp::{MasterKey, ProtectTap, SrtpReceiver, SrtpSender, Streams, StreamsError};
use crate::time::Instant;

/// What control gives for a new leg.
#[derive(Debug)]
pub struct LegRequest {
    /// What the leg is for.
    pub role: LegRole,
    /// The key of what the member sends.
    pub receive_key: MasterKey,
    /// The key of what the member is sent.
    pub send_key: MasterKey,
    /// Whether the member takes redundant audio, and may send it.
    pub red: bool,
}

/// What a shard allotted to a new leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegGrant {
    /// The leg's name.
    pub id: LegId,
    /// The SSRC that the member must send with.
    pub send_ssrc: Ssrc,
    /// The SSRCs that the member will receive, in slot order.
    pub receive_ssrcs: Vec<Ssrc>,
}

/// What a member last reported of the streams it is sent, taken together by their packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteReception {
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost together with their follower since the report before, in 1/65,536; `None` if the
    /// member does not tell.
    pub burst_lost: Option<u16>,
    /// Interarrival jitter at the member, in samples, of the stream that has most.
    pub jitter: u32,
    /// Round trip on the media path, if measured yet.
    pub round_trip: Option<std::time::Duration>,
    /// Packets that were due since the report before.
    pub expected: u32,
}

impl RemoteReception {
    /// Returns what it tells of the way.
    pub fn path(&self) -> PathReport {
        let (loss, burst_loss) = (self.loss(), self.burst_loss());
        PathReport { loss, burst_loss, jitter: samples_duration(self.jitter) }
    }

    /// Returns the share of packets lost, 0.0 to 1.0.
    pub fn loss(&self) -> f32 {
        f32::from(self.fraction_lost) / FRACTION_ONE
    }

    /// Returns the share of packets lost together with their follower, 0.0 to 1.0; that is nothing
    /// if none was lost, and `None` if the member does not tell.
    pub fn burst_loss(&self) -> Option<f32> {
        let told = self.burst_lost.map(|lost| f32::from(lost) / BURST_LOST_ONE);
        told.or((self.fraction_lost == 0).then_some(0.0))
    }
}

/// One leg's figures, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegReport {
    /// Packets received from the member.
    pub packets_in: u64,
    /// Packets of the member that never came.
    pub lost: i64,
    /// Interarrival jitter of the member's packets, in samples.
    pub jitter: u32,
    /// Packets sent to the member.
    pub packets_out: u64,
    /// What the member reports.
    pub remote: RemoteReception,
}

pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) conference: ConferenceKey,
    pub(super) key: LegKey,
    /// Its place among the legs of its conference.
    pub(super) place: u16,
    pub(super) send_ssrc: Ssrc,
    /// The streams that the member is sent, in slot order.
    pub(super) sent: Streams<SentStream>,
    pub(super) address: Option<SocketAddr>,
    pub(super) heard_at: Instant,
    /// Whether `MediaLost` was told since the member was last heard.
    pub(super) is_lost: bool,
    /// Whether `Goodbye` was told.
    pub(super) said_goodbye: bool,
    pub(super) receiver: SrtpReceiver,
    pub(super) sender: SrtpSender,
    pub(super) reception: Reception,
    pub(super) remote: RemoteReception,
    /// Packets that had been sent when the member last reported.
    pub(super) sent_at_report: u64,
    pub(super) last_sr: Option<(CompactNtp, Instant)>,
    pub(super) orders: LegOrders,
    /// What the member is told of its own voice.
    pub(super) own_voice: OwnVoice,
    /// By what the member's packets lose; `None` if it sends no copies.
    pub(super) bitrate: Option<BitrateChoice>,
    /// When the member is next told of its packets, and of its orders.
    pub(super) pace: ReportPace,
}

/// What was sent of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentStream {
    pub(super) packets: u64,
    /// Without headers' fixed part and authentication tags.
    pub(super) octets: u64,
    /// The last packet's timestamp, and when it was sent.
    pub(super) last: Option<(RtpTimestamp, Instant)>,
    /// The newest packet that the member tells of.
    highest_sequence: ExtendedSequence,
    /// Packets that were due between its last two reports.
    due: u32,
}

impl Leg {
    pub(super) fn new(
        now: Instant,
        config: &LegConfig,
        conference: ConferenceKey,
        request: &LegRequest,
        tap: Option<Arc<dyn ProtectTap>>,
    ) -> Result<Self, StreamsError> {
        let receive_ssrcs: Vec<_> = config.receive.iter().map(|stream| stream.ssrc).collect();
        let mut sender = SrtpSender::new(&request.send_key, &receive_ssrcs)?;
        sender.set_tap(tap);
        Ok(Self {
            id: config.id,
            conference,
            key: LegKey(0),
            place: 0,
            send_ssrc: config.send_ssrc,
            sent: Streams::new(&receive_ssrcs)?,
            address: None,
            heard_at: now,
            is_lost: false,
            said_goodbye: false,
            receiver: SrtpReceiver::new(&request.receive_key, &[config.send_ssrc])?,
            sender,
            reception: Reception::default(),
            remote: RemoteReception::default(),
            sent_at_report: 0,
            last_sr: None,
            orders: LegOrders::default(),
            own_voice: OwnVoice::default(),
            bitrate: request.red.then(BitrateChoice::default),
            pace: ReportPace::default(),
        })
    }

    /// Follows the member to a new address; the caller has authenticated a packet from it, newer
    /// than all before. Returns whether it changed.
    pub(super) fn follow(&mut self, now: Instant, from: SocketAddr) -> bool {
        self.heard_at = now;
        self.is_lost = false;
        let moved = self.address != Some(from);
        self.address = Some(from);
        moved
    }

    /// Takes in what the member says of the streams that it is sent; returns it, if it says
    /// anything of them.
    pub(super) fn hear_blocks(
        &mut self,
        blocks: ReportBlocks<'_>,
        received_at: Instant,
    ) -> Option<RemoteReception> {
        let arrival = ntp(received_at).compact();
        self.sent.iter_mut().for_each(|(_, stream)| stream.due = 0);
        let mut heard =
            RemoteReception { round_trip: self.remote.round_trip, ..Default::default() };
        let (mut lost, mut weights) = (0, 0);
        for block in blocks {
            let Some(stream) = self.sent.stream_mut(block.ssrc) else { continue };
            let before = std::mem::replace(&mut stream.highest_sequence, block.highest_sequence);
            stream.due = match before.0 {
                0 => stream.packets.try_into().unwrap_or(u32::MAX),
                before => block.highest_sequence.0.wrapping_sub(before),
            };
            heard.expected = heard.expected.saturating_add(stream.due);
            weights += stream.weight();
            lost += stream.weight() * u64::from(block.fraction_lost);
            heard.jitter = heard.jitter.max(block.jitter);
            heard.round_trip = block.round_trip(arrival).or(heard.round_trip);
        }
        heard.fraction_lost = lost.checked_div(weights)? as u8;
        (self.remote, self.sent_at_report) = (heard, self.packets_out());
        Some(heard)
    }

    /// Takes in which packets the member says were lost of the streams that it is sent; of those
    /// that it says nothing of, none was.
    pub(super) fn hear_losses(&mut self, report: &ExtendedReport<'_>) {
        let share = |losses: LossRle<'_>| {
            let stream = self.sent.stream(losses.ssrc)?;
            Some(stream.weight() * u64::from(losses.burst_lost()?))
        };
        let lost = report.losses().filter_map(share).reduce(|all, one| all + one);
        let due: u64 = self.sent.iter().map(|(_, stream)| u64::from(stream.due)).sum();
        let burst_lost = lost.map(|lost| u16::try_from(lost / due.max(1)).unwrap_or(u16::MAX));
        self.remote.burst_lost = burst_lost.or(self.remote.burst_lost);
    }

    /// Makes a report of what came from the member, and takes it in.
    pub(super) fn make_report(&mut self) -> Option<ReceptionReport> {
        let report = self.reception.report()?;
        if let Some(bitrate) = &mut self.bitrate
            && report.expected >= REPORTED_MIN.into()
        {
            let losses = report.losses.as_ref().map(|losses| losses.block(self.send_ssrc));
            let burst_lost = losses.and_then(|losses| losses.burst_lost());
            let heard = RemoteReception {
                fraction_lost: report.fraction_lost,
                burst_lost,
                jitter: report.jitter,
                ..RemoteReception::default()
            };
            bitrate.handle_report(&heard.path());
        }
        Some(report)
    }

    /// Counts a packet that was sealed.
    pub(super) fn count_sent(&mut self, now: Instant, header: &RtpHeader, octets: usize) {
        let Some(stream) = self.sent.stream_mut(header.ssrc) else { return };
        stream.packets += 1;
        stream.octets += octets as u64;
        stream.last = Some((header.timestamp, now));
    }

    /// Returns whether the member was sent so much without reporting that it may never do so.
    pub(super) fn is_unreported(&self) -> bool {
        self.packets_out() - self.sent_at_report >= UNREPORTED_MAX
    }

    fn packets_out(&self) -> u64 {
        self.sent.iter().map(|(_, stream)| stream.packets).sum()
    }

    pub(super) fn report(&self) -> LegReport {
        LegReport {
            packets_in: self.reception.received(),
            lost: self.reception.lost(),
            jitter: self.reception.jitter(),
            packets_out: self.packets_out(),
            remote: self.remote,
        }
    }
}

impl SentStream {
    /// Returns how much a report on it counts, by the packets that were due.
    fn weight(&self) -> u64 {
        self.due.max(1).into()
    }
}

/// What a fraction lost counts in: 1/256 (RFC 3550 section 6.4.1).
const FRACTION_ONE: f32 = 256.0;

/// What `burst_lost` counts in.
const BURST_LOST_ONE: f32 = 65_536.0;

/// What a leg takes in the table: 760 octets and one cipher's context of 584; with the three contexts
/// that lie outside it is 3 KiB.
const LEG_SIZE_MAX: usize = 760 + 584;

const _: () = assert!(size_of::<Leg>() <= LEG_SIZE_MAX, "ten thousand legs are to stay small");
