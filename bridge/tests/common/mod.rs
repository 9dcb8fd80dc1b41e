//! A room in virtual time: members with real keys around a real shard. Their payloads are octets
//! that say who sent them and when, for a bridge looks at nothing else.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use sabha_bridge::{Bridge, BridgeResources, BridgeSettings, ResourceLimits};
use sabha_media::engine::EngineInput;
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov, MixerLevels};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::OutboxLimits;
use sabha_media::red::{PathReport, RedBlock, RedPacket};
use sabha_media::rtcp::{CompoundWriter, REPORT_INTERVAL};
use sabha_media::rtp::{
    PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, classify,
};
use sabha_media::shard::{
    ConferenceKey, KeepAlive, LegGrant, LegRequest, MediaEpoch, Shard, ShardConfig, ShardEvent,
    keep_alive,
};
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};

pub const START: Instant = Instant::from_millis(1_000_000);
pub const FRAME: Duration = Duration::from_millis(20);
pub const OPUS: PayloadType = PayloadType(111);
pub const RED: PayloadType = PayloadType(112);
/// A voice at a normal distance, and a quiet room.
pub const VOICE: u8 = 25;
pub const QUIET: u8 = 70;

pub struct Room {
    pub shard: Shard<Bridge>,
    pub conference: ConferenceKey,
    pub members: Vec<Member>,
    pub now: Instant,
    pub wire: Wire,
    /// Every datagram that left, in order, with its receiver.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
    /// Whether those who join from now on offer redundant audio.
    pub red: bool,
    kept_alive_at: Instant,
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

pub struct Member {
    pub grant: LegGrant,
    pub address: SocketAddr,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    pub sequence: u16,
    pub timestamp: u32,
    pub received: Vec<Received>,
}

/// One decrypted packet as a member got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub at: Instant,
    /// Which of the member's streams.
    pub slot: usize,
    pub marker: bool,
    pub payload_type: PayloadType,
    pub sequence: u16,
    pub timestamp: u32,
    pub sources: Vec<(Ssrc, LevelDbov)>,
    /// All of the RTP payload, without padding.
    pub payload: Vec<u8>,
    /// Octets of the sealed datagram.
    pub size: usize,
}

impl Received {
    /// The packet's own payload.
    pub fn primary(&self) -> &[u8] {
        match self.payload_type {
            RED => RedPacket::parse(&self.payload).unwrap().primary().payload,
            _ => &self.payload,
        }
    }

    pub fn talker(&self) -> Ssrc {
        let [(talker, _)] = self.sources[..] else { panic!("one source: {:?}", self.sources) };
        talker
    }

    pub fn copies(&self) -> Vec<(u32, Vec<u8>)> {
        match self.payload_type {
            RED => RedPacket::parse(&self.payload)
                .unwrap()
                .copies()
                .map(|copy| (copy.offset, copy.payload.to_vec()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Room {
    pub fn new(settings: BridgeSettings) -> Self {
        let config = ShardConfig {
            index: 0,
            legs_max: 1_000,
            conferences_max: 4,
            outbox: OutboxLimits { bodies_max: 64, packets_max: 4_096, deferred_bodies_max: 0 },
            seed: 7,
            tap: None,
        };
        let resources = BridgeResources::new(ResourceLimits::default());
        let mut shard = Shard::new(config, resources);
        let epoch = MediaEpoch { counter: 1, rank: 0 };
        let conference = shard.add_conference(Bridge::new(settings).unwrap(), epoch).unwrap();
        Self {
            shard,
            conference,
            members: Vec::new(),
            now: START,
            wire: Wire::default(),
            sent: Vec::new(),
            red: false,
            kept_alive_at: START,
        }
    }

    /// A room with so many members.
    pub fn with_members(settings: BridgeSettings, members: usize) -> Self {
        let mut room = Self::new(settings);
        for _ in 0..members {
            room.join();
        }
        room
    }

    /// Adds a member and returns their index.
    pub fn join(&mut self) -> usize {
        let index = self.members.len();
        let key = |direction: u8| {
            let mut material: Vec<u8> = (0..28).map(|i| i ^ direction).collect();
            material[..2].copy_from_slice(&(index as u16).to_be_bytes());
            MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).unwrap()
        };
        let (role, red) = (LegRole::Member, self.red);
        let request = LegRequest { role, receive_key: key(0), send_key: key(64), red };
        let grant = self.shard.add_leg(self.now, self.conference, &request).unwrap();
        let mut member = Member {
            address: SocketAddr::from(([127, 0, 0, 1], 10_000 + index as u16)),
            sender: SrtpSender::new(&key(0), &[grant.send_ssrc]).unwrap(),
            receiver: SrtpReceiver::new(&key(64), &grant.receive_ssrcs).unwrap(),
            grant,
            sequence: 100 + 7 * index as u16,
            timestamp: 5_000 + 77 * index as u32,
            received: Vec::new(),
        };
        let datagram = member.keep_alive();
        let from = member.address;
        self.members.push(member);
        self.inject(from, datagram);
        index
    }

    /// Lets every member send a compound, so that nobody is taken for gone.
    pub fn keep_alive(&mut self) {
        for member in 0..self.members.len() {
            let datagram = self.members[member].keep_alive();
            self.inject(self.members[member].address, datagram);
        }
    }

    pub fn leave(&mut self, member: usize) {
        self.shard.remove_leg(self.now, self.members[member].grant.id);
    }

    /// Hands a datagram to the shard as if it came from `from` now.
    pub fn inject(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        let datagram = Datagram { from, received_at: self.now, bytes: &mut datagram };
        self.shard.handle_datagram(self.now, datagram, &mut self.wire);
        self.deliver();
    }

    /// Lets a member send a packet with this level and payload now.
    pub fn send(&mut self, member: usize, level: u8, payload: &[u8]) {
        let datagram = self.members[member].seal(OPUS, payload, level);
        self.inject(self.members[member].address, datagram);
    }

    /// Lets a member send redundant audio now: a payload with copies, each its offset in samples
    /// and its octets, newest first.
    pub fn send_red(&mut self, member: usize, payload: &[u8], copies: &[(u32, &[u8])]) {
        let packet = red(payload, copies);
        let datagram = self.members[member].seal(RED, &packet, VOICE);
        self.inject(self.members[member].address, datagram);
    }

    /// Lets 20 ms pass, in which each member whose level is given sends a packet that names them.
    pub fn tick(&mut self, levels: &[Option<u8>]) {
        if self.now.saturating_since(self.kept_alive_at) >= REPORT_INTERVAL {
            self.kept_alive_at = self.now;
            self.keep_alive();
        }
        for member in 0..self.members.len() {
            match levels.get(member).copied().flatten() {
                Some(level) => {
                    let payload = self.members[member].name_payload(member);
                    self.send(member, level, &payload);
                }
                None => self.members[member].skip_time(),
            }
        }
        self.pass(FRAME);
    }

    /// Lets time pass, with whatever is due in it.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due < end) {
            self.now = self.now.max(due);
            self.shard.handle_timeout(self.now, &mut self.wire);
            self.deliver();
        }
        self.now = end;
    }

    pub fn report_loss(&mut self, member: usize, loss: f32) {
        let id = self.members[member].grant.id;
        let report = PathReport { loss, burst_loss: Some(0.0), ..PathReport::default() };
        self.shard.handle_input(self.now, id, |leg| EngineInput::Reception { leg, report });
    }

    pub fn bridge(&self) -> &Bridge {
        self.shard.engine(self.conference).unwrap()
    }

    pub fn events(&mut self) -> Vec<ShardEvent> {
        std::iter::from_fn(|| self.shard.poll_event()).collect()
    }

    pub fn ssrc(&self, member: usize) -> Ssrc {
        self.members[member].grant.send_ssrc
    }

    /// What a member has received of another.
    pub fn heard(&self, member: usize, talker: usize) -> Vec<&Received> {
        let ssrc = self.ssrc(talker);
        self.members[member].received.iter().filter(|packet| packet.talker() == ssrc).collect()
    }

    pub fn forget_received(&mut self) {
        for member in &mut self.members {
            member.received.clear();
        }
    }

    fn deliver(&mut self) {
        for (to, datagram) in self.wire.0.drain(..) {
            self.sent.push((to, datagram.clone()));
            let first = usize::from(to.port() - 10_000);
            if let Some(member) = self.members.get_mut(first) {
                member.hear(self.now, datagram);
            }
        }
    }
}

impl Member {
    /// Seals the next packet, of 20 ms.
    pub fn seal(&mut self, payload_type: PayloadType, payload: &[u8], level: u8) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type,
            sequence_number: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(self.timestamp),
            ssrc: self.grant.send_ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.skip_time();
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut length = header.write_fixed(0, true, &mut packet);
        let mut writer = ElementWriter::new(&mut packet[length..]).unwrap();
        ClientLevel { voice: true, level: LevelDbov(level) }.write(&mut writer).unwrap();
        length += writer.finish();
        packet[length..length + payload.len()].copy_from_slice(payload);
        let length = self.sender.protect_rtp(&mut packet, length + payload.len()).unwrap();
        packet.truncate(length);
        packet
    }

    /// A payload that says who sends it and with which number.
    pub fn name_payload(&self, member: usize) -> Vec<u8> {
        let mut payload = format!("{member}:{}:", self.sequence).into_bytes();
        payload.resize(60 + usize::from(self.sequence % 20), b'.');
        payload
    }

    /// Lets the member's clock go on by a packet that it does not send.
    pub fn skip_time(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(960);
    }

    pub fn keep_alive(&mut self) -> Vec<u8> {
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut writer = CompoundWriter::new(&mut packet);
        let ssrc = self.grant.send_ssrc;
        writer.receiver_report(ssrc, &[]).unwrap();
        writer.cname(ssrc, b"member").unwrap();
        let said = KeepAlive::from(MediaEpoch { counter: 1, rank: 0 }).to_bytes();
        writer.application(&keep_alive(ssrc, &said)).unwrap();
        let length = writer.finish();
        let length = self.sender.protect_rtcp(&mut packet, length).unwrap();
        packet.truncate(length);
        packet
    }

    fn hear(&mut self, at: Instant, mut datagram: Vec<u8>) {
        let size = datagram.len();
        if classify(&datagram) != PacketKind::Rtp {
            let _ = self.receiver.unprotect_rtcp(&mut datagram).unwrap();
            return;
        }
        let plain = self.receiver.unprotect_rtp(&mut datagram).unwrap();
        let packet = RtpPacket::parse(&datagram[..plain.length]).unwrap();
        let slots = &self.grant.receive_ssrcs;
        self.received.push(Received {
            at,
            slot: slots.iter().position(|ssrc| *ssrc == packet.ssrc()).unwrap(),
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence: packet.sequence_number().0,
            timestamp: packet.timestamp().0,
            sources: MixerLevels::read(&packet).unwrap().collect(),
            payload: packet.payload().to_vec(),
            size,
        });
    }
}

/// A redundant payload.
pub fn red(payload: &[u8], copies: &[(u32, &[u8])]) -> Vec<u8> {
    let block = |offset, payload| RedBlock { payload_type: OPUS, offset, payload };
    let copies: Vec<_> = copies.iter().map(|(offset, payload)| block(*offset, *payload)).collect();
    let mut out = vec![0; 1_300];
    let length = RedPacket::new(block(0, payload), &copies).write(&mut out).unwrap();
    out.truncate(length);
    out
}

/// Numbers from a seed, the same on every run.
pub fn random(seed: u64) -> impl FnMut() -> u32 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    }
}
