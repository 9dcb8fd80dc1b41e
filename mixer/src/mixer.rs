//! One mixed conference: its legs, its talkers, its tick.

use std::collections::VecDeque;
use std::time::Duration;

use sabha_media::codec::Codec;
use sabha_media::codec::opus::Opus;
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
};
use sabha_media::jitter_buffer::{BufferedPacket, JitterSettings};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::outbox::Outbox;
use sabha_media::rtp::SequenceNumber;
use sabha_media::time::Instant;

use crate::counters::MixerCounters;
use crate::lookback::{Kept, Lookback};
use crate::output::{Output, Surroundings, TICK};
use crate::pool::MixerResources;
use crate::ranking::{HYSTERESIS_DB, rank};
use crate::settings::{MixerSettings, SettingsError};
use crate::squelch::Squelch;
use crate::talker::Talker;

/// A mixed conference.
///
/// While nobody talks it has no tick and sends nothing. The tick begins when the first squelch
/// opens, in phase with that talker, and moves earlier while all talkers' packets allow it.
pub struct Mixer<C: Codec = Opus> {
    settings: MixerSettings,
    legs: Vec<Option<Leg>>,
    free: Vec<u32>,
    talkers: Vec<Box<Talker<C>>>,
    output: Output<C>,
    next_tick: Option<Instant>,
    outputs: VecDeque<EngineOutput>,
    counters: MixerCounters,
}

/// What the mixer keeps of a leg, whether it talks or not.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) role: LegRole,
    send_ssrc: Ssrc,
    pub(crate) receive_ssrc: Ssrc,
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) timestamp_offset: u32,
    pub(crate) has_received: bool,
    muted: bool,
    squelch: Squelch,
    lookback: Lookback,
}

impl<C: Codec> Mixer<C> {
    /// Makes a conference without members.
    ///
    /// # Errors
    /// `SettingsError` if a setting is out of range.
    pub fn new(settings: MixerSettings) -> Result<Self, SettingsError> {
        let settings = settings.checked()?;
        Ok(Self {
            settings,
            legs: Vec::new(),
            free: Vec::new(),
            talkers: Vec::with_capacity(settings.talkers_max + SPARE_CANDIDATES + 1),
            output: Output::new(),
            next_tick: None,
            outputs: VecDeque::new(),
            counters: MixerCounters::default(),
        })
    }

    /// Returns what was done so far.
    pub fn counters(&self) -> &MixerCounters {
        &self.counters
    }

    /// Returns the number of legs.
    pub fn members(&self) -> usize {
        self.legs.len() - self.free.len()
    }

    /// Gives a leg a talker, with the packets that were kept; the quietest candidate may have to
    /// make way.
    fn admit(
        &mut self,
        now: Instant,
        key: LegKey,
        packet: &BufferedPacket<'_>,
        resources: &mut MixerResources<C>,
    ) -> Result<(), DropReason> {
        let Some(leg) = self.legs.get_mut(key.0 as usize).and_then(Option::as_mut) else {
            return Err(DropReason::UnknownSsrc);
        };
        let Some(mut talker) = resources.take_talker(self.settings.jitter) else {
            self.counters.pool_exhausted += 1;
            return Err(DropReason::Full);
        };
        let quiet = leg.squelch.quiet(&self.settings.squelch);
        let jitter = JitterSettings { quiet, ..self.settings.jitter };
        talker.begin(key, leg.id, leg.send_ssrc, jitter);
        resources.kept.release(&mut leg.lookback, Some(packet), |kept| {
            // A kept packet leads up to this one, so it has a place of its own.
            let _ = talker.playout.insert(kept);
        });
        let inserted = talker.playout.insert(packet);
        self.report(EngineOutput::TalkerStarted(talker.id));
        self.talkers.push(talker);
        if self.next_tick.is_none() {
            let due = packet.received_at + self.settings.jitter.target_min;
            self.next_tick = Some(due.max(now));
        }
        inserted
    }

    /// Tells whether the leg at `key` may become a candidate. If all places are taken and it is
    /// clearly louder than the quietest unranked candidate, that one fades, and its place is free
    /// after the next tick; until then the newcomer's packets are kept.
    fn has_place(&mut self, key: LegKey) -> bool {
        if self.talkers.len() < self.settings.talkers_max + SPARE_CANDIDATES {
            return true;
        }
        let challenger = self.legs.get(key.0 as usize).and_then(Option::as_ref);
        let challenger_db = challenger.map_or(f32::MAX, |leg| leg.squelch.smoothed_db());
        let unranked = self.talkers.iter_mut().filter(|talker| !talker.ranked && !talker.leaving);
        let quietest = unranked.max_by(|one, other| one.decoded_db.total_cmp(&other.decoded_db));
        if let Some(quietest) = quietest
            && challenger_db + HYSTERESIS_DB < quietest.decoded_db
        {
            quietest.leaving = true;
        }
        false
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
            counters: &mut self.counters,
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
            let leg = talker.leg.and_then(|key| self.legs.get_mut(key.0 as usize));
            let is_open = match leg {
                Some(Some(leg)) => leg.squelch.handle_timeout(at),
                _ => false,
            };
            open += usize::from(is_open);
            talker.leaving |= !is_open;
        }
        open
    }

    fn decode(&mut self, at: Instant, open: usize) -> u64 {
        let before = self.counters.decodes;
        let leaving = self.talkers.len().saturating_sub(open) as u32;
        let mut skips = EXTRA_DECODES.saturating_sub(leaving);
        for talker in &mut self.talkers {
            talker.decode(at, &mut skips, &mut self.counters);
        }
        self.counters.decodes - before
    }

    fn count(&mut self, encodes: u32, decodes: u64, open: usize) {
        let ranked = self.talkers.iter().filter(|talker| talker.ranked).count();
        let encode_bound = ranked + self.output.leaving(&self.talkers) + 1;
        let counters = &mut self.counters;
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
                let talker = self.talkers.swap_remove(index);
                self.report(EngineOutput::TalkerStopped(talker.id));
                resources.talkers.put_back(talker);
                continue;
            }
            if talker.is_false_claimant() {
                talker.leaving = true;
                let leg = talker.leg.and_then(|key| self.legs.get_mut(key.0 as usize));
                if let Some(Some(leg)) = leg {
                    leg.squelch.block(at);
                }
                self.counters.false_claims += 1;
            }
            index += 1;
        }
    }

    /// Sets the next tick: earlier than 20 ms if every talker's packets have time to spare.
    fn schedule(&mut self, at: Instant) {
        if self.talkers.is_empty() && self.output.is_silent() {
            self.next_tick = None;
            return;
        }
        let excess = self.talkers.iter().map(|talker| talker.playout.buffer().excess()).min();
        let step = excess.map_or(Duration::ZERO, |excess| excess.min(TICK_STEP_MAX));
        for talker in &mut self.talkers {
            talker.playout.buffer_mut().tick_moved_earlier(step);
        }
        self.next_tick = Some(at + TICK - step);
    }

    fn report(&mut self, output: EngineOutput) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        }
    }

    fn leg_mut(&mut self, key: LegKey) -> Option<&mut Leg> {
        self.legs.get_mut(key.0 as usize).and_then(Option::as_mut)
    }

    fn silence_leg(&mut self, key: LegKey) {
        for talker in &mut self.talkers {
            talker.leaving |= talker.leg == Some(key);
        }
    }
}

impl<C: Codec> Engine for Mixer<C> {
    type Resources = MixerResources<C>;

    fn receive_streams(&self) -> usize {
        1
    }

    fn add_leg(&mut self, _now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        let members_max = self.settings.members_max;
        if self.members() >= members_max as usize {
            return Err(AddLegError::Full { members_max });
        }
        let &[receive] = &leg.receive[..] else {
            return Err(AddLegError::Streams { offered: leg.receive.len(), needed: 1 });
        };
        let leg = Leg {
            id: leg.id,
            role: leg.role,
            send_ssrc: leg.send_ssrc,
            receive_ssrc: receive.ssrc,
            sequence_number: receive.first_sequence_number,
            timestamp_offset: receive.timestamp_offset,
            has_received: false,
            muted: false,
            squelch: Squelch::default(),
            lookback: Lookback::default(),
        };
        if let Some(key) = self.free.pop() {
            self.legs[key as usize] = Some(leg);
            return Ok(LegKey(key));
        }
        self.legs.push(Some(leg));
        self.free.reserve(self.legs.len());
        Ok(LegKey(self.legs.len() as u32 - 1))
    }

    fn remove_leg(&mut self, _now: Instant, key: LegKey, resources: &mut MixerResources<C>) {
        let Some(slot) = self.legs.get_mut(key.0 as usize) else { return };
        let Some(mut leg) = slot.take() else { return };
        resources.kept.release(&mut leg.lookback, None, |_| ());
        self.output.remove_leg(key, resources);
        self.silence_leg(key);
        for talker in &mut self.talkers {
            if talker.leg == Some(key) {
                talker.leg = None;
            }
        }
        self.free.push(key.0);
        if self.members() == 0 {
            for talker in self.talkers.drain(..) {
                resources.talkers.put_back(talker);
            }
            self.output.release(resources);
            self.output = Output::new();
            self.next_tick = None;
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        key: LegKey,
        packet: &IncomingPacket<'_>,
        resources: &mut MixerResources<C>,
        _outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        let settings = self.settings;
        let Some(leg) = self.leg_mut(key) else { return Err(DropReason::UnknownSsrc) };
        if leg.role != LegRole::Member {
            return Err(DropReason::WrongRole);
        }
        if leg.muted {
            return Err(DropReason::Muted);
        }
        if packet.payload_type != settings.payload_type {
            return Err(DropReason::UnknownPayloadType);
        }
        let level = packet.level.level;
        let open = leg.squelch.handle_level(now, level, &settings.squelch);
        if packet.payload.is_empty() {
            // A level probe: it says how loud the member is and carries no sound.
            return Ok(());
        }
        let samples =
            resources.codec.payload_samples(packet.payload).map_err(|_| DropReason::Undecodable)?;
        let packet = BufferedPacket {
            index: packet.index,
            timestamp: packet.timestamp,
            samples: samples as u32,
            level,
            received_at: packet.received_at,
            payload: packet.payload,
        };
        if let Some(talker) = self.talkers.iter_mut().find(|talker| talker.leg == Some(key)) {
            return talker.playout.insert(&packet);
        }
        if open && self.has_place(key) {
            return self.admit(now, key, &packet, resources);
        }
        let Some(leg) = self.leg_mut(key) else { return Err(DropReason::UnknownSsrc) };
        if leg.squelch.is_blocked(now) {
            return Err(DropReason::NotCandidate);
        }
        match resources.kept.keep(&mut leg.lookback, &packet) {
            Kept::Added => Ok(()),
            Kept::Replaced if open => Err(DropReason::NotCandidate),
            Kept::Replaced => Err(DropReason::Squelched),
            Kept::Refused => Err(DropReason::Full),
        }
    }

    fn handle_input(&mut self, _now: Instant, input: EngineInput) {
        match input {
            EngineInput::SetMuted { leg: key, muted } => {
                let Some(leg) = self.leg_mut(key) else { return };
                leg.muted = muted;
                leg.squelch.close();
                self.silence_leg(key);
            }
            EngineInput::SetRole { leg: key, role } => {
                let Some(leg) = self.leg_mut(key) else { return };
                leg.role = role;
                if role != LegRole::Member {
                    leg.squelch.close();
                    self.silence_leg(key);
                }
            }
        }
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        resources: &mut MixerResources<C>,
        outbox: &mut Outbox,
    ) {
        let Some(due) = self.next_tick else { return };
        if due > now {
            return;
        }
        // After a stall, ticks that nobody could hear in time are passed over.
        let at = if now.saturating_since(due) > STALL_MAX { now } else { due };
        self.tick(at, resources, outbox);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        self.outputs.pop_front()
    }
}

/// Candidates beyond `talkers_max` that are decoded, so that a change has its frame ready.
const SPARE_CANDIDATES: usize = 4;

/// Decodes in a tick beyond one for each open squelch: the packets kept before an onset.
const EXTRA_DECODES: u32 = 4;

/// More than all candidates and those who leave.
const SOUNDING_MAX: usize = 24;

/// How much earlier each tick may come: 1 %, which no listener's buffer notices.
const TICK_STEP_MAX: Duration = Duration::from_micros(200);

/// How far ticks may fall behind before they are passed over: what a listener's buffer holds.
const STALL_MAX: Duration = Duration::from_millis(200);

/// Reports that wait for control; more are dropped, as newer ones will tell the state.
const OUTPUTS_MAX: usize = 256;
