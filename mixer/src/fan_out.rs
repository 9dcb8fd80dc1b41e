//! Queues each tick's packets: one for each who listens, in packs for those who only do.
//!
//! A leg is sent either the shared frame of each tick, or the packs of its cohort, or its personal
//! mix. It comes to the packs only where one begins, and leaves them where one ends; or at once,
//! with what has filled so far as a packet of its own, when its personal mix begins. So it is sent
//! every frame once, whatever it changes to.

use sabha_media::codec::Codec;
use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::leg::LegRole;
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::red::Copies;
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp};

use crate::cohorts::{CohortTick, Cohorts, MixTick};
use crate::counters::MixerCounters;
use crate::encodes::Personal;
use crate::legs::Stream;
use crate::recent::{FRAMES_MAX, Recent};

/// One tick's packets on their way to the outbox.
pub(crate) struct FanOut<'a, C: Codec> {
    pub(crate) tick: MixTick,
    pub(crate) payload_type: PayloadType,
    pub(crate) red_payload_type: PayloadType,
    /// The timestamp of this tick's frame, before each leg's offset.
    pub(crate) samples: u64,
    /// Counts the conference's spurts, from 1; the first packet of each has the marker.
    pub(crate) spurt: u16,
    /// The shared frame.
    pub(crate) shared: Option<BodyId>,
    /// The shared payloads, this tick's the newest.
    pub(crate) recent: &'a Recent,
    /// The shared frame with each kind of copies, once a leg was to be sent it.
    pub(crate) shared_red: [Option<BodyId>; Copies::ANY.len()],
    /// Personal frames, by leg.
    pub(crate) personals: &'a [Personal<C::Encoder>],
    pub(crate) codec: &'a C,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counters: &'a mut MixerCounters,
}

/// One cohort's packs of one tick.
#[derive(Clone, Copy)]
struct Packs {
    tick: CohortTick,
    /// What waited before this tick.
    before: Option<BodyId>,
    /// What ends with this tick.
    due: Option<BodyId>,
}

impl<C: Codec> FanOut<'_, C> {
    /// Queues a packet for each leg.
    pub(crate) fn send_singly(&mut self, streams: &mut [Stream]) {
        let mut personals = self.personals;
        for (key, stream) in streams.iter_mut().enumerate() {
            let personal = next_personal(&mut personals, key);
            if stream.role == LegRole::Member {
                self.send_frame(stream, personal);
            }
        }
    }

    /// Queues what is due for each leg, and lets legs come to the packs and leave them. Returns
    /// how many are packed.
    pub(crate) fn send_packed(
        &mut self,
        streams: &mut [Stream],
        cohorts: &Cohorts,
        ticks: &[CohortTick; FRAMES_MAX],
    ) -> usize {
        let packs = ticks.map(|tick| self.store(tick));
        let (mut personals, mut packed) = (self.personals, 0);
        for (key, stream) in streams.iter_mut().enumerate() {
            let personal = next_personal(&mut personals, key);
            if stream.role != LegRole::Member {
                continue;
            }
            let packs = &packs[cohorts.of(key)];
            if let Some(personal) = personal {
                self.leave(stream, packs);
                self.send_frame(stream, Some(personal));
            } else if stream.is_packed {
                self.send_pack(stream, packs, cohorts);
            } else {
                self.send_single(stream, packs, cohorts);
            }
            packed += usize::from(stream.is_packed);
        }
        packed
    }

    /// Queues what waits in each cohort's pack: cohorts are about to begin anew. Nobody is left
    /// without a frame; this tick's is none of them.
    pub(crate) fn send_pending(&mut self, streams: &mut [Stream], cohorts: &Cohorts) {
        let mut bodies = [None; FRAMES_MAX];
        for (cohort, body) in bodies.iter_mut().enumerate().take(cohorts.count()) {
            *body = self.recent.store(self.codec, cohorts.pending(cohort), 1, self.outbox);
        }
        for (key, stream) in streams.iter_mut().enumerate().filter(|(_, stream)| stream.is_packed) {
            let cohort = cohorts.of(key);
            let waiting = cohorts.pending(cohort);
            if waiting > 0 {
                self.send_partial(stream, bodies[cohort], waiting, 1);
            }
        }
    }

    fn store(&mut self, tick: CohortTick) -> Packs {
        let mut pack = |count, age| match count {
            0 => None,
            count => self.recent.store(self.codec, count, age, self.outbox),
        };
        let may_be_left = tick.splits || !self.personals.is_empty();
        let before = if may_be_left { pack(tick.before, 1) } else { None };
        Packs { tick, before, due: pack(tick.due, 0) }
    }

    /// Sends a leg what its cohort is sent, or lets it leave where a pack ends.
    fn send_pack(&mut self, stream: &mut Stream, packs: &Packs, cohorts: &Cohorts) {
        let CohortTick { before, splits, begins, due } = packs.tick;
        if splits {
            self.send_partial(stream, packs.before, before, 1);
        }
        if begins && (cohorts.is_ending() || stream.packs_from > self.tick.at) {
            stream.is_packed = false;
            self.send_frame(stream, None);
        } else if due == cohorts.count() {
            self.send(stream, packs.due, due, 0);
        } else if due > 0 {
            self.send_partial(stream, packs.due, due, 0);
        }
    }

    /// Sends a leg the shared frame, or lets it come to its cohort where a pack begins.
    ///
    /// One who hears a running stream comes in a quiet moment, for the change makes it wait once;
    /// one who hears nothing yet is sent nothing before the pack.
    fn send_single(&mut self, stream: &mut Stream, packs: &Packs, cohorts: &Cohorts) {
        let CohortTick { begins, due, .. } = packs.tick;
        let is_fit = stream.packs_from <= self.tick.at && !cohorts.is_ending();
        let is_new = stream.spurt != self.spurt;
        let is_unheard =
            is_new || self.tick.is_quiet || cohorts.is_overdue(self.tick.at, stream.packs_from);
        if is_fit && begins && is_unheard {
            stream.is_packed = true;
            if due > 0 {
                self.send_partial(stream, packs.due, due, 0);
            }
        } else if !is_fit || !is_new {
            self.send_frame(stream, None);
        }
    }

    /// Sends a packed leg what waits for it, before its first packet of its own.
    fn leave(&mut self, stream: &mut Stream, packs: &Packs) {
        if std::mem::take(&mut stream.is_packed) && packs.tick.before > 0 {
            self.send_partial(stream, packs.before, packs.tick.before, 1);
        }
    }

    fn send_partial(
        &mut self,
        stream: &mut Stream,
        body: Option<BodyId>,
        frames: usize,
        age: usize,
    ) {
        self.counters.packs_partial += 1;
        self.send(stream, body, frames, age);
    }

    /// Queues this tick's frame, with the copies that the leg's loss asks for, as far as the
    /// packets before it were of one frame each.
    fn send_frame(&mut self, stream: &mut Stream, personal: Option<&Personal<C::Encoder>>) {
        if stream.spurt != self.spurt {
            stream.copies.begin();
        }
        let copies = stream.copies.advance();
        if copies != Copies::None
            && let Some(body) = self.redundant(copies, personal)
        {
            self.counters.packets_by_copies[copies.count() - 1] += 1;
            self.queue(stream, (self.red_payload_type, body), 1, 0);
            return;
        }
        let body = personal.map_or(self.shared, |personal| personal.body);
        self.send(stream, body, 1, 0);
    }

    /// Stores this tick's frame with these copies, if they are any; the shared one once for all
    /// legs.
    fn redundant(
        &mut self,
        copies: Copies,
        personal: Option<&Personal<C::Encoder>>,
    ) -> Option<BodyId> {
        let kind = Copies::ANY.iter().position(|kind| *kind == copies)?;
        if let Some(personal) = personal {
            return personal.store_red(copies, self.payload_type, self.outbox);
        }
        let stored = &mut self.shared_red[kind];
        if stored.is_none() {
            let everybody = (None, 1.0);
            *stored = self.recent.store_red(copies, self.payload_type, everybody, self.outbox);
        }
        *stored
    }

    /// Queues a packet of `frames` frames, of which the last is `age` ticks old.
    fn send(&mut self, stream: &mut Stream, body: Option<BodyId>, frames: usize, age: usize) {
        if let Some(body) = body {
            self.queue(stream, (self.payload_type, body), frames, age);
        }
    }

    fn queue(
        &mut self,
        stream: &mut Stream,
        (payload_type, body): (PayloadType, BodyId),
        frames: usize,
        age: usize,
    ) {
        let first = self.samples.wrapping_sub(((frames - 1 + age) * FRAME_SAMPLES) as u64);
        let is_new = stream.spurt != self.spurt;
        let header = RtpHeader {
            marker: is_new,
            payload_type,
            sequence_number: stream.sequence_number,
            timestamp: RtpTimestamp((first as u32).wrapping_add(stream.timestamp_offset)),
            ssrc: stream.ssrc,
        };
        stream.sequence_number = stream.sequence_number.next();
        stream.spurt = self.spurt;
        self.counters.packets_by_frames[frames - 1] += 1;
        self.outbox.send(stream.id, header, body, self.tick.at);
    }
}

/// Takes the personal frame of the leg at `key`, if it has one; both go by key.
fn next_personal<'a, E>(personals: &mut &'a [Personal<E>], key: usize) -> Option<&'a Personal<E>> {
    let (first, rest) = personals.split_first()?;
    (first.leg.0 as usize == key).then(|| {
        *personals = rest;
        first
    })
}
