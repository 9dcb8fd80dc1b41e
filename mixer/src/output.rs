//! What each member hears: one shared encode, and a personal one for each who talks.
//!
//! A personal encoder begins as a copy of the shared one's state, so its listener hears no seam,
//! and is given up after 200 ms in which its input was the shared one. When all fall silent,
//! three closing frames follow, then nothing.

use std::time::Duration;

use dasp_slice::{add_in_place, add_in_place_with_amp_per_channel};

use sabha_media::codec::{Codec, Encoder, FRAME_SAMPLES, SAMPLE_RATE_HZ};
use sabha_media::engine::LegKey;
use sabha_media::extension::LevelDbov;
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::rtp::{CSRC_MAX, RtpHeader, RtpTimestamp};
use sabha_media::time::Instant;

use crate::counters::MixerCounters;
use crate::levels::{frame_db, to_dbov};
use crate::limiter::Limiter;
use crate::mixer::Leg;
use crate::pool::{MixerResources, SILENCE};
use crate::settings::MixerSettings;
use crate::talker::Talker;

/// The encoders and the stream's clock of one conference.
pub(crate) struct Output<C: Codec> {
    state: State,
    limiter: Limiter,
    shared: Option<Box<Shared<C::Encoder>>>,
    personals: Vec<Personal<C::Encoder>>,
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

struct Shared<E> {
    encoder: E,
    /// The last payload, to be repeated as the last closing frame.
    payload: Vec<u8>,
    body: Option<BodyId>,
}

struct Personal<E> {
    leg: LegKey,
    encoder: E,
    /// Ticks in a row with the same input as the shared encoder.
    identical_ticks: u32,
    /// Whose share is reduced: an index into this tick's talkers.
    own: Option<usize>,
    body: Option<BodyId>,
}

/// Where one tick's packets come from and go to.
pub(crate) struct Surroundings<'a, C: Codec> {
    pub(crate) at: Instant,
    pub(crate) settings: &'a MixerSettings,
    pub(crate) talkers: &'a [Box<Talker<C>>],
    pub(crate) legs: &'a mut [Option<Leg>],
    pub(crate) resources: &'a mut MixerResources<C>,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counters: &'a mut MixerCounters,
}

impl<C: Codec> Output<C> {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Silent,
            limiter: Limiter::new(),
            shared: None,
            personals: Vec::new(),
            stream_samples: 0,
            last_tick: Instant::ZERO,
        }
    }

    /// Mixes, encodes and queues one tick; `sounding` says which talkers are to be heard at all.
    /// Returns the number of encodes.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        let active = sounding.contains(&true);
        let marker = self.state == State::Silent;
        self.advance_clock(around.at, marker);
        let encodes = match (active, self.state) {
            (true, _) => {
                self.state = State::Active;
                self.encode_mixes(around, sounding)
            }
            (false, State::Silent) => 0,
            (false, State::Active) => self.close(around, 1),
            (false, State::Closing(sent)) => self.close(around, sent + 1),
        };
        if self.state != State::Silent || encodes > 0 || active {
            self.fan_out(around, marker);
        }
        if self.state == State::Closing(CLOSING_FRAMES) {
            self.state = State::Silent;
            self.release_personals(around, |_| true);
        }
        encodes
    }

    /// Returns whether there is nothing more to send until somebody talks.
    pub(crate) fn is_silent(&self) -> bool {
        self.state == State::Silent
    }

    /// Returns how many have a personal encode without being ranked: they just ceased to be.
    pub(crate) fn leaving(&self, talkers: &[Box<Talker<C>>]) -> usize {
        let is_ranked =
            |leg: LegKey| talkers.iter().any(|talker| talker.leg == Some(leg) && talker.ranked);
        self.personals.iter().filter(|personal| !is_ranked(personal.leg)).count()
    }

    /// Gives back the personal encoder of a leg that is gone.
    pub(crate) fn remove_leg(&mut self, leg: LegKey, resources: &mut MixerResources<C>) {
        if let Some(index) = self.personals.iter().position(|personal| personal.leg == leg) {
            resources.encoders.put_back(self.personals.swap_remove(index).encoder);
        }
    }

    /// Gives back every encoder; the conference ends.
    pub(crate) fn release(&mut self, resources: &mut MixerResources<C>) {
        for personal in self.personals.drain(..) {
            resources.encoders.put_back(personal.encoder);
        }
        if let Some(shared) = self.shared.take() {
            resources.encoders.put_back(shared.encoder);
        }
    }

    /// Moves the stream's timestamp on by a frame, or by the silence that has passed.
    fn advance_clock(&mut self, at: Instant, after_silence: bool) {
        let frame = FRAME_SAMPLES as u64;
        self.stream_samples += if after_silence {
            let passed = at.saturating_since(self.last_tick);
            let samples = passed.as_nanos() as u64 / 1_000 * u64::from(SAMPLE_RATE_HZ) / 1_000_000;
            samples.max(frame)
        } else {
            frame
        };
        self.last_tick = at;
    }

    fn encode_mixes(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        if !self.prepare_shared(around) {
            return 0;
        }
        self.assign_personals(around, sounding);
        self.sum(around, sounding);
        let ramp = self.limiter.ramp(&around.resources.scratch.mixes);
        for mix in &mut around.resources.scratch.mixes {
            ramp.apply(mix);
        }
        self.encode(around, sounding)
    }

    /// Sends closing frame `number`: encoded silence, the last a repetition.
    fn close(&mut self, around: &mut Surroundings<'_, C>, number: u32) -> u32 {
        self.state = State::Closing(number);
        for personal in &mut self.personals {
            personal.own = None;
        }
        if number == CLOSING_FRAMES {
            if let Some(shared) = &mut self.shared {
                shared.body = around.outbox.store(&[], &[], &shared.payload);
            }
            self.release_personals(around, |_| true);
            return 0;
        }
        let mixes = &mut around.resources.scratch.mixes;
        mixes.clear();
        mixes.resize(1 + self.personals.len(), SILENCE);
        self.encode(around, &[])
    }

    fn prepare_shared(&mut self, around: &mut Surroundings<'_, C>) -> bool {
        if self.shared.is_some() {
            return true;
        }
        let settings = around.settings.encoder;
        let Some(mut encoder) = around.resources.take_encoder(settings) else {
            around.counters.pool_exhausted += 1;
            return false;
        };
        encoder.reset();
        encoder.apply(settings);
        let payload = Vec::with_capacity(around.resources.scratch.payload.len());
        self.shared = Some(Box::new(Shared { encoder, payload, body: None }));
        true
    }

    /// Gives each sounding talker a personal encode, and takes those no longer needed.
    fn assign_personals(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) {
        for personal in &mut self.personals {
            personal.own = None;
            personal.identical_ticks += 1;
        }
        let Some(shared) = &self.shared else { return };
        for (index, talker) in around.talkers.iter().enumerate() {
            let Some(leg) = talker.leg.filter(|_| sounding[index]) else { continue };
            if around.settings.self_share >= 1.0 {
                continue;
            }
            let existing = self.personals.iter_mut().find(|personal| personal.leg == leg);
            if let Some(personal) = existing {
                personal.own = Some(index);
                personal.identical_ticks = 0;
                continue;
            }
            let Some(mut encoder) = around.resources.take_encoder(around.settings.encoder) else {
                around.counters.pool_exhausted += 1;
                continue;
            };
            encoder.copy_state_from(&shared.encoder);
            let own = Some(index);
            self.personals.push(Personal { leg, encoder, identical_ticks: 0, own, body: None });
        }
        self.release_personals(around, |personal| personal.identical_ticks > IDENTICAL_TICKS_MIN);
    }

    fn release_personals(
        &mut self,
        around: &mut Surroundings<'_, C>,
        is_done: impl Fn(&Personal<C::Encoder>) -> bool,
    ) {
        let mut index = 0;
        while index < self.personals.len() {
            if is_done(&self.personals[index]) {
                let personal = self.personals.swap_remove(index);
                around.resources.encoders.put_back(personal.encoder);
            } else {
                index += 1;
            }
        }
    }

    /// Fills the scratch mixes: the sum of all, then for each personal the sum less its own part.
    fn sum(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) {
        let mixes = &mut around.resources.scratch.mixes;
        mixes.clear();
        let mut sum = SILENCE;
        for (talker, _) in around.talkers.iter().zip(sounding).filter(|(_, sounds)| **sounds) {
            add_in_place(&mut sum, &talker.frame);
        }
        mixes.push(sum);
        for personal in &self.personals {
            let mut mix = sum;
            if let Some(own) = personal.own {
                let less = around.settings.self_share - 1.0;
                add_in_place_with_amp_per_channel(&mut mix, &around.talkers[own].frame, less);
            }
            mixes.push(mix);
        }
    }

    /// Encodes the scratch mixes and stores the bodies; returns the number of encodes.
    fn encode(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        let Some(shared) = &mut self.shared else { return 0 };
        let scratch = &mut *around.resources.scratch;
        let sources = Sources::of(around.talkers, sounding);
        let length = shared.encoder.encode(&scratch.mixes[0], &mut scratch.payload).unwrap_or(0);
        shared.payload.clear();
        shared.payload.extend_from_slice(&scratch.payload[..length]);
        shared.body = sources.store(around.outbox, &shared.payload, None, 1.0);
        let mut encodes = 1;
        for (personal, mix) in self.personals.iter_mut().zip(&scratch.mixes[1..]) {
            let length = personal.encoder.encode(mix, &mut scratch.payload).unwrap_or(0);
            encodes += 1;
            let own = personal.own.map(|own| around.talkers[own].ssrc);
            let share = around.settings.self_share;
            let payload = &scratch.payload[..length];
            personal.body = sources.store(around.outbox, payload, own, share);
        }
        around.counters.encodes += u64::from(encodes);
        encodes
    }

    fn fan_out(&mut self, around: &mut Surroundings<'_, C>, marker: bool) {
        let shared = self.shared.as_ref().and_then(|shared| shared.body);
        for (key, leg) in around.legs.iter_mut().enumerate() {
            let Some(leg) = leg.as_mut().filter(|leg| leg.role == LegRole::Member) else {
                continue;
            };
            let key = LegKey(key as u32);
            let personal = self.personals.iter().find(|personal| personal.leg == key);
            let Some(body) = personal.map_or(shared, |personal| personal.body) else { continue };
            let header = leg.next_header(around.settings, self.stream_samples, marker);
            around.outbox.send(leg.id, header, body, around.at);
        }
    }
}

impl Leg {
    /// Writes the header of the leg's next packet.
    fn next_header(&mut self, settings: &MixerSettings, samples: u64, marker: bool) -> RtpHeader {
        let header = RtpHeader {
            marker: marker || !self.has_received,
            payload_type: settings.payload_type,
            sequence_number: self.sequence_number,
            timestamp: RtpTimestamp((samples as u32).wrapping_add(self.timestamp_offset)),
            ssrc: self.receive_ssrc,
        };
        self.sequence_number = self.sequence_number.next();
        self.has_received = true;
        header
    }
}

/// Who is in the mix, with levels, in the order of the talkers.
struct Sources {
    ssrcs: [Ssrc; CSRC_MAX],
    levels_db: [f32; CSRC_MAX],
    count: usize,
}

impl Sources {
    fn of<C: Codec>(talkers: &[Box<Talker<C>>], sounding: &[bool]) -> Self {
        let mut all = Self { ssrcs: [Ssrc(0); CSRC_MAX], levels_db: [0.0; CSRC_MAX], count: 0 };
        let heard = talkers.iter().zip(sounding).filter(|(_, sounds)| **sounds);
        for (talker, _) in heard.take(CSRC_MAX) {
            all.ssrcs[all.count] = talker.ssrc;
            all.levels_db[all.count] = frame_db(&talker.frame);
            all.count += 1;
        }
        all
    }

    /// Stores a body whose `own` source is reduced to `share`, and left out if that is nothing.
    fn store(
        &self,
        outbox: &mut Outbox,
        payload: &[u8],
        own: Option<Ssrc>,
        share: f32,
    ) -> Option<BodyId> {
        let (mut ssrcs, mut levels) = ([Ssrc(0); CSRC_MAX], [LevelDbov(127); CSRC_MAX]);
        let mut count = 0;
        for (ssrc, level_db) in self.ssrcs.iter().zip(self.levels_db).take(self.count) {
            let is_own = own == Some(*ssrc);
            if is_own && share <= 0.0 {
                continue;
            }
            let reduced_db = if is_own { -20.0 * share.log10() } else { 0.0 };
            ssrcs[count] = *ssrc;
            levels[count] = to_dbov(level_db + reduced_db);
            count += 1;
        }
        outbox.store(&ssrcs[..count], &levels[..count], payload)
    }
}

/// Closing frames after the last sound: if two are lost, the third still tells of the silence.
const CLOSING_FRAMES: u32 = 3;

/// Ticks of identical input after which the encoders' states agree: 200 ms.
const IDENTICAL_TICKS_MIN: u32 = 10;

/// One tick.
pub(crate) const TICK: Duration = Duration::from_millis(20);
