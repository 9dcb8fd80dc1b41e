//! What each member hears: the stream's clock, its spurts and their ends.
//!
//! When all fall silent, three closing frames follow, then nothing; every encoder goes back to its
//! pool. The next spurt begins with the marker, and its timestamp jumps by the silence.

use std::time::Duration;

use sabha_media::codec::{Codec, FRAME_SAMPLES, SAMPLE_RATE_HZ};
use sabha_media::engine::LegKey;
use sabha_media::limiter::Limiter;
use sabha_media::outbox::Outbox;
use sabha_media::red::Copies;
use sabha_media::time::Instant;

use crate::cohorts::{Cohorts, MixTick};
use crate::counters::MixerCounters;
use crate::effort::ListenerPacket;
use crate::encodes::{Encodes, is_quiet};
use crate::fan_out::FanOut;
use crate::legs::Legs;
use crate::pool::MixerResources;
use crate::settings::MixerSettings;
use crate::talker::Talker;

/// The encoders and the stream's clock of one conference.
pub(crate) struct Output<C: Codec> {
    state: State,
    limiter: Limiter,
    encodes: Encodes<C>,
    cohorts: Cohorts,
    /// Legs that are sent packs.
    packed: usize,
    /// Counts spurts; the first is 1.
    spurt: u16,
    /// The stream's timestamp before each leg's offset, in samples.
    stream_samples: u64,
    last_tick: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silent,
    Active,
    /// So many closing frames were sent.
    Closing(u32),
}

/// Where one tick's packets come from and go to.
pub(crate) struct Surroundings<'a, C: Codec> {
    pub(crate) at: Instant,
    pub(crate) settings: &'a MixerSettings,
    pub(crate) talkers: &'a [Box<Talker<C>>],
    pub(crate) legs: &'a mut Legs,
    pub(crate) resources: &'a mut MixerResources<C>,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counters: &'a mut MixerCounters,
}

impl<C: Codec> Output<C> {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Silent,
            limiter: Limiter::new(),
            encodes: Encodes::new(),
            cohorts: Cohorts::new(),
            packed: 0,
            spurt: 0,
            stream_samples: 0,
            last_tick: Instant::ZERO,
        }
    }

    /// Mixes, encodes and queues one tick; `sounding` says which talkers are to be heard at all.
    /// Returns the number of encodes.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        let active = sounding.contains(&true);
        if !active && self.is_silent() {
            return 0;
        }
        self.advance_clock(around.at);
        let (state, encodes) = match (active, self.state) {
            (true, _) => (State::Active, self.encode_mixes(around, sounding)),
            (false, State::Closing(sent)) => self.close(around, sent + 1),
            (false, State::Silent | State::Active) => self.close(around, 1),
        };
        self.state = state;
        self.fan_out(around);
        if self.is_silent() {
            self.encodes.release(around.resources);
        }
        encodes
    }

    /// Tells that so many ticks were passed over: what they would have sent is never sent, and
    /// what follows is a spurt of its own.
    pub(crate) fn pass_over(&mut self, ticks: u32) {
        if self.is_silent() {
            return;
        }
        self.stream_samples += u64::from(ticks) * FRAME_SAMPLES as u64;
        self.begin_spurt();
    }

    /// Returns whether there is nothing more to send until somebody talks.
    pub(crate) fn is_silent(&self) -> bool {
        self.state == State::Silent
    }

    /// Returns the stream's timestamp at a time of silence, before each leg's offset.
    pub(crate) fn samples_in_silence(&self, at: Instant) -> u64 {
        let passed = at.saturating_since(self.last_tick);
        let samples = passed.as_nanos() as u64 / 1_000 * u64::from(SAMPLE_RATE_HZ) / 1_000_000;
        self.stream_samples + samples
    }

    /// Returns how many have a personal encode without being ranked: they just ceased to be.
    pub(crate) fn leaving(&self, talkers: &[Box<Talker<C>>]) -> usize {
        self.encodes.leaving(talkers)
    }

    /// Returns what the encoders in use are set to.
    pub(crate) fn complexity(&self) -> Option<u8> {
        self.encodes.complexity()
    }

    /// Forgets a leg that is gone, or that is sent nothing any more.
    pub(crate) fn remove_leg(&mut self, leg: LegKey, resources: &mut MixerResources<C>) {
        self.encodes.remove_leg(leg, resources);
    }

    /// Gives back every encoder; the conference ends.
    pub(crate) fn release(&mut self, resources: &mut MixerResources<C>) {
        self.encodes.release(resources);
    }

    /// Moves the stream's timestamp on by a frame, or by the silence that has passed.
    fn advance_clock(&mut self, at: Instant) {
        let frame = FRAME_SAMPLES as u64;
        self.stream_samples += if self.is_silent() {
            self.begin_spurt();
            (self.samples_in_silence(at) - self.stream_samples).max(frame)
        } else {
            frame
        };
        self.last_tick = at;
    }

    fn begin_spurt(&mut self) {
        self.spurt = self.spurt.wrapping_add(1).max(1);
        self.cohorts.restart();
    }

    fn encode_mixes(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        if !self.encodes.prepare(around) {
            return 0;
        }
        self.encodes.assign(around, sounding);
        self.encodes.sum(around, sounding);
        let ramp = self.limiter.ramp(&around.resources.scratch.mixes);
        for mix in &mut around.resources.scratch.mixes {
            ramp.apply(mix);
        }
        self.encodes.encode(around, sounding)
    }

    /// Stores closing frame `number`: encoded silence, the last a repetition. Returns what follows
    /// it, and the number of encodes.
    fn close(&mut self, around: &mut Surroundings<'_, C>, number: u32) -> (State, u32) {
        if number == CLOSING_FRAMES {
            self.encodes.repeat(around);
            return (State::Silent, 0);
        }
        (State::Closing(number), self.encodes.encode_silence(around))
    }

    /// Queues this tick's packets.
    fn fan_out(&mut self, around: &mut Surroundings<'_, C>) {
        let wanted = around.settings.listener_packet.under(around.resources.effort());
        let tick = self.mix_tick(around, wanted);
        let Some((shared, recent)) = self.encodes.shared() else { return };
        let codec = &around.resources.codec;
        let mut fan_out = FanOut {
            tick,
            payload_type: around.settings.payload_type,
            red_payload_type: around.settings.red_payload_type,
            samples: self.stream_samples,
            spurt: self.spurt,
            shared,
            recent,
            shared_red: [None; Copies::ANY.len()],
            personals: self.encodes.personals(),
            codec,
            outbox: around.outbox,
            counters: around.counters,
        };
        let streams = around.legs.streams_mut();
        if self.cohorts.is_to_regroup(wanted, self.packed, tick) {
            fan_out.send_pending(streams, &self.cohorts);
            self.cohorts.regroup();
        }
        if self.cohorts.count() == 1 {
            fan_out.send_singly(streams);
            return;
        }
        let ticks = self.cohorts.tick(codec, recent, tick);
        self.packed = fan_out.send_packed(streams, &self.cohorts, &ticks);
    }

    fn mix_tick(&self, around: &Surroundings<'_, C>, wanted: ListenerPacket) -> MixTick {
        let is_last = self.is_silent();
        let matters = wanted != ListenerPacket::Ms20 || self.packed > 0;
        let mix = around.resources.scratch.mixes.first();
        let is_quiet = matters && (is_last || mix.is_some_and(is_quiet));
        MixTick { at: around.at, is_quiet, is_last }
    }
}

/// Closing frames after the last sound: if two are lost, the third still tells of the silence.
const CLOSING_FRAMES: u32 = 3;

/// One tick.
pub(crate) const TICK: Duration = Duration::from_millis(20);
