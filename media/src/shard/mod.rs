//! One thread's share of the media plane: legs, keys, conferences.
//!
//! Steps 2 and 4 of a packet's way: finds the leg, unprotects in place, hands the packet to the
//! leg's engine, and protects what the engine queued straight into send slots. A packet that does
//! not authenticate changes nothing but a counter.

mod counters;
mod leg;
mod reports;
mod table;
mod timers;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use counters::ShardCounters;
pub use leg::{LegGrant, LegReport, LegRequest, RemoteReception};
pub use reports::{
    KEEP_ALIVE_NAME, KEEP_ALIVE_SUBTYPE, MediaEpoch, REPORT_INTERVAL, keep_alive, ntp,
};

use crate::drop_reason::DropReason;
use crate::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, ReceiveStream,
};
use crate::extension::ClientLevel;
use crate::leg::LegId;
use crate::outbox::{Body, Outbox, OutboxLimits};
use crate::rtcp::{RtcpPacket, RtcpPackets};
use crate::rtp::{PacketKind, RtpHeader, RtpPacket, SequenceNumber, classify, sender_ssrc};
use crate::srtp::{ProtectTap, StreamsError};
use crate::time::Instant;
use crate::transmit::{Datagram, Transmit};
use leg::Leg;
use table::{LegTable, receive_ssrc, send_ssrc};
use timers::Timers;

/// Names a conference on a shard; given out again only after it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConferenceKey(pub u32);

/// What a shard is made with.
pub struct ShardConfig {
    /// The shard's index on its node.
    pub index: u16,
    /// Legs that it admits, at most 65,536.
    pub legs_max: usize,
    /// Conferences that it admits.
    pub conferences_max: usize,
    /// Bounds of the outbox.
    pub outbox: OutboxLimits,
    /// Seeds first sequence numbers and timestamps; secret from nobody.
    pub seed: u64,
    /// Told of each use of a key, in tests and demonstrations.
    pub tap: Option<Arc<dyn ProtectTap>>,
}

/// What a shard reports to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardEvent {
    /// An engine's report.
    Engine(ConferenceKey, EngineOutput),
    /// The member said goodbye on the media path.
    Goodbye(LegId),
    /// Nothing authentic came from the member for `MEDIA_TIMEOUT`; nothing is sent to it any more.
    MediaLost(LegId),
}

/// Why a shard refuses a conference or a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// All slots for legs are taken.
    #[error("this shard holds all the {legs_max} legs it may; try another node")]
    LegsFull {
        /// The limit.
        legs_max: usize,
    },
    /// All slots for conferences are taken.
    #[error("this shard holds all the {conferences_max} conferences it may; try another node")]
    ConferencesFull {
        /// The limit.
        conferences_max: usize,
    },
    /// No such conference here.
    #[error("conference {0:?} is not on this shard")]
    UnknownConference(ConferenceKey),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] AddLegError),
    /// The keys cannot serve these streams.
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// One thread's legs and conferences, all of one kind of engine.
pub struct Shard<E: Engine> {
    config: ShardConfig,
    legs: LegTable,
    conferences: Vec<Option<Conference<E>>>,
    free_conferences: Vec<u32>,
    resources: E::Resources,
    outbox: Outbox,
    timers: Timers,
    events: VecDeque<ShardEvent>,
    counters: ShardCounters,
    random: u64,
    /// Scratch memory: the legs whose turn it is to be sent a report.
    reported: Vec<LegId>,
}

struct Conference<E> {
    engine: E,
    epoch: MediaEpoch,
}

impl<E: Engine> Shard<E> {
    /// Makes an empty shard.
    pub fn new(config: ShardConfig, resources: E::Resources) -> Self {
        Self {
            legs: LegTable::new(config.index, config.legs_max),
            conferences: Vec::new(),
            free_conferences: Vec::new(),
            resources,
            outbox: Outbox::new(config.outbox),
            timers: Timers::new(config.conferences_max),
            events: VecDeque::with_capacity(EVENTS_MAX),
            counters: ShardCounters::default(),
            random: config.seed,
            reported: Vec::with_capacity(config.legs_max.div_ceil(REPORT_TURNS)),
            config,
        }
    }

    /// Adds a conference.
    ///
    /// # Errors
    /// `ConferencesFull` at the limit.
    pub fn add_conference(
        &mut self,
        engine: E,
        epoch: MediaEpoch,
    ) -> Result<ConferenceKey, ShardError> {
        let conference = Conference { engine, epoch };
        if let Some(key) = self.free_conferences.pop() {
            self.conferences[key as usize] = Some(conference);
            return Ok(ConferenceKey(key));
        }
        let conferences_max = self.config.conferences_max;
        if self.conferences.len() >= conferences_max {
            return Err(ShardError::ConferencesFull { conferences_max });
        }
        self.conferences.push(Some(conference));
        Ok(ConferenceKey(self.conferences.len() as u32 - 1))
    }

    /// Removes a conference and all its legs; returns its engine.
    pub fn remove_conference(&mut self, now: Instant, key: ConferenceKey) -> Option<E> {
        let legs: Vec<_> = self.legs.stride(0, 1).collect();
        for id in legs {
            if self.legs.leg(id).is_some_and(|leg| leg.conference == key) {
                self.remove_leg(now, id);
            }
        }
        let conference = self.conferences.get_mut(key.0 as usize)?.take()?;
        self.timers.cancel(key);
        self.free_conferences.push(key.0);
        Some(conference.engine)
    }

    /// Adds a leg to a conference and allots its SSRCs.
    ///
    /// # Errors
    /// `ShardError`; nothing changed then.
    pub fn add_leg(
        &mut self,
        now: Instant,
        key: ConferenceKey,
        request: &LegRequest,
    ) -> Result<LegGrant, ShardError> {
        let Some(Some(conference)) = self.conferences.get_mut(key.0 as usize) else {
            return Err(ShardError::UnknownConference(key));
        };
        let legs_max = self.config.legs_max;
        let id = self.legs.reserve().ok_or(ShardError::LegsFull { legs_max })?;
        let streams = conference.engine.receive_streams();
        let receive = (0..streams)
            .map(|slot| ReceiveStream {
                ssrc: receive_ssrc(id, slot),
                first_sequence_number: SequenceNumber(next_random(&mut self.random) as u16 >> 1),
                timestamp_offset: next_random(&mut self.random) as u32,
            })
            .collect();
        let config = LegConfig { id, role: request.role, send_ssrc: send_ssrc(id), receive };
        let grant = LegGrant {
            id,
            send_ssrc: config.send_ssrc,
            receive_ssrcs: config.receive.iter().map(|stream| stream.ssrc).collect(),
        };
        let made = Leg::new(now, &config, key, request, self.config.tap.clone());
        let mut leg = made.inspect_err(|_| {
            self.legs.release(id);
        })?;
        leg.key = conference.engine.add_leg(now, config).inspect_err(|_| {
            self.legs.release(id);
        })?;
        self.legs.fill(leg);
        self.timers.start_reports(now);
        Ok(grant)
    }

    /// Removes a leg; a stale name changes nothing. Returns whether there was one.
    pub fn remove_leg(&mut self, now: Instant, id: LegId) -> bool {
        if self.legs.leg(id).is_none() {
            return false;
        }
        let Some(leg) = self.legs.release(id) else { return false };
        if let Some(Some(conference)) = self.conferences.get_mut(leg.conference.0 as usize) {
            conference.engine.remove_leg(now, leg.key, &mut self.resources);
        }
        self.reschedule(leg.conference);
        true
    }

    /// Passes a change on to the engine of a leg's conference; `input` is told the engine's key.
    pub fn handle_input(
        &mut self,
        now: Instant,
        id: LegId,
        input: impl FnOnce(crate::engine::LegKey) -> EngineInput,
    ) -> bool {
        let Some(leg) = self.legs.leg(id) else { return false };
        let (conference, input) = (leg.conference, input(leg.key));
        if let Some(Some(conference)) = self.conferences.get_mut(conference.0 as usize) {
            conference.engine.handle_input(now, input);
        }
        self.reschedule(conference);
        true
    }

    /// Takes a datagram from the network.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) {
        self.counters.packets_in += 1;
        self.counters.octets_in += datagram.bytes.len() as u64;
        let outcome = match classify(datagram.bytes) {
            PacketKind::Rtp => self.handle_rtp(now, datagram, transmit),
            PacketKind::Rtcp => self.handle_rtcp(now, datagram, transmit),
            PacketKind::Neither => Err(DropReason::NotRtp),
        };
        if let Err(reason) = outcome {
            self.counters.drops.count(reason);
        }
    }

    /// Does what is due: engines' ticks, deferred packets, reports.
    pub fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        while let Some(key) = self.timers.pop_due(now) {
            if let Some(Some(conference)) = self.conferences.get_mut(key.0 as usize) {
                conference.engine.handle_timeout(now, &mut self.resources, &mut self.outbox);
                self.drain(now, transmit);
            }
            self.reschedule(key);
        }
        self.drain(now, transmit);
        while let Some(turn) = self.timers.pop_reports(now) {
            self.send_reports(now, turn, transmit);
            if self.legs.len() == 0 {
                self.timers.stop_reports();
            }
        }
    }

    /// Returns when `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.outbox.poll_timeout()].into_iter().flatten().min()
    }

    /// Returns the next event, until there is none.
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        self.events.pop_front()
    }

    /// Returns the engine of a conference.
    pub fn engine(&self, key: ConferenceKey) -> Option<&E> {
        self.conferences.get(key.0 as usize)?.as_ref().map(|conference| &conference.engine)
    }

    /// Gives every engine.
    pub fn engines(&self) -> impl Iterator<Item = &E> {
        self.conferences.iter().flatten().map(|conference| &conference.engine)
    }

    /// Returns one leg's figures.
    pub fn leg_report(&self, id: LegId) -> Option<LegReport> {
        self.legs.leg(id).map(Leg::report)
    }

    /// Returns the number of legs.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> ShardCounters {
        ShardCounters { outbox_refused: self.outbox.refused(), ..self.counters.clone() }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) -> Result<(), DropReason> {
        let Datagram { from, received_at, bytes } = datagram;
        let ssrc = sender_ssrc(bytes).ok_or(DropReason::TooShort)?;
        let leg = self.legs.by_send_ssrc(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let plain = leg.receiver.unprotect_rtp(bytes)?;
        if leg.receiver.newest_index(ssrc) == Some(plain.index) && leg.follow(now, from) {
            self.counters.address_changes += 1;
        }
        let packet = RtpPacket::parse(&bytes[..plain.length])?;
        let level = ClientLevel::read(&packet)?;
        leg.reception.count(plain.index.0, packet.timestamp(), received_at);
        let incoming = IncomingPacket {
            index: plain.index.0,
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            level,
            received_at,
            payload: packet.payload(),
        };
        let (key, conference_key) = (leg.key, leg.conference);
        let Some(Some(conference)) = self.conferences.get_mut(conference_key.0 as usize) else {
            return Err(DropReason::UnknownSsrc);
        };
        let (resources, outbox) = (&mut self.resources, &mut self.outbox);
        let outcome = conference.engine.handle_rtp(now, key, &incoming, resources, outbox);
        if !self.outbox.is_empty() {
            self.drain(now, transmit);
        }
        self.reschedule(conference_key);
        outcome
    }

    fn handle_rtcp(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) -> Result<(), DropReason> {
        let Datagram { from, received_at, bytes } = datagram;
        let ssrc = sender_ssrc(bytes).ok_or(DropReason::TooShort)?;
        let leg = self.legs.by_send_ssrc(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let plain = leg.receiver.unprotect_rtcp(bytes)?;
        let mut moved = false;
        if leg.newest_rtcp.is_none_or(|newest| newest < plain.index) {
            leg.newest_rtcp = Some(plain.index);
            moved = leg.follow(now, from);
        }
        self.counters.reports_in += 1;
        let id = leg.id;
        for packet in RtcpPackets::parse(&bytes[..plain.length])? {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    leg.last_sr = Some((report.info.ntp.compact(), received_at));
                    hear_blocks(leg, report.blocks, received_at);
                }
                RtcpPacket::ReceiverReport(report) => {
                    hear_blocks(leg, report.blocks, received_at);
                }
                RtcpPacket::Goodbye(goodbye) if goodbye.sources().any(|source| source == ssrc) => {
                    push_event(&mut self.events, &mut self.counters, ShardEvent::Goodbye(id));
                }
                _ => {}
            }
        }
        if moved {
            // Answer at once: the member learns that its new path works both ways.
            self.counters.address_changes += 1;
            self.send_report(now, id, transmit);
        }
        Ok(())
    }

    /// Sends what engines queued, and tells control what they report.
    fn drain(&mut self, now: Instant, transmit: &mut impl Transmit) {
        let Self { outbox, legs, counters, .. } = self;
        outbox.drain(now, |id, header, body| {
            let Some(leg) = legs.leg_mut(id) else { return };
            let Some(to) = leg.address else {
                counters.drops.count(DropReason::NoAddress);
                return;
            };
            send_packet(leg, header, &body, to, counters, transmit);
        });
    }

    fn send_reports(&mut self, now: Instant, turn: usize, transmit: &mut impl Transmit) {
        let mut legs = std::mem::take(&mut self.reported);
        legs.clear();
        legs.extend(self.legs.stride(turn, REPORT_TURNS));
        for id in &legs {
            self.send_report(now, *id, transmit);
        }
        self.reported = legs;
    }

    fn send_report(&mut self, now: Instant, id: LegId, transmit: &mut impl Transmit) {
        let Self { legs, conferences, counters, events, .. } = self;
        let Some(leg) = legs.leg_mut(id) else { return };
        if now.saturating_since(leg.heard_at) > MEDIA_TIMEOUT {
            if leg.address.take().is_some() || leg.reception.received() == 0 {
                leg.heard_at = now;
                push_event(events, counters, ShardEvent::MediaLost(id));
            }
            return;
        }
        let Some(to) = leg.address else { return };
        let epoch = match conferences.get(leg.conference.0 as usize) {
            Some(Some(conference)) => conference.epoch,
            _ => return,
        };
        transmit.transmit(to, |slot| {
            let written = reports::write_compound(leg, now, epoch, slot).unwrap_or(0);
            let sealed = if written == 0 { Ok(0) } else { leg.sender.protect_rtcp(slot, written) };
            counters.reports_out += u64::from(sealed.is_ok());
            sealed.unwrap_or(0)
        });
    }

    /// Takes an engine's reports and its next deadline.
    fn reschedule(&mut self, key: ConferenceKey) {
        let Some(Some(conference)) = self.conferences.get_mut(key.0 as usize) else { return };
        while let Some(output) = conference.engine.poll_output() {
            let event = ShardEvent::Engine(key, output);
            push_event(&mut self.events, &mut self.counters, event);
        }
        self.timers.set(key, conference.engine.poll_timeout());
    }
}

fn send_packet(
    leg: &mut Leg,
    header: RtpHeader,
    body: &Body<'_>,
    to: SocketAddr,
    counters: &mut ShardCounters,
    transmit: &mut impl Transmit,
) {
    transmit.transmit(to, |slot| {
        let fixed = header.write_fixed(body.csrc_count, body.has_extension, slot);
        let length = fixed + body.bytes.len();
        slot[fixed..length].copy_from_slice(body.bytes);
        let Ok(sealed) = leg.sender.protect_rtp(slot, length) else {
            counters.drops.count(DropReason::IndexExhausted);
            return 0;
        };
        leg.packets_out += 1;
        leg.octets_out += body.bytes.len() as u64;
        leg.last_timestamp_out = header.timestamp.0;
        counters.packets_out += 1;
        counters.octets_out += sealed as u64;
        sealed
    });
}

fn hear_blocks(leg: &mut Leg, blocks: crate::rtcp::ReportBlocks<'_>, received_at: Instant) {
    let arrival = ntp(received_at).compact();
    for block in blocks {
        if leg.receive.first().is_some_and(|stream| stream.ssrc == block.ssrc) {
            leg.hear_report(&block, arrival);
        }
    }
}

fn push_event(events: &mut VecDeque<ShardEvent>, counters: &mut ShardCounters, event: ShardEvent) {
    if events.len() == EVENTS_MAX {
        counters.events_dropped += 1;
        return;
    }
    events.push_back(event);
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a seed over first numbers. Not for secrets.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// After so long without an authentic packet a member is taken for gone: six keep-alives.
pub const MEDIA_TIMEOUT: Duration = Duration::from_secs(30);

/// Parts of a report interval; in each, one part of the legs is sent its compound.
const REPORT_TURNS: usize = 50;

/// Events that wait for control. Chosen: a second of everybody talking at once.
const EVENTS_MAX: usize = 4_096;
