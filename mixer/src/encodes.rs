//! A conference's encoders: one for all who listen, and a personal one for each who talks.
//!
//! A personal encoder begins as a copy of the shared one's state, so its listener hears no seam,
//! and is given up after 200 ms in which its input was the shared one. All of them come from the
//! shard's pools and go back when the mix falls silent.

use dasp_slice::{add_in_place, add_in_place_with_amp_per_channel};

use sabha_media::codec::{Codec, Encoder, EncoderSettings, Frame};
use sabha_media::engine::LegKey;
use sabha_media::leg::Ssrc;
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::red::Copies;
use sabha_media::rtp::PayloadType;

use crate::output::Surroundings;
use crate::pool::{MixerResources, SILENCE};
use crate::recent::Recent;
use crate::sources::Sources;
use crate::talker::Talker;

/// The encoders in use, none while nobody talks.
pub(crate) struct Encodes<C: Codec> {
    shared: Option<Shared<C::Encoder>>,
    /// By leg.
    personals: Vec<Personal<C::Encoder>>,
    /// What all of them are set to.
    complexity: u8,
}

struct Shared<E> {
    encoder: E,
    recent: Box<Recent>,
    body: Option<BodyId>,
}

/// One who talks hears this.
pub(crate) struct Personal<E> {
    pub(crate) leg: LegKey,
    encoder: E,
    recent: Box<Recent>,
    /// Ticks in a row with the same input as the shared encoder.
    identical_ticks: u32,
    /// Whose share is reduced: an index into this tick's talkers.
    own: Option<usize>,
    /// Who is reduced to what share.
    reduced: (Option<Ssrc>, f32),
    pub(crate) body: Option<BodyId>,
}

impl<C: Codec> Encodes<C> {
    pub(crate) fn new() -> Self {
        Self { shared: None, personals: Vec::new(), complexity: 0 }
    }

    /// Takes the shared encoder if there is none; false if the pool is exhausted.
    pub(crate) fn prepare(&mut self, around: &mut Surroundings<'_, C>) -> bool {
        self.apply_effort(around);
        if self.shared.is_some() {
            return true;
        }
        let settings = EncoderSettings { complexity: self.complexity, ..around.settings.encoder };
        let Some((encoder, recent)) = around.resources.take_fresh_encoder(settings) else {
            around.counters.pool_exhausted += 1;
            return false;
        };
        self.shared = Some(Shared { encoder, recent, body: None });
        true
    }

    /// Gives each sounding talker a personal encode, and takes those no longer needed.
    pub(crate) fn assign(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) {
        for personal in &mut self.personals {
            personal.own = None;
            personal.identical_ticks += 1;
        }
        let Some(shared) = &self.shared else { return };
        for (index, talker) in around.talkers.iter().enumerate() {
            let Some(leg) = talker.leg.filter(|_| sounding[index]) else { continue };
            if around.legs.own_share(leg, around.settings.self_share) >= 1.0 {
                continue;
            }
            let own = Some(index);
            match self.personals.binary_search_by_key(&leg, |personal| personal.leg) {
                Ok(place) => {
                    let personal = &mut self.personals[place];
                    (personal.own, personal.identical_ticks) = (own, 0);
                }
                Err(place) => {
                    let taken = around.resources.take_encoder(around.settings.encoder);
                    let Some((mut encoder, mut recent)) = taken else {
                        around.counters.pool_exhausted += 1;
                        continue;
                    };
                    encoder.copy_state_from(&shared.encoder);
                    recent.copy_from(&shared.recent);
                    let personal = Personal {
                        leg,
                        encoder,
                        recent,
                        identical_ticks: 0,
                        own,
                        reduced: (None, 1.0),
                        body: None,
                    };
                    self.personals.insert(place, personal);
                }
            }
        }
        self.release_personals(around.resources, |personal| {
            personal.identical_ticks > IDENTICAL_TICKS_MIN
        });
    }

    /// Fills the scratch mixes: the sum of all, then for each personal the sum less its own part.
    pub(crate) fn sum(&self, around: &mut Surroundings<'_, C>, sounding: &[bool]) {
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
                let share = around.settings.self_share;
                let less = around.legs.own_share(personal.leg, share) - 1.0;
                add_in_place_with_amp_per_channel(&mut mix, &around.talkers[own].frame, less);
            }
            mixes.push(mix);
        }
    }

    /// Encodes the scratch mixes and stores the bodies; returns the number of encodes.
    pub(crate) fn encode(&mut self, around: &mut Surroundings<'_, C>, sounding: &[bool]) -> u32 {
        let Some(shared) = &mut self.shared else { return 0 };
        let scratch = &mut *around.resources.scratch;
        let sources = Sources::of(around.talkers, sounding);
        let length = shared.encoder.encode(&scratch.mixes[0], &mut scratch.payload).unwrap_or(0);
        shared.recent.push(&scratch.payload[..length], sources);
        shared.body = sources.store(around.outbox, shared.recent.newest(), None, 1.0);
        let mut encodes = 1;
        for (personal, mix) in self.personals.iter_mut().zip(&scratch.mixes[1..]) {
            let length = personal.encoder.encode(mix, &mut scratch.payload).unwrap_or(0);
            encodes += 1;
            personal.recent.push(&scratch.payload[..length], sources);
            let own = personal.own.map(|own| around.talkers[own].ssrc);
            let share = around.legs.own_share(personal.leg, around.settings.self_share);
            personal.reduced = (own, share);
            personal.body = sources.store(around.outbox, personal.recent.newest(), own, share);
        }
        around.counters.encodes += u64::from(encodes);
        encodes
    }

    /// Encodes a frame of silence for everybody.
    pub(crate) fn encode_silence(&mut self, around: &mut Surroundings<'_, C>) -> u32 {
        self.apply_effort(around);
        for personal in &mut self.personals {
            personal.own = None;
        }
        let mixes = &mut around.resources.scratch.mixes;
        mixes.clear();
        mixes.resize(1 + self.personals.len(), SILENCE);
        self.encode(around, &[])
    }

    /// Stores the last shared payload once more, for everybody.
    pub(crate) fn repeat(&mut self, around: &mut Surroundings<'_, C>) {
        self.release_personals(around.resources, |_| true);
        if let Some(shared) = &mut self.shared {
            shared.recent.repeat();
            shared.body = around.outbox.store(&[], &[], shared.recent.newest());
        }
    }

    /// Gives back the personal encoder of a leg that is gone.
    pub(crate) fn remove_leg(&mut self, leg: LegKey, resources: &mut MixerResources<C>) {
        self.release_personals(resources, |personal| personal.leg == leg);
    }

    /// Gives back every encoder.
    pub(crate) fn release(&mut self, resources: &mut MixerResources<C>) {
        self.release_personals(resources, |_| true);
        if let Some(Shared { encoder, recent, .. }) = self.shared.take() {
            resources.put_back_encoder(encoder, recent);
        }
    }

    /// Returns this tick's shared body, and the payloads that led to it; `None` without encoder.
    pub(crate) fn shared(&self) -> Option<(Option<BodyId>, &Recent)> {
        self.shared.as_ref().map(|shared| (shared.body, &*shared.recent))
    }

    /// Returns who is sent a personal mix, by leg.
    pub(crate) fn personals(&self) -> &[Personal<C::Encoder>] {
        &self.personals
    }

    /// Returns how many have a personal encode without being ranked: they just ceased to be.
    pub(crate) fn leaving(&self, talkers: &[Box<Talker<C>>]) -> usize {
        let is_ranked =
            |leg: LegKey| talkers.iter().any(|talker| talker.leg == Some(leg) && talker.ranked);
        self.personals.iter().filter(|personal| !is_ranked(personal.leg)).count()
    }

    /// Returns what the encoders in use are set to; `None` if there are none.
    pub(crate) fn complexity(&self) -> Option<u8> {
        self.shared.as_ref().map(|_| self.complexity)
    }

    /// Sets all encoders to what the node can afford now: in the same tick, as their states must
    /// not differ but by what they hear.
    fn apply_effort(&mut self, around: &Surroundings<'_, C>) {
        let settings = around.settings.encoder;
        let complexity = settings.complexity.min(around.resources.effort().complexity);
        if complexity == self.complexity {
            return;
        }
        self.complexity = complexity;
        let settings = EncoderSettings { complexity, ..settings };
        if let Some(shared) = &mut self.shared {
            shared.encoder.apply(settings);
        }
        for personal in &mut self.personals {
            personal.encoder.apply(settings);
        }
    }

    fn release_personals(
        &mut self,
        resources: &mut MixerResources<C>,
        is_done: impl Fn(&Personal<C::Encoder>) -> bool,
    ) {
        for personal in self.personals.extract_if(.., |personal| is_done(personal)) {
            resources.put_back_encoder(personal.encoder, personal.recent);
        }
    }
}

impl<E> Personal<E> {
    /// Stores this tick's payload with these copies.
    pub(crate) fn store_red(
        &self,
        copies: Copies,
        payload_type: PayloadType,
        outbox: &mut Outbox,
    ) -> Option<BodyId> {
        self.recent.store_red(copies, payload_type, self.reduced, outbox)
    }
}

/// Ticks of identical input after which the encoders' states agree: 200 ms.
const IDENTICAL_TICKS_MIN: u32 = 10;

/// Returns whether a gap in this mix would not be heard.
pub(crate) fn is_quiet(mix: &Frame) -> bool {
    crate::levels::frame_db(mix) >= QUIET_DB
}

/// A mix this far below overload is a pause: the level below which no squelch opens.
const QUIET_DB: f32 = 50.0;
