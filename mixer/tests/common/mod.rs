//! A room in virtual time: members with real codecs and keys around a real shard.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::codec::opus::Opus;
use sabha_media::codec::opus::{OpusDecoder, OpusEncoder};
use sabha_media::codec::{
    Decoder, Encoder, EncoderSettings, FRAME_SAMPLES, Frame, PACKET_SAMPLES_MAX, PAYLOAD_SIZE_MAX,
};
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov, MixerLevels};
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::OutboxLimits;
use sabha_media::red::RedPacket;
use sabha_media::rtcp::{CompoundWriter, REPORT_INTERVAL};
use sabha_media::rtp::{
    PacketKind, PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, classify,
};
use sabha_media::shard::{
    ConferenceKey, KeepAlive, LegGrant, LegRequest, MediaEpoch, Shard, ShardConfig, keep_alive,
};
use sabha_media::srtp::{MasterKey, SrtpReceiver, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_mixer::{Mixer, MixerResources, MixerSettings, ResourceLimits};

/// A fixed instant to start at.
pub const START: Instant = Instant::from_millis(1_000_000);
/// The payload type of redundant audio.
pub const RED: PayloadType = PayloadType(112);
pub const FRAME: Duration = Duration::from_millis(20);

/// What a member says: sample number since the room began to amplitude.
pub type Voice = Box<dyn FnMut(u64) -> f32>;

pub struct Room {
    pub shard: Shard<Mixer>,
    pub conference: ConferenceKey,
    pub members: Vec<Member>,
    pub now: Instant,
    pub wire: Wire,
    /// Every datagram that left, in order, with its receiver.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
    pub keep_sent: bool,
    /// Whether those who join from now on offer redundant audio.
    pub red: bool,
}

#[derive(Default)]
pub struct Wire(Vec<(SocketAddr, Vec<u8>)>);

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
    encoder: OpusEncoder,
    decoder: OpusDecoder,
    pub sequence: u16,
    pub timestamp: u32,
    next_send: Instant,
    next_keep_alive: Instant,
    pub voice: Option<Voice>,
    /// Packets received without sound.
    pub probes: usize,
    /// The level to claim instead of the true one.
    pub claim: Option<LevelDbov>,
    /// The payload to send instead of the voice's.
    pub payload: Option<Vec<u8>>,
    /// The payload type to send with.
    pub payload_type: PayloadType,
    first_timestamp: Option<u32>,
    pub heard: Vec<f32>,
    pub received: Vec<Received>,
    /// Every datagram sent, sealed.
    pub uplink: Vec<Vec<u8>>,
}

/// One decrypted packet as a member got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub sources: Vec<(Ssrc, LevelDbov)>,
    /// The packet's own payload.
    pub payload: Vec<u8>,
    /// Copies of those before, newest first, with how many packets before.
    pub copies: Vec<(usize, Vec<u8>)>,
}

impl Room {
    pub fn new(settings: MixerSettings) -> Self {
        let config = ShardConfig {
            index: 0,
            legs_max: 1_000,
            conferences_max: 4,
            outbox: OutboxLimits { bodies_max: 64, packets_max: 4_096, deferred_bodies_max: 8 },
            seed: 7,
            tap: None,
        };
        let resources = MixerResources::new(Opus, ResourceLimits::default());
        let mut shard = Shard::new(config, resources);
        let mixer = Mixer::new(settings).unwrap();
        let epoch = MediaEpoch { counter: 1, rank: 0 };
        let conference = shard.add_conference(mixer, epoch).unwrap();
        let wire = Wire::default();
        Self {
            shard,
            conference,
            members: Vec::new(),
            now: START,
            wire,
            sent: Vec::new(),
            keep_sent: false,
            red: false,
        }
    }

    /// Adds a member who sends at `phase_ms` after each full 20 ms; returns their index.
    pub fn join(&mut self, phase_ms: u64) -> usize {
        let index = self.members.len();
        let key = |direction: u8| {
            let material: Vec<u8> = (0..28).map(|i| i ^ direction ^ (index as u8) << 1).collect();
            MasterKey::new(SrtpSuite::AeadAes128Gcm, &material).unwrap()
        };
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: key(0),
            send_key: key(1),
            red: self.red,
        };
        let grant = self.shard.add_leg(self.now, self.conference, &request).unwrap();
        let settings = EncoderSettings { bitrate: 32_000, complexity: 9 };
        let mut member = Member {
            address: SocketAddr::from(([127, 0, 0, 1], 10_000 + index as u16)),
            sender: SrtpSender::new(&key(0), &[grant.send_ssrc]).unwrap(),
            receiver: SrtpReceiver::new(&key(1), &grant.receive_ssrcs).unwrap(),
            grant,
            encoder: OpusEncoder::new(settings),
            decoder: OpusDecoder::new(),
            sequence: 100,
            timestamp: 5_000,
            next_send: self.now + Duration::from_millis(phase_ms),
            next_keep_alive: self.now + REPORT_INTERVAL,
            voice: None,
            probes: 0,
            claim: None,
            payload: None,
            payload_type: PayloadType(111),
            first_timestamp: None,
            heard: Vec::new(),
            received: Vec::new(),
            uplink: Vec::new(),
        };
        let datagram = member.keep_alive();
        let from = member.address;
        self.members.push(member);
        self.inject(from, datagram);
        index
    }

    /// Hands a datagram to the shard as if it came from `from` now.
    pub fn inject(&mut self, from: SocketAddr, datagram: Vec<u8>) {
        self.inject_late(self.now, from, datagram);
    }

    /// Hands a datagram to the shard that the kernel received some time ago.
    pub fn inject_late(&mut self, received_at: Instant, from: SocketAddr, mut datagram: Vec<u8>) {
        let datagram = Datagram { from, received_at, bytes: &mut datagram };
        self.shard.handle_datagram(self.now, datagram, &mut self.wire);
        self.deliver();
    }

    pub fn say(&mut self, member: usize, voice: impl FnMut(u64) -> f32 + 'static) {
        self.members[member].voice = Some(Box::new(voice));
    }

    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let next = self.members.iter().map(|member| member.next_send).min();
            let at = [next, self.shard.poll_timeout()].into_iter().flatten().min();
            let Some(at) = at.filter(|at| *at < end) else { break };
            self.now = self.now.max(at);
            for index in 0..self.members.len() {
                let from = self.members[index].address;
                if self.members[index].next_keep_alive <= self.now {
                    self.members[index].next_keep_alive += REPORT_INTERVAL;
                    let datagram = self.members[index].keep_alive();
                    self.inject(from, datagram);
                }
                if self.members[index].next_send <= self.now
                    && let Some(datagram) = self.members[index].speak()
                {
                    self.members[index].uplink.push(datagram.clone());
                    self.inject(from, datagram);
                }
            }
            self.shard.handle_timeout(self.now, &mut self.wire);
            self.deliver();
        }
        self.now = end;
    }

    /// Makes the packets that the members will send within `duration`, in order, without sending.
    pub fn prepare(&mut self, duration: Duration) -> Vec<(Instant, SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        for member in &mut self.members {
            while member.next_send < self.now + duration {
                let at = member.next_send;
                all.extend(member.speak().map(|datagram| (at, member.address, datagram)));
            }
        }
        all.sort_by_key(|(at, _, _)| *at);
        all
    }

    /// Lets members speak on while the node stands still; then it finds out about the time and
    /// about their packets, in either order.
    pub fn stall(&mut self, duration: Duration, finds_time_first: bool) {
        let uplinks = self.prepare(duration);
        self.now += duration;
        if finds_time_first {
            self.shard.handle_timeout(self.now, &mut self.wire);
            self.deliver();
        }
        for (at, from, datagram) in uplinks {
            self.inject_late(at, from, datagram);
        }
    }

    pub fn mixer(&self) -> &Mixer {
        self.shard.engine(self.conference).unwrap()
    }

    fn deliver(&mut self) {
        for (to, datagram) in self.wire.0.drain(..) {
            if self.keep_sent {
                self.sent.push((to, datagram.clone()));
            }
            if let Some(member) = self.members.iter_mut().find(|member| member.address == to) {
                member.hear(self.now, datagram);
            }
        }
    }
}

impl Member {
    /// Seals one packet with this payload and level.
    pub fn seal(&mut self, payload: &[u8], level: LevelDbov) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type: self.payload_type,
            sequence_number: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(self.timestamp),
            ssrc: self.grant.send_ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        let mut packet = vec![0; DATAGRAM_SIZE_MAX];
        let mut length = header.write_fixed(0, true, &mut packet);
        let mut writer = ElementWriter::new(&mut packet[length..]).unwrap();
        ClientLevel { voice: true, level }.write(&mut writer).unwrap();
        length += writer.finish();
        packet[length..length + payload.len()].copy_from_slice(payload);
        let length = self.sender.protect_rtp(&mut packet, length + payload.len()).unwrap();
        packet.truncate(length);
        packet
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

    fn speak(&mut self) -> Option<Vec<u8>> {
        self.next_send += FRAME;
        let first = u64::from(self.timestamp.wrapping_sub(5_000));
        let Some(voice) = &mut self.voice else {
            self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
            return None;
        };
        let frame: Frame = std::array::from_fn(|i| voice(first + i as u64));
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        let length = self.encoder.encode(&frame, &mut payload).unwrap();
        let level = self.claim.unwrap_or_else(|| LevelDbov::from_samples(&frame));
        match self.payload.clone() {
            Some(payload) => Some(self.seal(&payload, level)),
            None => Some(self.seal(&payload[..length], level)),
        }
    }

    fn hear(&mut self, at: Instant, mut datagram: Vec<u8>) {
        if classify(&datagram) != PacketKind::Rtp {
            let _ = self.receiver.unprotect_rtcp(&mut datagram).unwrap();
            return;
        }
        let plain = self.receiver.unprotect_rtp(&mut datagram).unwrap();
        let packet = RtpPacket::parse(&datagram[..plain.length]).unwrap();
        if packet.payload().is_empty() {
            self.probes += 1;
            return;
        }
        let timestamp = packet.timestamp().0;
        let red =
            (packet.payload_type() == RED).then(|| RedPacket::parse(packet.payload()).unwrap());
        let payload = red.map_or(packet.payload(), |red| red.primary().payload);
        let copies = red.into_iter().flat_map(|red| {
            red.copies()
                .map(|copy| (copy.offset as usize / FRAME_SAMPLES, copy.payload.to_vec()))
                .collect::<Vec<_>>()
        });
        self.received.push(Received {
            at,
            marker: packet.marker(),
            sequence: packet.sequence_number().0,
            timestamp,
            sources: MixerLevels::read(&packet).unwrap().collect(),
            payload: payload.to_vec(),
            copies: copies.collect(),
        });
        let first = *self.first_timestamp.get_or_insert(timestamp);
        let mut pcm = [0.0; PACKET_SAMPLES_MAX];
        let samples = self.decoder.decode(Some(payload), &mut pcm).unwrap();
        let start = timestamp.wrapping_sub(first) as usize;
        self.heard.resize(start, 0.0);
        self.heard.extend_from_slice(&pcm[..samples]);
    }
}

/// A tone of `rate_hz` at `amplitude`.
pub fn tone(rate_hz: f32, amplitude: f32) -> impl FnMut(u64) -> f32 {
    move |sample| {
        let phase = (sample as f64 * f64::from(rate_hz) / 48_000.0).fract();
        amplitude * (phase * std::f64::consts::TAU).sin() as f32
    }
}

/// White noise with this RMS, from a seed.
pub fn noise(rms: f32, seed: u64) -> impl FnMut(u64) -> f32 {
    let mut state = seed.wrapping_mul(2) + 1;
    move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 40) as f32 / (1 << 24) as f32;
        (unit - 0.5) * 12f32.sqrt() * rms
    }
}

/// The amplitude of the tone of `rate_hz` in `samples`, by projection.
pub fn amplitude(samples: &[f32], rate_hz: f64) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let phase = index as f64 * rate_hz / 48_000.0 * std::f64::consts::TAU;
        real += f64::from(*sample) * phase.cos();
        imaginary += f64::from(*sample) * phase.sin();
    }
    2.0 * real.hypot(imaginary) / samples.len() as f64
}

pub fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}
