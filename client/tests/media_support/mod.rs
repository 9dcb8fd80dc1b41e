//! Members in virtual time: around a real shard with a mixer, or alone with a node made by hand.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use sabha_client::media::{BufferSink, MemberMedia, MemberReport, MemberSettings, Source};
use sabha_client::network::{ImpairedEndpoint, NetworkPlan};
use sabha_client::processing::MicrophoneSettings;
use sabha_core::message::Mode;
use sabha_media::codec::EncoderSettings;
use sabha_media::codec::opus::Opus;
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov, MixerLevels};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::OutboxLimits;
use sabha_media::red::RedPacket;
use sabha_media::rtcp::{CompoundWriter, RtcpPacket, RtcpPackets};
use sabha_media::rtp::{
    PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, classify,
    write_csrcs,
};
use sabha_media::shard::{
    ConferenceKey, KeepAlive, LegRequest, MediaEpoch, Shard, ShardConfig, keep_alive,
};
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_mixer::{Mixer, MixerResources, MixerSettings, ResourceLimits};
use sabha_transport::Endpoint;

pub mod bridge;

/// A fixed instant to start at.
pub const START: Instant = Instant::from_millis(1_000_000);
pub const FRAME: Duration = Duration::from_millis(20);
pub const NODE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9_000);
const PLAYOUT_DELAY: Duration = Duration::from_millis(10);
const EPOCH: MediaEpoch = MediaEpoch { counter: 1, rank: 0 };
const PAYLOAD_TYPE: PayloadType = PayloadType(111);
const RED_PAYLOAD_TYPE: PayloadType = PayloadType(112);

/// Datagrams on their way.
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

/// What a member has of a live microphone and speaker.
#[derive(Clone, Copy, Default)]
pub struct Live {
    pub microphone: Option<MicrophoneSettings>,
    pub sidetone: bool,
}

/// A member and what it heard.
pub struct Member {
    pub media: ImpairedEndpoint<MemberMedia>,
    pub address: SocketAddr,
    heard: BufferSink,
}

impl Member {
    /// A member whose first frame is sent at `start`.
    fn new(
        person: u8,
        clock: (Instant, i32),
        ssrcs: (Ssrc, Ssrc),
        playout_delay: Duration,
        voice: impl Source + 'static,
        live: Live,
    ) -> Self {
        let settings = settings(person, clock, ssrcs, playout_delay, live);
        Self::with(person, &settings, voice)
    }

    fn with(person: u8, settings: &MemberSettings, voice: impl Source + 'static) -> Self {
        let heard = BufferSink::default();
        let media = MemberMedia::new(settings, Box::new(voice), Box::new(heard.clone())).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::from(person)));
        Self { media: ImpairedEndpoint::clean(media), address, heard }
    }

    /// Puts the member behind a network.
    fn behind(self, plan: NetworkPlan, begin: Instant, seed: u64) -> Self {
        let media = ImpairedEndpoint::new(self.media.into_inner(), plan, begin, seed);
        Self { media, ..self }
    }

    pub fn heard(&self) -> Vec<f32> {
        self.heard.samples()
    }

    pub fn report(&self) -> MemberReport {
        self.media.inner().report()
    }
}

/// Members around one conference of a shard, with the same delay between each and the shard.
pub struct Room {
    pub shard: Shard<Mixer>,
    pub conference: ConferenceKey,
    pub members: Vec<Member>,
    pub now: Instant,
    /// What a datagram takes from a member to the shard, or back.
    pub way: Duration,
    under_way: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    /// How long packets wait at members who join from now on.
    pub playout_delay: Duration,
}

impl Room {
    pub fn new(settings: MixerSettings) -> Self {
        let outbox = OutboxLimits { bodies_max: 64, packets_max: 4_096, deferred_bodies_max: 8 };
        let config =
            ShardConfig { index: 0, legs_max: 200, conferences_max: 4, outbox, seed: 7, tap: None };
        let resources = MixerResources::new(Opus, ResourceLimits::default());
        let mut shard = Shard::new(config, resources);
        let conference = shard.add_conference(Mixer::new(settings).unwrap(), EPOCH).unwrap();
        Self {
            shard,
            conference,
            members: Vec::new(),
            now: START,
            way: Duration::ZERO,
            under_way: VecDeque::new(),
            playout_delay: PLAYOUT_DELAY,
        }
    }

    /// Adds a member who begins `phase_ms` from now; returns their index.
    pub fn join(&mut self, phase_ms: u64, voice: impl Source + 'static) -> usize {
        self.join_with(phase_ms, 0, voice, Live::default())
    }

    /// Adds a member whose clock runs `clock_ppm` millionths fast.
    pub fn join_with_clock(
        &mut self,
        phase_ms: u64,
        clock_ppm: i32,
        voice: impl Source + 'static,
    ) -> usize {
        self.join_with(phase_ms, clock_ppm, voice, Live::default())
    }

    /// Adds a member with a live microphone or speaker.
    pub fn join_live(&mut self, phase_ms: u64, voice: impl Source + 'static, live: Live) -> usize {
        self.join_with(phase_ms, 0, voice, live)
    }

    fn join_with(
        &mut self,
        phase_ms: u64,
        clock_ppm: i32,
        voice: impl Source + 'static,
        live: Live,
    ) -> usize {
        let person = self.members.len() as u8;
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: key(person, 0),
            send_key: key(person, 1),
            red: true,
        };
        let grant = self.shard.add_leg(self.now, self.conference, &request).unwrap();
        let start = self.now + Duration::from_millis(phase_ms);
        let ssrcs = (grant.send_ssrc, grant.receive_ssrcs[0]);
        let clock = (start, clock_ppm);
        self.members.push(Member::new(person, clock, ssrcs, self.playout_delay, voice, live));
        self.members.len() - 1
    }

    /// Like `join`, behind a network.
    pub fn join_through(&mut self, plan: &str, seed: u64, voice: impl Source + 'static) -> usize {
        let index = self.join(seed % 20, voice);
        let member = self.members.remove(index);
        self.members.push(member.behind(plan.parse().unwrap(), self.now, seed));
        index
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let (end, mut wire) = (self.now + time, Wire::default());
        loop {
            let members = self.members.iter().filter_map(|member| member.media.poll_timeout());
            let arrival = self.under_way.front().map(|(at, ..)| *at);
            let next = members.chain(self.shard.poll_timeout()).chain(arrival).min();
            let Some(at) = next.filter(|at| *at < end) else { break };
            self.now = self.now.max(at);
            self.arrive(&mut wire);
            for index in 0..self.members.len() {
                let member = &mut self.members[index];
                if member.media.poll_timeout().is_some_and(|at| at <= self.now) {
                    let from = member.address;
                    member.media.handle_timeout(self.now, &mut wire);
                    member.media.handle_sent(self.now);
                    self.send(from, &mut wire);
                }
            }
            self.shard.handle_timeout(self.now, &mut wire);
            self.send(NODE, &mut wire);
            self.arrive(&mut wire);
            while self.shard.poll_event().is_some() {}
        }
        self.now = end;
    }

    /// Sends what is on the wire on its way.
    fn send(&mut self, from: SocketAddr, wire: &mut Wire) {
        let arrives_at = self.now + self.way;
        for (to, bytes) in wire.0.drain(..) {
            self.under_way.push_back((arrives_at, from, to, bytes));
        }
        if self.way.is_zero() {
            self.arrive(wire);
        }
    }

    /// Hands over whatever has arrived.
    fn arrive(&mut self, wire: &mut Wire) {
        while let Some((_, from, to, mut bytes)) =
            self.under_way.pop_front_if(|(at, ..)| *at <= self.now)
        {
            let datagram = Datagram { from, received_at: self.now, bytes: &mut bytes };
            if to == NODE {
                self.shard.handle_datagram(self.now, datagram, wire);
                self.send(NODE, wire);
            } else {
                let member = self.members.iter_mut().find(|member| member.address == to).unwrap();
                member.media.handle_datagram(self.now, datagram, wire);
                self.send(to, wire);
            }
        }
    }
}

/// What a member sent, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRtp {
    pub at: Instant,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub level: u8,
    /// What it carries itself, without copies.
    pub payload: Vec<u8>,
}

/// A member with a node that says what the test wants.
pub struct Alone {
    pub member: Member,
    pub now: Instant,
    /// RTP that the member sent.
    pub sent: Vec<SentRtp>,
    /// RTCP compounds that it sent.
    pub compounds: usize,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    sequence: u16,
}

const MEMBER_SSRC: Ssrc = Ssrc(0x0001_0000);
const NODE_SSRC: Ssrc = Ssrc(0x8001_0000);

impl Alone {
    pub fn new(voice: impl Source + 'static) -> Self {
        Self::live(voice, Live::default())
    }

    /// A member with a live microphone or speaker.
    pub fn live(voice: impl Source + 'static, live: Live) -> Self {
        Self {
            member: Member::new(
                1,
                (START, 0),
                (MEMBER_SSRC, NODE_SSRC),
                PLAYOUT_DELAY,
                voice,
                live,
            ),
            now: START,
            sent: Vec::new(),
            compounds: 0,
            sender: SrtpSender::new(&key(1, 1), &[NODE_SSRC]).unwrap(),
            receiver: SrtpReceiver::new(&key(1, 0), &[MEMBER_SSRC]).unwrap(),
            sequence: 7,
        }
    }

    /// Gives the order with this number on the wire.
    pub fn order(&mut self, number: u8) {
        let mut bytes = KeepAlive::from(EPOCH).to_bytes();
        bytes[10] = number;
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut writer = CompoundWriter::new(&mut packet);
        writer.receiver_report(NODE_SSRC, &[]).unwrap();
        writer.cname(NODE_SSRC, b"node").unwrap();
        writer.application(&keep_alive(NODE_SSRC, &bytes)).unwrap();
        let length = writer.finish();
        let length = self.sender.protect_rtcp(&mut packet, length).unwrap();
        self.hand_over(&mut packet[..length]);
    }

    /// Sends the member a packet of the mix, in which one is heard at this level.
    pub fn play(&mut self, timestamp: u32, marker: bool, level: u8, payload: &[u8]) {
        let header = RtpHeader {
            marker,
            payload_type: PAYLOAD_TYPE,
            sequence_number: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(timestamp),
            ssrc: NODE_SSRC,
        };
        self.sequence += 1;
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let is_heard = level < 127;
        let mut length = header.write_fixed(u8::from(is_heard), is_heard, &mut packet);
        if is_heard {
            length += write_csrcs(&[Ssrc(9)], &mut packet[length..]);
            let mut writer = ElementWriter::new(&mut packet[length..]).unwrap();
            MixerLevels::write(&[LevelDbov(level)], &mut writer).unwrap();
            length += writer.finish();
        }
        packet[length..length + payload.len()].copy_from_slice(payload);
        let length = self.sender.protect_rtp(&mut packet, length + payload.len()).unwrap();
        self.hand_over(&mut packet[..length]);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let (end, mut wire) = (self.now + time, Wire::default());
        while let Some(at) = self.member.media.poll_timeout().filter(|at| *at < end) {
            self.now = self.now.max(at);
            self.member.media.handle_timeout(self.now, &mut wire);
            self.member.media.handle_sent(self.now);
            for (to, bytes) in wire.0.drain(..) {
                assert_eq!(to, NODE);
                take(self.now, &mut self.receiver, bytes, &mut self.sent, &mut self.compounds);
            }
        }
        self.now = end;
    }

    /// Hands the member a datagram of its node.
    pub fn hand_over(&mut self, bytes: &mut [u8]) {
        let datagram = Datagram { from: NODE, received_at: self.now, bytes };
        self.member.media.handle_datagram(self.now, datagram, &mut Wire::default());
    }
}

fn take(
    at: Instant,
    receiver: &mut SrtpReceiver,
    mut bytes: Vec<u8>,
    sent: &mut Vec<SentRtp>,
    compounds: &mut usize,
) {
    if classify(&bytes) == PacketKind::Rtcp {
        let plain = receiver.unprotect_rtcp(&mut bytes).unwrap();
        for packet in RtcpPackets::parse(&bytes[..plain.length]).unwrap() {
            *compounds += usize::from(matches!(packet, RtcpPacket::Application(_)));
        }
        return;
    }
    let plain = receiver.unprotect_rtp(&mut bytes).unwrap();
    let packet = RtpPacket::parse(&bytes[..plain.length]).unwrap();
    let payload = match packet.payload_type() {
        RED_PAYLOAD_TYPE => RedPacket::parse(packet.payload()).unwrap().primary().payload,
        _ => packet.payload(),
    };
    sent.push(SentRtp {
        at,
        marker: packet.marker(),
        sequence: packet.sequence_number().0,
        timestamp: packet.timestamp().0,
        level: ClientLevel::read(&packet).unwrap().level.0,
        payload: payload.to_vec(),
    });
}

/// What a member of a mixer is told, and has chosen.
fn settings(
    person: u8,
    (start, clock_ppm): (Instant, i32),
    ssrcs: (Ssrc, Ssrc),
    playout_delay: Duration,
    live: Live,
) -> MemberSettings {
    MemberSettings {
        node: NODE,
        send_key: key(person, 0),
        receive_key: key(person, 1),
        send_ssrc: ssrcs.0,
        receive_ssrcs: vec![ssrcs.1],
        mode: Mode::Mixer,
        payload_type: PAYLOAD_TYPE,
        red_payload_type: Some(RED_PAYLOAD_TYPE),
        epoch: EPOCH,
        cname: "member".into(),
        encoder: EncoderSettings { bitrate: 32_000, complexity: 5 },
        playout_delay,
        start,
        clock_ppm,
        microphone: live.microphone,
        sidetone: live.sidetone,
        log_timing: true,
        tap: None,
    }
}

/// The key of one direction of a person's leg.
fn key(person: u8, direction: u8) -> MasterKey {
    let mut material = [0x5a; 28];
    material[..2].copy_from_slice(&[person, direction]);
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).unwrap()
}
