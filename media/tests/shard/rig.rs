//! A shard in virtual time, members with real keys, and an engine that forwards as a bridge does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
};
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::{Outbox, OutboxLimits};
use sabha_media::rtcp::{CompoundWriter, RtcpPacket, RtcpPackets};
use sabha_media::rtp::{
    PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, classify,
};
use sabha_media::shard::{
    ConferenceKey, LegGrant, LegRequest, MediaEpoch, Shard, ShardConfig, ShardError, ShardEvent,
};
use sabha_media::srtp::{MasterKey, ProtectTap, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};

pub const START: Instant = Instant::from_millis(1_000_000);
pub const STREAMS: usize = 3;
pub const EPOCH: MediaEpoch = MediaEpoch { counter: 7, rank: 2 };

/// Forwards each packet to all other legs, in the slot `talker % 3`, at once or later.
#[derive(Default)]
pub struct Bridge {
    pub defer: Duration,
    pub members_max: Option<u32>,
    /// Sends every packet under the same sequence number, which the sender must refuse.
    pub stuck: bool,
    /// When it wants to be called; taken when it was.
    pub timeouts: Vec<Instant>,
    /// A deadline that it asks for, for ever.
    pub stays_due: Option<Instant>,
    pub fired: Vec<Instant>,
    pub heard: Vec<u64>,
    pub removed: usize,
    /// What members report of what they are sent: leg and loss.
    pub receptions: Vec<(LegKey, f32)>,
    /// Reports a leg as heard when it first sends sound, not when it joins.
    pub hears_voices: bool,
    /// Refuses every packet for this.
    pub refuses: Option<DropReason>,
    pub outputs: Vec<EngineOutput>,
    pub places: Vec<Option<Receiver>>,
}

pub struct Receiver {
    config: LegConfig,
    sent: [u16; STREAMS],
    has_spoken: bool,
}

impl Bridge {
    pub fn legs(&self) -> usize {
        self.places.iter().flatten().count()
    }
}

impl Engine for Bridge {
    type Resources = ();

    fn receive_streams(&self) -> usize {
        STREAMS
    }

    fn add_leg(&mut self, _now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        if let Some(members_max) = self.members_max.filter(|max| self.legs() >= *max as usize) {
            return Err(AddLegError::Full { members_max });
        }
        if !self.hears_voices {
            self.outputs.push(EngineOutput::TalkerStarted(leg.id));
        }
        self.places.push(Some(Receiver { config: leg, sent: [0; STREAMS], has_spoken: false }));
        Ok(LegKey(self.places.len() as u32 - 1))
    }

    fn remove_leg(&mut self, _now: Instant, key: LegKey, (): &mut ()) {
        if let Some(leg) = self.places[key.0 as usize].take() {
            self.outputs.push(EngineOutput::TalkerStopped(leg.config.id));
            self.removed += 1;
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        from: LegKey,
        packet: &IncomingPacket<'_>,
        (): &mut (),
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        self.heard.push(packet.index);
        if let Some(reason) = self.refuses {
            return Err(reason);
        }
        if packet.payload.is_empty() {
            return Ok(());
        }
        if let Some(speaker) = &mut self.places[from.0 as usize]
            && self.hears_voices
            && !std::mem::replace(&mut speaker.has_spoken, true)
        {
            self.outputs.push(EngineOutput::TalkerStarted(speaker.config.id));
        }
        let slot = from.0 as usize % STREAMS;
        let body = outbox.store(&[], &[], packet.payload).ok_or(DropReason::Full)?;
        for (index, leg) in self.places.iter_mut().enumerate() {
            let Some(leg) = leg.as_mut().filter(|_| index != from.0 as usize) else { continue };
            let stream = leg.config.receive[slot];
            let header = RtpHeader {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence_number: stream.first_sequence_number.wrapping_add(leg.sent[slot]),
                timestamp: packet.timestamp.wrapping_add(stream.timestamp_offset),
                ssrc: stream.ssrc,
            };
            leg.sent[slot] += u16::from(!self.stuck);
            outbox.send(leg.config.id, header, body, now + self.defer);
        }
        Ok(())
    }

    fn handle_input(&mut self, _now: Instant, input: EngineInput) {
        if let EngineInput::Reception { leg, report } = input {
            self.receptions.push((leg, report.loss));
        }
    }

    fn handle_timeout(&mut self, now: Instant, (): &mut (), _outbox: &mut Outbox) {
        self.timeouts.retain(|at| *at > now);
        self.fired.push(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeouts.iter().chain(&self.stays_due).min().copied()
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        self.outputs.pop()
    }
}

#[derive(Default)]
pub struct Wire(pub Vec<(SocketAddr, Vec<u8>)>);

impl Transmit for Wire {
    fn transmit(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        let mut slot = vec![0; DATAGRAM_SIZE_MAX];
        let length = write(&mut slot);
        if length > 0 {
            slot.truncate(length);
            self.0.push((to, slot));
        }
    }
}

pub struct Rig {
    pub shard: Shard<Bridge>,
    pub now: Instant,
    pub wire: Wire,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(100, 4, None)
    }

    pub fn with(legs_max: usize, conferences_max: usize, tap: Option<Arc<dyn ProtectTap>>) -> Self {
        let outbox =
            OutboxLimits { bodies_max: 8, packets_max: legs_max.max(64), deferred_bodies_max: 8 };
        let config = ShardConfig { index: 3, legs_max, conferences_max, outbox, seed: 7, tap };
        Self { shard: Shard::new(config, ()), now: START, wire: Wire::default() }
    }

    pub fn conference(&mut self) -> ConferenceKey {
        self.conference_of(Bridge::default())
    }

    pub fn conference_of(&mut self, bridge: Bridge) -> ConferenceKey {
        self.shard.add_conference(bridge, EPOCH).unwrap()
    }

    pub fn join(&mut self, key: ConferenceKey, person: u8) -> Member {
        self.try_join(key, person, 1).unwrap()
    }

    /// Joins with the keys of a person's `generation`th leg.
    pub fn try_join(
        &mut self,
        key: ConferenceKey,
        person: u8,
        generation: u8,
    ) -> Result<Member, ShardError> {
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: master(person, generation, 0),
            send_key: master(person, generation, 1),
            red: false,
        };
        let grant = self.shard.add_leg(self.now, key, &request)?;
        Ok(Member::new(person, generation, grant))
    }

    /// Hands the shard a datagram from an address; returns what it sent thereupon.
    pub fn send(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut bytes = datagram.to_vec();
        let datagram = Datagram { from, received_at: self.now, bytes: &mut bytes };
        self.shard.handle_datagram(self.now, datagram, &mut self.wire);
        std::mem::take(&mut self.wire.0)
    }

    /// Sends a member's packet and checks that it was taken.
    pub fn speak(&mut self, member: &mut Member) -> Vec<(SocketAddr, Vec<u8>)> {
        // What listeners without an address are not sent is the test's own business.
        let refused = |rig: &Self| {
            let drops = rig.shard.counters().drops;
            drops.total() - drops.of(DropReason::NoAddress)
        };
        let before = refused(self);
        let datagram = member.rtp(b"voice");
        let sent = self.send(member.address, &datagram);
        assert_eq!(refused(self), before);
        sent
    }

    /// Lets a member be heard by an empty report, and forgets what it is answered.
    pub fn hear(&mut self, member: &mut Member) {
        let datagram = member.report();
        self.send(member.address, &datagram);
    }

    /// Lets time pass, doing what is due; returns what was sent and when.
    pub fn run(&mut self, duration: Duration) -> Vec<(Instant, SocketAddr, Vec<u8>)> {
        let (end, mut sent) = (self.now + duration, Vec::new());
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.shard.handle_timeout(self.now, &mut self.wire);
            let now = self.now;
            sent.extend(self.wire.0.drain(..).map(|(to, datagram)| (now, to, datagram)));
        }
        self.now = end;
        sent
    }

    pub fn events(&mut self) -> Vec<ShardEvent> {
        std::iter::from_fn(|| self.shard.poll_event()).collect()
    }

    /// Returns control's events without those of engines.
    pub fn leg_events(&mut self) -> Vec<ShardEvent> {
        let all = self.events().into_iter();
        all.filter(|event| !matches!(event, ShardEvent::Engine(..))).collect()
    }

    pub fn drops(&self, reason: DropReason) -> u64 {
        self.shard.counters().drops.of(reason)
    }
}

pub struct Member {
    pub grant: LegGrant,
    pub address: SocketAddr,
    pub sender: SrtpSender,
    pub receiver: SrtpReceiver,
    pub sequence: u16,
}

impl Member {
    pub fn new(person: u8, generation: u8, grant: LegGrant) -> Self {
        Self {
            address: address(person),
            sender: SrtpSender::new(&master(person, generation, 0), &[grant.send_ssrc]).unwrap(),
            receiver: SrtpReceiver::new(&master(person, generation, 1), &grant.receive_ssrcs)
                .unwrap(),
            grant,
            sequence: 100,
        }
    }

    pub fn ssrc(&self) -> Ssrc {
        self.grant.send_ssrc
    }

    /// Seals a packet with a level of -30 dBov.
    pub fn rtp(&mut self, payload: &[u8]) -> Vec<u8> {
        self.rtp_at(LevelDbov(30), payload)
    }

    /// Seals a packet with this level; without a payload it is a level probe.
    pub fn rtp_at(&mut self, level: LevelDbov, payload: &[u8]) -> Vec<u8> {
        let mut block = [0; 16];
        let mut writer = ElementWriter::new(&mut block).unwrap();
        ClientLevel { voice: true, level }.write(&mut writer).unwrap();
        let length = writer.finish();
        self.rtp_with(true, &[&block[..length], payload].concat())
    }

    /// Seals a packet with these octets behind its fixed header.
    pub fn rtp_with(&mut self, has_extension: bool, body: &[u8]) -> Vec<u8> {
        let header = RtpHeader {
            payload_type: PayloadType(111),
            sequence_number: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(u32::from(self.sequence) * 960),
            ssrc: self.grant.send_ssrc,
            ..RtpHeader::default()
        };
        self.sequence += 1;
        let mut packet = vec![0; 12];
        header.write_fixed(0, has_extension, &mut packet);
        packet.extend_from_slice(body);
        self.seal_rtp(packet)
    }

    pub fn seal_rtp(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let length = packet.len();
        packet.resize(length + 16, 0);
        self.sender.protect_rtp(&mut packet, length).unwrap();
        packet
    }

    /// Seals an empty receiver report.
    pub fn report(&mut self) -> Vec<u8> {
        let ssrc = self.grant.send_ssrc;
        self.rtcp(|writer| writer.receiver_report(ssrc, &[]).unwrap())
    }

    pub fn rtcp(&mut self, write: impl FnOnce(&mut CompoundWriter<'_>)) -> Vec<u8> {
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut writer = CompoundWriter::new(&mut packet);
        write(&mut writer);
        let length = writer.finish();
        packet.truncate(length);
        self.seal_rtcp(packet)
    }

    pub fn seal_rtcp(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let length = packet.len();
        packet.resize(length + 20, 0);
        self.sender.protect_rtcp(&mut packet, length).unwrap();
        packet
    }

    /// Opens a packet of the node and returns its header and payload.
    pub fn open_rtp(&mut self, datagram: &[u8]) -> (RtpHeader, Vec<u8>) {
        assert_eq!(classify(datagram), PacketKind::Rtp);
        let mut bytes = datagram.to_vec();
        let plain = self.receiver.unprotect_rtp(&mut bytes).unwrap();
        let packet = RtpPacket::parse(&bytes[..plain.length]).unwrap();
        let header = RtpHeader {
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence_number: packet.sequence_number(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
        };
        (header, packet.payload().to_vec())
    }

    /// Opens a compound of the node and hands each of its packets out.
    pub fn open_rtcp(&mut self, datagram: &[u8], mut take: impl FnMut(RtcpPacket<'_>)) {
        assert_eq!(classify(datagram), PacketKind::Rtcp);
        let mut bytes = datagram.to_vec();
        let plain = self.receiver.unprotect_rtcp(&mut bytes).unwrap();
        RtcpPackets::parse(&bytes[..plain.length]).unwrap().for_each(&mut take);
    }
}

pub fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 4_000))
}

/// The key of one direction of a person's `generation`th leg.
pub fn master(person: u8, generation: u8, direction: u8) -> MasterKey {
    let mut material = [0x5a; 28];
    material[..3].copy_from_slice(&[person, generation, direction]);
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).unwrap()
}

pub fn only<T>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1);
    all.remove(0)
}
