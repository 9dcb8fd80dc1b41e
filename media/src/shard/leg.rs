//! What a shard keeps of one leg: keys, address, reception.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::engine::{LegConfig, LegKey, ReceiveStream};
use crate::leg::{LegId, LegRole, Ssrc};
use crate::reception::Reception;
use crate::rtcp::{CompactNtp, ReportBlock};
use crate::shard::ConferenceKey;
use crate::srtp::{MasterKey, PacketIndex, ProtectTap, SrtpReceiver, SrtpSender, StreamsError};
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

/// What a member last reported of the stream it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteReception {
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Interarrival jitter at the member, in samples.
    pub jitter: u32,
    /// Round trip on the media path, if measured yet.
    pub round_trip: Option<std::time::Duration>,
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
    pub(super) send_ssrc: Ssrc,
    pub(super) receive: Vec<ReceiveStream>,
    pub(super) address: Option<SocketAddr>,
    pub(super) heard_at: Instant,
    pub(super) receiver: SrtpReceiver,
    pub(super) sender: SrtpSender,
    pub(super) newest_rtcp: Option<PacketIndex>,
    pub(super) reception: Reception,
    pub(super) remote: RemoteReception,
    pub(super) last_sr: Option<(CompactNtp, Instant)>,
    pub(super) packets_out: u64,
    pub(super) octets_out: u64,
    pub(super) last_timestamp_out: u32,
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
            send_ssrc: config.send_ssrc,
            receive: config.receive.clone(),
            address: None,
            heard_at: now,
            receiver: SrtpReceiver::new(&request.receive_key, &[config.send_ssrc])?,
            sender,
            newest_rtcp: None,
            reception: Reception::default(),
            remote: RemoteReception::default(),
            last_sr: None,
            packets_out: 0,
            octets_out: 0,
            last_timestamp_out: 0,
        })
    }

    /// Follows the member to a new address; the caller has authenticated a packet from it, newer
    /// than all before. Returns whether it changed.
    pub(super) fn follow(&mut self, now: Instant, from: SocketAddr) -> bool {
        self.heard_at = now;
        let moved = self.address != Some(from);
        self.address = Some(from);
        moved
    }

    /// Takes in what the member says of the stream that it is sent.
    pub(super) fn hear_report(&mut self, block: &ReportBlock, arrival: CompactNtp) {
        self.remote = RemoteReception {
            fraction_lost: block.fraction_lost,
            jitter: block.jitter,
            round_trip: block.round_trip(arrival).or(self.remote.round_trip),
        };
    }

    pub(super) fn report(&self) -> LegReport {
        LegReport {
            packets_in: self.reception.received(),
            lost: self.reception.lost(),
            jitter: self.reception.jitter(),
            packets_out: self.packets_out,
            remote: self.remote,
        }
    }
}
