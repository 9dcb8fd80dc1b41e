//! One tick of a conference: decode, rank, mix, and when the next one is due.

use std::time::Duration;

use sabha_media::codec::{Codec, FRAME_SAMPLES};
use sabha_media::engine::EngineOutput;
use sabha_media::jitter_buffer::JitterBuffer;
use sabha_media::outbox::Outbox;
use sabha_media::time::Instant;

use crate::mixer::{Mixer, SPARE_CANDIDATES};
use crate::output::{Surroundings, TICK};
use crate::phase::best_step;
use crate::pool::MixerResources;
use crate::ranking::rank;
use crate::settings::TALKERS_MAX;
use crate::talker::Talker;

impl<C: Codec> Mixer<C> {
    /// Makes the tick that was `due`, or one of those after it if that is too late.
    ///
    /// A listener's buffer makes up for a few late ticks, so those are made up for, one by one.
    /// Beyond that they are passed over, with the sound that they would have played: made late,
    /// they would come in a burst, and all that follows would be late for good.
    pub(crate) fn tick_late(
        &mut self,
        now: Instant,
        due: Instant,
        resources: &mut MixerResources<C>,
        outbox: &mut Outbox,
    ) {
        let late = now.saturating_since(due);
        let ticks = u32::try_from(late.as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX);
        if late > LATE_MAX {
            self.pass_over(ticks);
            self.tick(due + TICK * ticks, resources, outbox);
        } else {
            self.tick(due, resources, outbox);
        }
    }

    fn pass_over(&mut self, ticks: u32) {
        for talker in &mut self.talkers {
            talker.playout.pass_over(ticks.saturating_mul(FRAME_SAMPLES as u32));
            if let Some(leg) = talker.leg.and_then(|key| self.legs.leg_mut(key)) {
                leg.squelch.pass_over(TICK * ticks);
            }
        }
        self.output.pass_over(ticks);
        self.counters_mut().ticks_passed_over += u64::from(ticks);
    }

    /// Decodes, ranks, mixes and queues one tick.
    fn tick(&mut self, at: Instant, resources: &mut MixerResources<C>, outbox: &mut Outbox) {
        let open = self.close_squelches(at);
        let decodes = self.decode(at, open);
        rank(&mut self.talkers, self.settings.talkers_max);
        let mut sounding = [false; SOUNDING_MAX];
        for (sounds, talker) in sounding.iter_mut().zip(&mut self.talkers) {
            *sounds = talker.fade();
        }
        let sounding = &sounding[..self.talkers.len().min(SOUNDING_MAX)];
        let mut around = Surroundings {
            at,
            settings: &self.settings,
            talkers: &self.talkers,
            legs: &mut self.legs,
            resources,
            outbox,
            counters: self.counters.get_or_insert_default(),
        };
        let encodes = self.output.tick(&mut around, sounding);
        self.count(encodes, decodes, open);
        self.release_left(at, resources);
        self.schedule(at);
    }

    /// Marks talkers whose hangover is over, or whose leg is gone or blocked, as leaving; returns
    /// how many squelches are open.
    fn close_squelches(&mut self, at: Instant) -> usize {
        let mut open = 0;
        for talker in &mut self.talkers {
            let leg = talker.leg.and_then(|key| self.legs.leg_mut(key));
            let is_open = leg.is_some_and(|leg| leg.squelch.handle_timeout(at));
            open += usize::from(is_open);
            talker.leaving |= !is_open;
        }
        open
    }

    fn decode(&mut self, at: Instant, open: usize) -> u64 {
        let leaving = self.talkers.len().saturating_sub(open) as u32;
        let mut skips = EXTRA_DECODES.saturating_sub(leaving);
        let counters = self.counters.get_or_insert_default();
        let before = counters.decodes;
        for talker in &mut self.talkers {
            talker.decode(at, &mut skips, counters);
        }
        counters.decodes - before
    }

    fn count(&mut self, encodes: u32, decodes: u64, open: usize) {
        let ranked = self.talkers.iter().filter(|talker| talker.ranked).count();
        let encode_bound = ranked + self.output.leaving(&self.talkers) + 1;
        let counters = self.counters_mut();
        counters.ticks += 1;
        counters.ticks_over_encode_bound += u64::from(encodes as usize > encode_bound);
        counters.ticks_over_decode_bound += u64::from(decodes > (open + 4) as u64);
        counters.encodes_per_tick.count(encodes);
        counters.decodes_per_tick.count(decodes as u32);
    }

    /// Gives talkers that have faded out back to the pool, and blocks false claimants.
    fn release_left(&mut self, at: Instant, resources: &mut MixerResources<C>) {
        let mut index = 0;
        while index < self.talkers.len() {
            let talker = &mut self.talkers[index];
            if talker.leaving {
                let mut talker = self.talkers.swap_remove(index);
                let leg = talker.leg.and_then(|key| self.legs.leg_mut(key));
                if let Some(delays) = leg.and_then(|leg| leg.delays.as_mut()) {
                    talker.playout.buffer_mut().swap_delays(delays);
                }
                self.report(EngineOutput::TalkerStopped(talker.id));
                resources.talkers.put_back(talker);
                continue;
            }
            if talker.is_false_claimant() {
                talker.leaving = true;
                if let Some(leg) = talker.leg.and_then(|key| self.legs.leg_mut(key)) {
                    leg.squelch.block(at);
                }
                self.counters_mut().false_claims += 1;
            }
            index += 1;
        }
    }

    /// Sets the next tick: a little earlier than 20 ms if every talker's packets have time to
    /// spare, a little later if somebody's have too little.
    fn schedule(&mut self, at: Instant) {
        if self.talkers.is_empty() && self.output.is_silent() {
            self.next_tick = None;
            return;
        }
        self.choose_phase(at);
        let buffers = || self.talkers.iter().map(|talker| talker.playout.buffer());
        let excess = buffers().map(JitterBuffer::excess).min().unwrap_or_default();
        // Who is a frame or more too late or too early is helped by their own playout: the tick would
        // only hand it to all who listen.
        let shortages = buffers().map(JitterBuffer::shortage).filter(|short| *short < TICK);
        let earlier = if excess < TICK { excess.min(EARLIER_STEP_MAX) } else { Duration::ZERO };
        let later = shortages.max().unwrap_or_default().min(LATER_STEP_MAX);
        for talker in &mut self.talkers {
            talker.playout.buffer_mut().tick_moved_earlier(earlier);
            talker.playout.buffer_mut().tick_moved_later(later);
        }
        self.next_tick = Some(at + TICK + later - earlier);
    }

    /// Lets those talkers wait a frame more whom the tick should not suit, now and then.
    fn choose_phase(&mut self, at: Instant) {
        if at < self.phase_at {
            return;
        }
        self.phase_at = at + PHASE_INTERVAL;
        let is_known = |talker: &Talker<C>| talker.playout.buffer().is_settled();
        if self.talkers.len() < 2 || !self.talkers.iter().all(|talker| is_known(talker)) {
            return;
        }
        let excesses = self.talkers.iter().map(|talker| talker.playout.buffer().excess());
        let Some(step) = best_step(&excesses) else { return };
        self.phase_at = at + PHASE_REST;
        for talker in &mut self.talkers {
            if talker.playout.buffer().excess() < step {
                talker.playout.lengthen(FRAME_SAMPLES as u32, at + PHASE_REST);
            }
        }
    }
}

/// Decodes in a tick beyond one for each open squelch: the packets kept before an onset.
const EXTRA_DECODES: u32 = 4;

/// More than all candidates and those who leave.
const SOUNDING_MAX: usize = 24;
const _: () = assert!(SOUNDING_MAX > TALKERS_MAX + SPARE_CANDIDATES);

/// How much earlier each tick may come: 1 %, which no listener's buffer notices.
const EARLIER_STEP_MAX: Duration = Duration::from_micros(200);

/// How much later each tick may come: 0.1 %, for listeners' buffers must make up for it; five times
/// what a clock may drift.
const LATER_STEP_MAX: Duration = Duration::from_micros(20);

/// How often it is looked at whom the tick suits.
const PHASE_INTERVAL: Duration = Duration::from_secs(1);

/// How long the choice then rests: a tick moves by a whole frame in 2 s.
const PHASE_REST: Duration = Duration::from_secs(5);

/// How late a tick may be made: three ticks, as long as a packet may be late and still count as in
/// time.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(60);
