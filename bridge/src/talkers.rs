//! Who holds which slot, and who leads.

use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{EngineOutput, LegKey};
use sabha_media::outbox::Outbox;
use sabha_media::time::Instant;

use crate::bridge::Bridge;
use crate::dominant::{DECISION_INTERVAL, Scores};
use crate::legs::Leg;
use crate::passing::Arrival;
use crate::resources::BridgeResources;
use crate::slot::Talk;

impl Bridge {
    pub(crate) fn slot_of(&self, key: LegKey) -> Option<usize> {
        self.slots.iter().position(|slot| slot.talker == Some(key))
    }

    /// Finds a slot for a leg that talks: its own of before, the one unused for longest, or that
    /// of the quietest talker if the leg is clearly louder.
    pub(crate) fn find_slot(&mut self, now: Instant, key: LegKey) -> Option<usize> {
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.talker.is_none());
        let best = free.min_by_key(|(_, slot)| (slot.last != Some(key), slot.passed_at()));
        if let Some((place, _)) = best {
            return Some(place);
        }
        let challenger_db = self.legs.leg_mut(key)?.rank_db(now);
        let mut quietest = (challenger_db + HYSTERESIS_DB, None);
        for (place, slot) in self.slots.iter().enumerate() {
            let Some(holder) = slot.talker.and_then(|key| self.legs.leg_mut(key)) else { continue };
            let rank_db = holder.rank_db(now);
            let is_settled = now.saturating_since(slot.held_since) >= HELD_MIN;
            if is_settled && rank_db > quietest.0 {
                quietest = (rank_db, Some(place));
            }
        }
        quietest.1
    }

    /// Gives a leg a slot, with the packets that were kept.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        place: usize,
        arrival: &Arrival<'_>,
        resources: &mut BridgeResources,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        if self.slots[place].talk.is_none() {
            self.slots[place].talk = resources.talks.take(|| Box::new(Talk::new()));
        }
        if self.slots[place].talk.is_none() {
            self.counters_mut().pool_exhausted += 1;
            return Err(DropReason::Full);
        }
        self.flush(now, resources, outbox);
        self.take_over(now, place, arrival.key);
        let Some((leg, receiver)) = self.legs.get_mut(arrival.key) else {
            return Err(DropReason::UnknownSsrc);
        };
        leg.hold.set(now, true);
        receiver.streams[place].leave_out(self.slots[place].next());
        let (id, mut lookback) = (leg.id, std::mem::take(&mut leg.lookback));
        let mut begun = false;
        resources.kept.release(&mut lookback, Some(&arrival.buffered()), |kept| {
            let kept = Arrival::of(arrival.key, kept);
            if !std::mem::replace(&mut begun, true) {
                self.slots[place].begin(now, arrival.key, kept.position, arrival.position);
            }
            // A kept packet leads up to this one, so it has a place of its own.
            let _ = self.pass(place, &kept);
            self.counters_mut().lookback_sent += 1;
        });
        if !begun {
            self.slots[place].begin(now, arrival.key, arrival.position, arrival.position);
        }
        self.report(EngineOutput::TalkerStarted(id));
        if self.dominant.is_none() {
            self.set_dominant(Some(arrival.key));
        }
        self.review_at.get_or_insert(now + DECISION_INTERVAL);
        self.pass(place, arrival)
    }

    /// Makes a slot ready for another spurt: ends the one that is on.
    pub(crate) fn take_over(&mut self, now: Instant, place: usize, key: LegKey) {
        let slot = &mut self.slots[place];
        if let Some(talk) = &mut slot.talk {
            talk.reset();
        }
        let is_switch = slot.last.is_some_and(|last| last != key);
        let holder = slot.talker;
        let capped = holder.and_then(|key| self.legs.leg_mut(key));
        let is_capped = capped.is_some_and(|leg| leg.hold.discount_db(now) > 0.0);
        if holder.is_some() {
            self.end(now, place);
        }
        let counters = self.counters_mut();
        counters.switches += u64::from(is_switch);
        counters.takeovers += u64::from(holder.is_some());
        counters.holds_capped += u64::from(is_capped);
    }

    /// Ends a slot's spurt.
    pub(crate) fn end(&mut self, now: Instant, place: usize) {
        let Some(key) = self.slots[place].talker.take() else { return };
        let Some(leg) = self.legs.leg_mut(key) else { return };
        leg.hold.set(now, false);
        let id = leg.id;
        self.report(EngineOutput::TalkerStopped(id));
    }

    /// Takes the slot and what waits from a leg that is muted, removed or no member any more.
    pub(crate) fn silence(&mut self, now: Instant, key: LegKey) {
        self.waiting.forget(key);
        if let Some(place) = self.slot_of(key) {
            self.end(now, place);
        }
    }

    /// Decides who leads, and gives back the memory of slots that are not in use.
    pub(crate) fn review(&mut self, now: Instant, resources: &mut BridgeResources) {
        self.lead();
        for slot in self.slots.iter_mut().filter(|slot| slot.talker.is_none()) {
            if let Some(talk) = slot.talk.take() {
                resources.talks.put_back(talk);
            }
        }
        let is_quiet = self.slots.iter().all(|slot| slot.talker.is_none());
        self.review_at = (!is_quiet).then(|| now + DECISION_INTERVAL);
    }

    pub(crate) fn lead(&mut self) {
        let mut leader = Scores::SILENT;
        let mut best: Option<(LegKey, Scores)> = None;
        for slot in &self.slots {
            let (Some(key), Some(talk)) = (slot.talker, &slot.talk) else { continue };
            let scores = talk.activity.scores();
            if self.dominant == Some(key) {
                leader = scores;
            } else if best.is_none_or(|(_, best)| scores.medium() > best.medium()) {
                best = Some((key, scores));
            }
        }
        if let Some((key, scores)) = best
            && (self.dominant.is_none() || scores.lead_over(&leader))
        {
            self.set_dominant(Some(key));
        }
    }

    pub(crate) fn set_dominant(&mut self, key: Option<LegKey>) {
        self.dominant = key;
        let id = key.and_then(|key| self.legs.leg(key)).map(|leg| leg.id);
        self.report(EngineOutput::DominantTalker(id));
    }
}

impl Leg {
    /// Returns how the leg ranks among talkers, in dB: the smaller, the louder.
    pub(crate) fn rank_db(&mut self, now: Instant) -> f32 {
        self.gate.level_db(now).max(CLAIM_DB) + self.hold.discount_db(now)
    }
}

/// A slot changes hands for one who is louder by this. As in the mixer's ranking.
const HYSTERESIS_DB: f32 = 3.0;

/// A slot is held at least so long, unless its talker ceases: as long as the hangover, so that two
/// who talk at once do not take it from each other at each syllable.
const HELD_MIN: Duration = Duration::from_millis(400);

/// Whoever claims more counts as this loud: a close voice, so that shouting wins nothing.
const CLAIM_DB: f32 = 15.0;
