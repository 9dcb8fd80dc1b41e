//! Members with keys who send anything, into a shard with a bridged conference.
//!
//! Whatever they claim, each receiver opens every packet with its own key, finds it in a stream that
//! it was told of, is sent no sequence number twice and nothing of its own; and what it is sent is
//! what its talker sent, octet for octet.

#![no_main]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sabha_bridge::{Bridge, BridgeResources, BridgeSettings, GATHER_MAX, ResourceLimits};
use sabha_media::engine::EngineInput;
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov, MixerLevels};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::OutboxLimits;
use sabha_media::rtp::{
    PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, classify,
};
use sabha_media::shard::{LegGrant, LegRequest, MediaEpoch, Shard, ShardConfig};
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};

fuzz_target!(|input: &[u8]| {
    let mut room = Room::new();
    if input.len() % 2 == 1 {
        room.shard.resources_mut().set_gather(GATHER_MAX);
    }
    let mut rest = input;
    while let [who, steps, level, kind, length, wait, behind @ ..] = rest {
        rest = behind;
        let said = Said {
            sequence_step: i16::from(*steps as i8 >> 4),
            timestamp_step: i32::from((*steps << 4) as i8 >> 4) * 960,
            level: LevelDbov(level & 0x7f),
            has_level: *level < 0xf0,
            marker: kind & 1 == 1,
            payload_type: PayloadType([111, 111, 112, 96][usize::from(kind >> 1 & 3)]),
            payload: usize::from(*length) * 4,
            first: kind >> 3,
        };
        let who_speaks = usize::from(*who) % MEMBERS;
        room.send(who_speaks, &said);
        if *wait >= 0x80 {
            room.mute(who_speaks, *who >= 0x80);
        }
        room.pass(Duration::from_millis(u64::from(wait % 64)));
    }
    room.pass(Duration::from_secs(1));
});

const MEMBERS: usize = 5;
const START: Instant = Instant::from_millis(1_000_000);
const EPOCH: MediaEpoch = MediaEpoch { counter: 1, rank: 0 };

struct Said {
    sequence_step: i16,
    timestamp_step: i32,
    level: LevelDbov,
    has_level: bool,
    marker: bool,
    payload_type: PayloadType,
    payload: usize,
    first: u8,
}

impl Said {
    /// The next packet of a stream that goes on.
    fn at(level: LevelDbov) -> Self {
        Self {
            sequence_step: 1,
            timestamp_step: 960,
            level,
            has_level: true,
            marker: false,
            payload_type: PayloadType(111),
            payload: 80,
            first: 0,
        }
    }
}

struct Member {
    grant: LegGrant,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    sequence: u16,
    timestamp: u32,
    payloads: HashSet<Vec<u8>>,
    heard: HashSet<(Ssrc, u64)>,
}

struct Room {
    shard: Shard<Bridge>,
    members: Vec<Member>,
    now: Instant,
    wire: Wire,
}

impl Room {
    fn new() -> Self {
        let outbox = OutboxLimits { bodies_max: 16, packets_max: 64, deferred_bodies_max: 0 };
        let config =
            ShardConfig { index: 0, legs_max: 8, conferences_max: 1, outbox, seed: 1, tap: None };
        let mut shard = Shard::new(config, BridgeResources::new(ResourceLimits::default()));
        let settings = BridgeSettings { talkers_max: 2, ..BridgeSettings::default() };
        let bridge = Bridge::new(settings).expect("two talkers are allowed");
        let conference = shard.add_conference(bridge, EPOCH).expect("the first conference");
        let members = (0..MEMBERS as u8).map(|person| {
            let red = person % 2 == 0;
            let (receive_key, send_key) = (master(person), master(person | 0x80));
            let request = LegRequest { role: LegRole::Member, receive_key, send_key, red };
            let grant = shard.add_leg(START, conference, &request).expect("room for all");
            let sender = SrtpSender::new(&master(person), &[grant.send_ssrc]).expect("a key");
            let receiver = SrtpReceiver::new(&master(person | 0x80), &grant.receive_ssrcs);
            Member {
                sender,
                receiver: receiver.expect("a key"),
                sequence: 1_000,
                timestamp: 0,
                payloads: HashSet::new(),
                heard: HashSet::new(),
                grant,
            }
        });
        let members: Vec<_> = members.collect();
        let mut room = Self { shard, members, now: START, wire: Wire::default() };
        // By its first packet a member's address is known.
        for member in 0..MEMBERS {
            room.send(member, &Said { payload: 0, ..Said::at(LevelDbov(127)) });
        }
        // Whatever comes then comes to a conference in which somebody talks and is heard.
        for _ in 0..10 {
            room.send(0, &Said::at(LevelDbov(20)));
            room.pass(Duration::from_millis(20));
        }
        assert!(
            room.members[1..].iter().all(|member| !member.heard.is_empty()),
            "nothing forwarded"
        );
        room
    }

    fn send(&mut self, index: usize, said: &Said) {
        let member = &mut self.members[index];
        member.sequence = member.sequence.wrapping_add_signed(said.sequence_step);
        member.timestamp = member.timestamp.wrapping_add_signed(said.timestamp_step);
        let header = RtpHeader {
            marker: said.marker,
            payload_type: said.payload_type,
            sequence_number: SequenceNumber(member.sequence),
            timestamp: RtpTimestamp(member.timestamp),
            ssrc: member.grant.send_ssrc,
        };
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut length = header.write_fixed(0, said.has_level, &mut packet);
        if said.has_level {
            let mut writer = ElementWriter::new(&mut packet[length..]).expect("room");
            let level = ClientLevel { voice: true, level: said.level };
            level.write(&mut writer).expect("room");
            length += writer.finish();
        }
        let payload = &mut packet[length..length + said.payload];
        payload.fill(index as u8);
        if let Some(first) = payload.first_mut() {
            *first = said.first;
        }
        member.payloads.insert(payload.to_vec());
        let length = length + said.payload;
        // A number that was used before is sealed again, and refused as a replay.
        let Ok(length) = member.sender.protect_rtp(&mut packet, length) else { return };
        let datagram =
            Datagram { from: address(index), received_at: self.now, bytes: &mut packet[..length] };
        self.shard.handle_datagram(self.now, datagram, &mut self.wire);
        self.deliver();
    }

    fn mute(&mut self, index: usize, muted: bool) {
        let id = self.members[index].grant.id;
        self.shard.handle_input(self.now, id, |leg| EngineInput::SetMuted { leg, muted });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due < end) {
            self.now = self.now.max(due);
            self.shard.handle_timeout(self.now, &mut self.wire);
            self.deliver();
        }
        self.now = end;
    }

    fn deliver(&mut self) {
        for (to, mut bytes) in self.wire.0.drain(..) {
            let index = usize::from(to.port() - 4_000);
            let member = &mut self.members[index];
            if classify(&bytes) == PacketKind::Rtcp {
                member.receiver.unprotect_rtcp(&mut bytes).expect("its receiver opens it");
                continue;
            }
            let plain = member.receiver.unprotect_rtp(&mut bytes).expect("its receiver opens it");
            let packet = RtpPacket::parse(&bytes[..plain.length]).expect("well formed");
            assert!(member.grant.receive_ssrcs.contains(&packet.ssrc()), "no stream of its own");
            assert!(member.heard.insert((packet.ssrc(), plain.index.0)), "twice");
            if packet.payload().is_empty() {
                continue;
            }
            let sources = MixerLevels::read(&packet).expect("well formed");
            let (source, _) = sources.last().expect("who says it");
            let is_talker = |member: &Member| member.grant.send_ssrc == source;
            let talker = self.members.iter().position(is_talker).expect("a member");
            assert_ne!(talker, index, "own voice");
            if packet.payload_type() == PayloadType(111) {
                assert!(self.members[talker].payloads.contains(packet.payload()), "changed");
            }
        }
    }
}

#[derive(Default)]
struct Wire(Vec<(SocketAddr, Vec<u8>)>);

impl Transmit for Wire {
    fn transmit(&mut self, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        let mut slot = vec![0; DATAGRAM_SIZE_MAX];
        let length = write(&mut slot);
        slot.truncate(length);
        if length > 0 {
            self.0.push((to, slot));
        }
    }
}

fn address(member: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4_000 + member as u16))
}

fn master(person: u8) -> MasterKey {
    let mut material = [0x5a; 28];
    material[0] = person;
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).expect("28 octets")
}
