//! A conference on a shard in virtual time: some talk without a pause, the others listen.

use std::net::SocketAddr;
use std::time::Duration;

use sabha_media::codec::opus::{Opus, OpusEncoder};
use sabha_media::codec::{Encoder, EncoderSettings, PAYLOAD_SIZE_MAX};
use sabha_media::extension::LevelDbov;
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::OutboxLimits;
use sabha_media::rtcp::CompoundWriter;
use sabha_media::shard::{
    ConferenceKey, LegRequest, MediaEpoch, REPORT_INTERVAL, Shard, ShardConfig, keep_alive,
};
use sabha_media::srtp::{MasterKey, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};
use sabha_mixer::{Mixer, MixerCounters, MixerResources, MixerSettings, ResourceLimits};

use crate::packet::write_packet;
use crate::speech::speech;

/// A mixed conference around a real shard with real keys; `prepare`, then `tick`, by turns.
pub struct Room {
    shard: Shard<Mixer>,
    conference: ConferenceKey,
    members: Vec<Member>,
    /// This tick's datagrams, sealed: who sends, length, octets.
    uplink: Vec<(SocketAddr, usize, [u8; DATAGRAM_SIZE_MAX])>,
    slot: Slot,
    ticks: u64,
}

struct Member {
    ssrc: Ssrc,
    address: SocketAddr,
    sender: SrtpSender,
    /// What a talker says, encoded, over and over; empty for those who listen.
    said: Vec<(LevelDbov, Vec<u8>)>,
}

/// Stands for the kernel: the shard writes here, and that was it.
struct Slot {
    bytes: [u8; DATAGRAM_SIZE_MAX],
    datagrams: u64,
}

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        self.datagrams += u64::from(write(&mut self.bytes) > 0);
    }
}

impl Room {
    /// Makes a conference with the mixer's default settings, and runs its first second.
    ///
    /// # Panics
    /// If the shard refuses so many members.
    pub fn new(talkers: usize, listeners: usize) -> Self {
        let members = talkers + listeners;
        let config = ShardConfig {
            index: 0,
            legs_max: members,
            conferences_max: 1,
            outbox: OutboxLimits { bodies_max: 64, packets_max: members, deferred_bodies_max: 8 },
            seed: 7,
            tap: None,
        };
        let resources = MixerResources::new(Opus, ResourceLimits::default());
        let mut shard = Shard::new(config, resources);
        let mixer = Mixer::new(MixerSettings::default()).expect("the defaults are in range");
        let epoch = MediaEpoch { counter: 1, rank: 0 };
        let conference = shard.add_conference(mixer, epoch).expect("room for one conference");
        let members = (0..members)
            .map(|index| {
                let said = if index < talkers { encoded(index) } else { Vec::new() };
                Member::join(&mut shard, conference, index, said)
            })
            .collect();
        let slot = Slot { bytes: [0; DATAGRAM_SIZE_MAX], datagrams: 0 };
        let mut room = Self { shard, conference, members, uplink: Vec::new(), slot, ticks: 0 };
        for index in 0..room.members.len() {
            room.keep_alive(index);
        }
        for _ in 0..TICKS_PER_SECOND {
            room.prepare();
            room.tick();
        }
        room
    }

    /// Seals what the talkers send in the next tick, and hands in the keep-alives that are due.
    pub fn prepare(&mut self) {
        let turns = REPORT_INTERVAL.as_millis() as usize / TICK.as_millis() as usize;
        let turn = (self.ticks % turns as u64) as usize;
        for index in (turn..self.members.len()).step_by(turns) {
            self.keep_alive(index);
        }
        self.uplink.clear();
        for member in self.members.iter_mut().filter(|member| !member.said.is_empty()) {
            let mut bytes = [0; DATAGRAM_SIZE_MAX];
            let (level, payload) = &member.said[self.ticks as usize % member.said.len()];
            let length = write_packet(&mut bytes, member.ssrc, self.ticks, *level, payload);
            let length = member.sender.protect_rtp(&mut bytes, length).expect("room for a tag");
            self.uplink.push((member.address, length, bytes));
        }
    }

    /// Runs the 20 ms that `prepare` prepared: takes in one packet of each talker, mixes, and
    /// writes one packet for each member. Returns the datagrams written so far.
    pub fn tick(&mut self) -> u64 {
        let now = self.now();
        for (from, length, bytes) in &mut self.uplink {
            let datagram = Datagram { from: *from, received_at: now, bytes: &mut bytes[..*length] };
            self.shard.handle_datagram(now, datagram, &mut self.slot);
        }
        self.ticks += 1;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due < self.now()) {
            self.shard.handle_timeout(due, &mut self.slot);
        }
        while self.shard.poll_event().is_some() {}
        self.slot.datagrams
    }

    /// Returns what the mixer did so far.
    ///
    /// # Panics
    /// Never: the conference lives as long as the room.
    pub fn counters(&self) -> &MixerCounters {
        self.shard.engine(self.conference).expect("the conference is never removed").counters()
    }

    fn now(&self) -> Instant {
        START + TICK * u32::try_from(self.ticks).expect("a bench runs less than two years")
    }

    fn keep_alive(&mut self, index: usize) {
        let now = self.now();
        let member = &mut self.members[index];
        let (mut bytes, length) = member.keep_alive();
        let bytes = &mut bytes[..length];
        let datagram = Datagram { from: member.address, received_at: now, bytes };
        self.shard.handle_datagram(now, datagram, &mut self.slot);
    }
}

impl Member {
    fn join(
        shard: &mut Shard<Mixer>,
        conference: ConferenceKey,
        index: usize,
        said: Vec<(LevelDbov, Vec<u8>)>,
    ) -> Self {
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: key(index, 0),
            send_key: key(index, 1),
        };
        let grant = shard.add_leg(START, conference, &request).expect("room for every member");
        let sender = SrtpSender::new(&key(index, 0), &[grant.send_ssrc]).expect("one stream");
        let port = u16::try_from(index + 1).expect("fewer members than ports");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { ssrc: grant.send_ssrc, address, sender, said }
    }

    fn keep_alive(&mut self) -> ([u8; DATAGRAM_SIZE_MAX], usize) {
        let mut bytes = [0; DATAGRAM_SIZE_MAX];
        let epoch = MediaEpoch { counter: 1, rank: 0 }.to_bytes();
        let mut writer = CompoundWriter::new(&mut bytes);
        let written = writer
            .receiver_report(self.ssrc, &[])
            .and_then(|_| writer.cname(self.ssrc, b"member"))
            .and_then(|_| writer.application(&keep_alive(self.ssrc, &epoch)));
        written.expect("a keep-alive is far shorter than a datagram");
        let length = writer.finish();
        let length = self.sender.protect_rtcp(&mut bytes, length).expect("room for a tag");
        (bytes, length)
    }
}

fn key(index: usize, direction: u8) -> MasterKey {
    let suite = SrtpSuite::AeadAes128Gcm;
    let mut material = vec![direction; suite.keying_material_len()];
    material[..8].copy_from_slice(&index.to_le_bytes());
    MasterKey::new(suite, &material).expect("the suite's own length")
}

fn encoded(index: usize) -> Vec<(LevelDbov, Vec<u8>)> {
    let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 32_000, complexity: 9 });
    let mut payload = [0; PAYLOAD_SIZE_MAX];
    let frames = speech(index);
    let encode = |frame| {
        let length = encoder.encode(frame, &mut payload).expect("room for the largest payload");
        (LevelDbov::from_samples(frame), payload[..length].to_vec())
    };
    frames.iter().map(encode).collect()
}

const START: Instant = Instant::from_millis(1_000_000);
const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: u32 = 50;
