//! One bridged conference: who is in it, what comes in, who is passed on.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
    RECEIVE_STREAMS_MAX,
};
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::BufferedPacket;
use sabha_media::leg::LegRole;
use sabha_media::lookback::{Kept, Lookback};
use sabha_media::outbox::Outbox;
use sabha_media::red::{COPIES_MAX, CopyChoice, RedBlock, RedPacket};
use sabha_media::time::Instant;

use crate::counters::{BridgeCounters, BridgeGauges};
use crate::dominant::{DECISION_INTERVAL, Scores};
use crate::fan_out::{FanOut, Pending, Waiting};
use crate::gate::Gate;
use crate::history::Passed;
use crate::hold::Hold;
use crate::legs::{Leg, Legs, Receiver, Stream};
use crate::resources::{BridgeResources, GATHER_MAX};
use crate::settings::{BridgeSettings, SettingsError};
use crate::slot::{Position, Slot, Talk};

/// A bridged conference.
///
/// While nobody talks it sends nothing and wants no wake-up. Packets leave in the call that brings
/// them, or gathered for a few milliseconds where the node's load asks for it.
pub struct Bridge {
    settings: BridgeSettings,
    legs: Legs,
    slots: Box<[Slot]>,
    waiting: Waiting,
    dominant: Option<LegKey>,
    /// When it is decided again who leads, and memory is given back.
    review_at: Option<Instant>,
    outputs: VecDeque<EngineOutput>,
    /// Memory is taken for them when there is something to count.
    counters: Option<Box<BridgeCounters>>,
}

/// An authentic packet without what redundancy adds.
struct Arrival<'a> {
    key: LegKey,
    position: Position,
    level: LevelDbov,
    payload: &'a [u8],
}

impl Bridge {
    /// Makes a conference without members.
    ///
    /// # Errors
    /// `SettingsError` if a setting is out of range.
    pub fn new(settings: BridgeSettings) -> Result<Self, SettingsError> {
        let settings = settings.checked()?;
        Ok(Self {
            settings,
            legs: Legs::default(),
            slots: (0..settings.talkers_max).map(|_| Slot::default()).collect(),
            waiting: Waiting::default(),
            dominant: None,
            review_at: None,
            outputs: VecDeque::new(),
            counters: None,
        })
    }

    /// Returns what was done so far.
    pub fn counters(&self) -> &BridgeCounters {
        static NOTHING_YET: LazyLock<BridgeCounters> = LazyLock::new(BridgeCounters::default);
        self.counters.as_deref().unwrap_or_else(|| &NOTHING_YET)
    }

    /// Returns what is in use now.
    pub fn gauges(&self) -> BridgeGauges {
        let in_use = self.slots.iter().filter(|slot| slot.talker.is_some());
        BridgeGauges { slots_in_use: in_use.count() as u64 }
    }

    /// Returns the number of legs.
    pub fn members(&self) -> usize {
        self.legs.len()
    }

    fn counters_mut(&mut self) -> &mut BridgeCounters {
        self.counters.get_or_insert_default()
    }

    fn report(&mut self, output: EngineOutput) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        }
    }

    fn slot_of(&self, key: LegKey) -> Option<usize> {
        self.slots.iter().position(|slot| slot.talker == Some(key))
    }

    /// Finds a slot for a leg that talks: its own of before, the one unused for longest, or that
    /// of the quietest talker if the leg is clearly louder.
    fn find_slot(&mut self, now: Instant, key: LegKey) -> Option<usize> {
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
    fn admit(
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
    fn take_over(&mut self, now: Instant, place: usize, key: LegKey) {
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
    fn end(&mut self, now: Instant, place: usize) {
        let Some(key) = self.slots[place].talker.take() else { return };
        let Some(leg) = self.legs.leg_mut(key) else { return };
        leg.hold.set(now, false);
        let id = leg.id;
        self.report(EngineOutput::TalkerStopped(id));
    }

    /// Takes the slot and what waits from a leg that is muted, removed or no member any more.
    fn silence(&mut self, now: Instant, key: LegKey) {
        self.waiting.forget(key);
        if let Some(place) = self.slot_of(key) {
            self.end(now, place);
        }
    }

    /// Passes a talker's packet on, and those before it that only their copies brought.
    fn pass_with_copies(
        &mut self,
        now: Instant,
        place: usize,
        arrival: &Arrival<'_>,
        red: Option<&RedPacket<'_>>,
        around: (&mut BridgeResources, &mut Outbox),
    ) -> Result<(), DropReason> {
        let (resources, outbox) = around;
        if !self.slots[place].continues(arrival.position) {
            self.flush(now, resources, outbox);
            self.slots[place].begin(now, arrival.key, arrival.position, arrival.position);
        }
        let (mut copies, mut count) = ([RedBlock::default(); COPIES_MAX], 0);
        for (place, copy) in copies.iter_mut().zip(red.iter().flat_map(|red| red.copies())) {
            *place = copy;
            count += 1;
        }
        for copy in copies[..count].iter().rev() {
            let Some(missing) = self.missing(place, arrival, copy) else { continue };
            if self.waiting.is_full() {
                self.flush(now, resources, outbox);
            }
            let passed = self.pass(place, &missing).is_ok();
            self.counters_mut().recovered += u64::from(passed);
        }
        if self.waiting.is_full() {
            self.flush(now, resources, outbox);
        }
        self.pass(place, arrival)
    }

    /// Returns the packet that a copy is of, if that one never came.
    fn missing<'a>(
        &self,
        place: usize,
        arrival: &Arrival<'_>,
        copy: &RedBlock<'a>,
    ) -> Option<Arrival<'a>> {
        let Position { index, timestamp, received_at } = arrival.position;
        let history = &self.slots[place].talk.as_ref()?.history;
        let copied = timestamp.wrapping_add(copy.offset.wrapping_neg());
        let is_audio = copy.payload_type == self.settings.payload_type && !copy.payload.is_empty();
        let index = history.missing(copied, (index, timestamp)).filter(|_| is_audio)?;
        let position = Position { index, timestamp: copied, received_at };
        Some(Arrival { position, payload: copy.payload, ..*arrival })
    }

    /// Gives a packet its place in the slot's stream, where it waits to be queued.
    fn pass(&mut self, place: usize, arrival: &Arrival<'_>) -> Result<(), DropReason> {
        let ssrc = self.legs.leg(arrival.key).map(|leg| leg.send_ssrc);
        let slot = &mut self.slots[place];
        let Position { index, timestamp, .. } = arrival.position;
        let (sequence_number, slot_timestamp) = slot.pass(arrival.position)?;
        let (Some(ssrc), Some(talk)) = (ssrc, &mut slot.talk) else {
            return Err(DropReason::UnknownSsrc);
        };
        let level = arrival.level;
        let passed = Passed { index, timestamp, sequence_number, slot_timestamp, level };
        let entry = talk.history.push(passed, arrival.payload);
        talk.activity.push(level, self.settings.squelch.close);
        self.waiting.push(Pending { slot: place, place: entry, talker: arrival.key, ssrc });
        self.counters_mut().forwarded += 1;
        Ok(())
    }

    /// Queues what waits if it may not wait longer.
    fn queue(&mut self, now: Instant, resources: &BridgeResources, outbox: &mut Outbox) {
        let gather = resources.gather().max(self.settings.gather).min(GATHER_MAX);
        if gather.is_zero() || self.waiting.is_full() {
            self.flush(now, resources, outbox);
        } else if !self.waiting.is_empty() {
            self.waiting.due.get_or_insert(now + gather);
        }
    }

    fn flush(&mut self, now: Instant, resources: &BridgeResources, outbox: &mut Outbox) {
        if self.waiting.is_empty() {
            return;
        }
        let mut fan_out = FanOut {
            now,
            settings: &self.settings,
            slots: &self.slots,
            outbox,
            counters: self.counters.get_or_insert_default(),
            pads: resources.gather().max(self.settings.gather) > Duration::ZERO,
        };
        self.waiting.flush(self.legs.receivers_mut(), &mut fan_out);
    }

    /// Decides who leads, and gives back the memory of slots that are not in use.
    fn review(&mut self, now: Instant, resources: &mut BridgeResources) {
        self.lead();
        for slot in self.slots.iter_mut().filter(|slot| slot.talker.is_none()) {
            if let Some(talk) = slot.talk.take() {
                resources.talks.put_back(talk);
            }
        }
        let is_quiet = self.slots.iter().all(|slot| slot.talker.is_none());
        self.review_at = (!is_quiet).then(|| now + DECISION_INTERVAL);
    }

    fn lead(&mut self) {
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

    fn set_dominant(&mut self, key: Option<LegKey>) {
        self.dominant = key;
        let id = key.and_then(|key| self.legs.leg(key)).map(|leg| leg.id);
        self.report(EngineOutput::DominantTalker(id));
    }
}

impl Engine for Bridge {
    type Resources = BridgeResources;

    fn receive_streams(&self) -> usize {
        self.slots.len()
    }

    fn add_leg(&mut self, _now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        let members_max = self.settings.members_max;
        if self.members() >= members_max as usize {
            return Err(AddLegError::Full { members_max });
        }
        let (offered, needed) = (leg.receive.len(), self.slots.len());
        if offered != needed {
            return Err(AddLegError::Streams { offered, needed });
        }
        let mut streams = [Stream::default(); RECEIVE_STREAMS_MAX];
        for (stream, receive) in streams.iter_mut().zip(leg.receive) {
            let first = receive.first_sequence_number;
            *stream = Stream::new(receive.ssrc, first, receive.timestamp_offset);
        }
        let choice = CopyChoice::default();
        let copies = if leg.red { choice.copies() } else { 0 };
        let receiver = Receiver { id: leg.id, role: leg.role, copies, streams };
        let leg = Leg {
            id: leg.id,
            send_ssrc: leg.send_ssrc,
            muted: false,
            red: leg.red,
            gate: Gate::default(),
            hold: Hold::default(),
            lookback: Lookback::default(),
            choice,
        };
        Ok(self.legs.add(leg, receiver))
    }

    fn remove_leg(&mut self, now: Instant, key: LegKey, resources: &mut BridgeResources) {
        self.silence(now, key);
        if self.dominant == Some(key) {
            self.set_dominant(None);
        }
        let Some(mut leg) = self.legs.remove(key) else { return };
        resources.kept.release(&mut leg.lookback, None, |_| ());
        for slot in self.slots.iter_mut().filter(|slot| slot.last == Some(key)) {
            slot.last = None;
        }
        if self.members() == 0 {
            self.review(now, resources);
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        key: LegKey,
        packet: &IncomingPacket<'_>,
        resources: &mut BridgeResources,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        let settings = self.settings;
        let Some((leg, receiver)) = self.legs.get_mut(key) else {
            return Err(DropReason::UnknownSsrc);
        };
        if receiver.role != LegRole::Member {
            return Err(DropReason::WrongRole);
        }
        if leg.muted {
            return Err(DropReason::Muted);
        }
        let red = take_apart(packet, leg.red, &settings)?;
        let payload = red.map_or(packet.payload, |red| red.primary().payload);
        if payload.len() > PAYLOAD_SIZE_MAX {
            return Err(DropReason::Undecodable);
        }
        let level = true_level(packet.level.level, payload);
        let was_open = leg.gate.handle_timeout(now);
        let open = leg.gate.handle_level(now, level, &settings.squelch);
        if open && !was_open {
            self.counters_mut().turns += 1;
        }
        if payload.is_empty() {
            // A level probe: it says how loud the member is and carries no sound.
            return Ok(());
        }
        let IncomingPacket { index, timestamp, received_at, .. } = *packet;
        let position = Position { index, timestamp, received_at };
        let arrival = Arrival { key, position, level, payload };
        let held = self.slot_of(key);
        let outcome = match (open, held) {
            (true, Some(place)) => {
                let around = (&mut *resources, &mut *outbox);
                self.pass_with_copies(now, place, &arrival, red.as_ref(), around)
            }
            (true, None) => match self.find_slot(now, key) {
                Some(place) => self.admit(now, place, &arrival, resources, outbox),
                None => return self.keep(&arrival, DropReason::NotCandidate, resources),
            },
            (false, held) => {
                if let Some(place) = held {
                    self.end(now, place);
                }
                return self.keep(&arrival, DropReason::Squelched, resources);
            }
        };
        self.queue(now, resources, outbox);
        outcome
    }

    fn handle_input(&mut self, now: Instant, input: EngineInput) {
        match input {
            EngineInput::SetMuted { leg: key, muted } => {
                let Some(leg) = self.legs.leg_mut(key) else { return };
                leg.muted = muted;
                leg.gate.close();
                self.silence(now, key);
            }
            EngineInput::SetRole { leg: key, role } => {
                let Some((leg, receiver)) = self.legs.get_mut(key) else { return };
                receiver.role = role;
                if role != LegRole::Member {
                    leg.gate.close();
                    for (stream, slot) in receiver.streams.iter_mut().zip(&self.slots) {
                        stream.leave_out(slot.next());
                    }
                    self.silence(now, key);
                }
            }
            // Nobody is sent their own voice.
            EngineInput::SetOwnVoice { .. } => {}
            EngineInput::Reception { leg: key, loss, burst_loss } => {
                let Some((leg, receiver)) = self.legs.get_mut(key) else { return };
                leg.choice.handle_report(loss, burst_loss);
                receiver.copies = if leg.red { leg.choice.copies() } else { 0 };
            }
        }
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        resources: &mut BridgeResources,
        outbox: &mut Outbox,
    ) {
        if self.waiting.due.is_some_and(|due| due <= now) {
            self.flush(now, resources, outbox);
        }
        for place in 0..self.slots.len() {
            let talker = self.slots[place].talker.and_then(|key| self.legs.leg_mut(key));
            if talker.is_some_and(|leg| !leg.gate.handle_timeout(now)) {
                self.end(now, place);
            }
        }
        if self.review_at.is_some_and(|at| at <= now) {
            self.flush(now, resources, outbox);
            self.review(now, resources);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let talkers = self.slots.iter().filter_map(|slot| self.legs.leg(slot.talker?));
        let closes = talkers.map(|leg| leg.gate.open_until());
        closes.chain(self.waiting.due).chain(self.review_at).min()
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        self.outputs.pop_front()
    }
}

impl Bridge {
    /// Keeps a packet that is not passed on, for the case that its leg begins to talk; `reason` is
    /// why the oldest of those that are kept is given up.
    fn keep(
        &mut self,
        arrival: &Arrival<'_>,
        reason: DropReason,
        resources: &mut BridgeResources,
    ) -> Result<(), DropReason> {
        let counters = self.counters_mut();
        match reason {
            DropReason::NotCandidate => counters.suppressed_by_limit += 1,
            _ => counters.suppressed_by_level += 1,
        }
        let Some(leg) = self.legs.leg_mut(arrival.key) else { return Err(DropReason::UnknownSsrc) };
        match resources.kept.keep(&mut leg.lookback, &arrival.buffered()) {
            Kept::Added => Ok(()),
            Kept::Replaced => Err(reason),
            Kept::Refused => Err(DropReason::Full),
        }
    }
}

impl<'a> Arrival<'a> {
    fn of(key: LegKey, kept: &BufferedPacket<'a>) -> Self {
        let BufferedPacket { index, timestamp, received_at, level, payload, .. } = *kept;
        Self { key, position: Position { index, timestamp, received_at }, level, payload }
    }

    fn buffered(&self) -> BufferedPacket<'a> {
        let Position { index, timestamp, received_at } = self.position;
        let Self { level, payload, .. } = *self;
        // How much sound is in it only a codec could tell.
        BufferedPacket { index, timestamp, samples: 0, level, received_at, payload }
    }
}

impl Leg {
    /// Returns how the leg ranks among talkers, in dB: the smaller, the louder.
    fn rank_db(&mut self, now: Instant) -> f32 {
        self.gate.level_db(now).max(CLAIM_DB) + self.hold.discount_db(now)
    }
}

/// Takes a redundant payload apart; `None` for one that is not.
fn take_apart<'a>(
    packet: &IncomingPacket<'a>,
    may_be_red: bool,
    settings: &BridgeSettings,
) -> Result<Option<RedPacket<'a>>, DropReason> {
    match packet.payload_type {
        payload_type if payload_type == settings.payload_type => Ok(None),
        payload_type if may_be_red && payload_type == settings.red_payload_type => {
            let red = RedPacket::parse(packet.payload)?;
            let is_audio = red.primary().payload_type == settings.payload_type;
            if is_audio { Ok(Some(red)) } else { Err(DropReason::UnknownPayloadType) }
        }
        _ => Err(DropReason::UnknownPayloadType),
    }
}

/// Returns the level that a packet may have: one without room for sound has none, whatever it says.
fn true_level(claimed: LevelDbov, payload: &[u8]) -> LevelDbov {
    let is_pause = (1..=PAUSE_SIZE_MAX).contains(&payload.len());
    if is_pause { LevelDbov::SILENCE } else { claimed }
}

/// A slot changes hands for one who is louder by this. As in the mixer's ranking.
const HYSTERESIS_DB: f32 = 3.0;

/// A slot is held at least so long, unless its talker ceases: as long as the hangover, so that two
/// who talk at once do not take it from each other at each syllable.
const HELD_MIN: Duration = Duration::from_millis(400);

/// Whoever claims more counts as this loud: a close voice, so that shouting wins nothing.
const CLAIM_DB: f32 = 15.0;

/// A packet of at most so many octets carries no sound: discontinuous transmission of Opus
/// (RFC 6716 section 3.2.1 with RFC 7587 section 3.1.3).
const PAUSE_SIZE_MAX: usize = 2;

/// Reports that wait for control; more are dropped, as newer ones will tell the state.
const OUTPUTS_MAX: usize = 256;
