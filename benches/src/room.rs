//! A conference on a shard in virtual time: some talk without a pause, the others listen.

use std::time::Duration;

use sabha_bridge::{Bridge, BridgeCounters, BridgeResources, BridgeSettings};
use sabha_media::codec::opus::{Opus, OpusEncoder};
use sabha_media::codec::{Encoder, EncoderSettings, PAYLOAD_SIZE_MAX};
use sabha_media::engine::Engine;
use sabha_media::extension::LevelDbov;
use sabha_media::outbox::OutboxLimits;
use sabha_media::rtcp::REPORT_INTERVAL;
use sabha_media::shard::{ConferenceKey, Shard, ShardConfig};
use sabha_media::time::Instant;
use sabha_mixer::{
    ListenerPacket, ListenerPacketSetting, Mixer, MixerCounters, MixerResources, MixerSettings,
    ResourceLimits,
};

use crate::member::{EPOCH, Member, START, Sealed, Slot};
use crate::speech::speech;

/// A conference around a real shard with real keys; `prepare`, then `tick`, by turns.
pub struct Room<E: Engine = Mixer> {
    shard: Shard<E>,
    conference: ConferenceKey,
    members: Vec<Member>,
    /// What the talkers say, encoded, over and over; they are the first of the members.
    said: Vec<Vec<(LevelDbov, Vec<u8>)>>,
    /// This tick's datagrams.
    uplink: Vec<Sealed>,
    slot: Slot,
    ticks: u64,
}

impl Room {
    /// Makes a conference with the mixer's default settings, and runs its first second.
    ///
    /// # Panics
    /// If the shard refuses so many members.
    pub fn new(talkers: usize, listeners: usize) -> Self {
        Self::packed(talkers, listeners, ListenerPacket::Ms20)
    }

    /// Makes one whose listeners are sent packets of this length.
    ///
    /// # Panics
    /// If the shard refuses so many members.
    pub fn packed(talkers: usize, listeners: usize, listener_packet: ListenerPacket) -> Self {
        let settings = MixerSettings {
            listener_packet: ListenerPacketSetting::Fixed(listener_packet),
            members_max: (talkers + listeners) as u32,
            ..MixerSettings::default()
        };
        let mixer = Mixer::new(settings).expect("the settings are in range");
        let resources = MixerResources::new(Opus, ResourceLimits::default());
        Self::around(mixer, resources, talkers, listeners)
    }

    /// Returns what the mixer did so far.
    ///
    /// # Panics
    /// Never: the conference lives as long as the room.
    pub fn counters(&self) -> &MixerCounters {
        self.shard.engine(self.conference).expect("the conference is never removed").counters()
    }
}

impl Room<Bridge> {
    /// Makes a conference that is forwarded, and runs its first second.
    ///
    /// # Panics
    /// If the shard refuses so many members.
    pub fn bridged(talkers: usize, listeners: usize) -> Self {
        let members_max = (talkers + listeners) as u32;
        let settings = BridgeSettings { members_max, ..BridgeSettings::default() };
        let bridge = Bridge::new(settings).expect("the settings are in range");
        let resources = BridgeResources::new(sabha_bridge::ResourceLimits::default());
        Self::around(bridge, resources, talkers, listeners)
    }

    /// Returns what the bridge did so far.
    ///
    /// # Panics
    /// Never: the conference lives as long as the room.
    pub fn counters(&self) -> &BridgeCounters {
        self.shard.engine(self.conference).expect("the conference is never removed").counters()
    }
}

impl<E: Engine> Room<E> {
    fn around(engine: E, resources: E::Resources, talkers: usize, listeners: usize) -> Self {
        let members = talkers + listeners;
        let config = ShardConfig {
            index: 0,
            legs_max: members,
            conferences_max: 1,
            outbox: OutboxLimits {
                bodies_max: 64,
                packets_max: (1 + talkers) * members,
                deferred_bodies_max: 8,
            },
            seed: 7,
            tap: None,
        };
        let mut shard = Shard::new(config, resources);
        let conference = shard.add_conference(engine, EPOCH).expect("room for one conference");
        let members =
            (0..members).map(|index| Member::join(&mut shard, conference, index)).collect();
        let said = (0..talkers).map(encoded).collect();
        let (uplink, slot) = (Vec::new(), Slot::new());
        let mut room = Self { shard, conference, members, said, uplink, slot, ticks: 0 };
        room.keep_all_alive();
        for _ in 0..TICKS_PER_SECOND {
            room.prepare();
            room.tick();
        }
        room.keep_all_alive();
        room
    }

    fn keep_all_alive(&mut self) {
        (0..self.members.len()).for_each(|index| self.keep_alive(index));
    }

    /// Seals what the talkers send in the next tick, and hands in the keep-alives that are due.
    pub fn prepare(&mut self) {
        let turns = REPORT_INTERVAL.as_millis() as usize / TICK.as_millis() as usize;
        let turn = (self.ticks % turns as u64) as usize;
        for index in (turn..self.members.len()).step_by(turns) {
            self.keep_alive(index);
        }
        self.uplink.clear();
        for (member, said) in self.members.iter_mut().zip(&self.said) {
            let (level, payload) = &said[self.ticks as usize % said.len()];
            self.uplink.push(member.packet(self.ticks, *level, payload));
        }
    }

    /// Runs the 20 ms that `prepare` prepared: takes in one packet of each talker, and writes to each
    /// member what it is sent, a mix or the others' packets. Returns the datagrams written so far.
    pub fn tick(&mut self) -> u64 {
        let now = self.now();
        for sealed in &mut self.uplink {
            self.shard.handle_datagram(now, sealed.received(now), &mut self.slot);
        }
        self.ticks += 1;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due < self.now()) {
            self.shard.handle_timeout(due, &mut self.slot);
        }
        while self.shard.poll_event().is_some() {}
        self.slot.datagrams
    }

    fn now(&self) -> Instant {
        START + TICK * u32::try_from(self.ticks).expect("a bench runs less than two years")
    }

    fn keep_alive(&mut self, index: usize) {
        let now = self.now();
        // As a member does, which reports first when there is enough to tell of.
        let told = if self.ticks < TICKS_PER_SECOND.into() { 0 } else { self.ticks };
        let mut sealed = self.members[index].keep_alive(told);
        self.shard.handle_datagram(now, sealed.received(now), &mut self.slot);
    }
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

const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: u32 = 50;
