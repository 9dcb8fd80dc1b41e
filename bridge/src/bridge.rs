//! One bridged conference: who is in it, what comes in, who is passed on.

use std::collections::VecDeque;
use std::sync::LazyLock;

use sabha_media::codec::PAYLOAD_SIZE_MAX;
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
    RECEIVE_STREAMS_MAX,
};
use sabha_media::extension::LevelDbov;
use sabha_media::leg::LegRole;
use sabha_media::lookback::Lookback;
use sabha_media::outbox::Outbox;
use sabha_media::red::{Copies, CopyChoice, RedPacket};
use sabha_media::time::Instant;

use crate::counters::{BridgeCounters, BridgeGauges};
use crate::fan_out::Waiting;
use crate::gate::Gate;
use crate::hold::Hold;
use crate::legs::{Leg, Legs, Receiver, Stream};
use crate::passing::Arrival;
use crate::resources::BridgeResources;
use crate::settings::{BridgeSettings, SettingsError};
use crate::slot::{Position, Slot};

/// A bridged conference.
///
/// While nobody talks it sends nothing and wants no wake-up. Packets leave in the call that brings
/// them, or gathered for a few milliseconds where the node's load asks for it.
pub struct Bridge {
    pub(crate) settings: BridgeSettings,
    pub(crate) legs: Legs,
    pub(crate) slots: Box<[Slot]>,
    pub(crate) waiting: Waiting,
    pub(crate) dominant: Option<LegKey>,
    /// When it is decided again who leads, and memory is given back.
    pub(crate) review_at: Option<Instant>,
    outputs: VecDeque<EngineOutput>,
    /// Memory is taken for them when there is something to count.
    pub(crate) counters: Option<Box<BridgeCounters>>,
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

    pub(crate) fn counters_mut(&mut self) -> &mut BridgeCounters {
        self.counters.get_or_insert_default()
    }

    pub(crate) fn report(&mut self, output: EngineOutput) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        }
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
        let copies = if leg.red { choice.copies() } else { Copies::None };
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
            EngineInput::Reception { leg: key, report } => {
                let Some((leg, receiver)) = self.legs.get_mut(key) else { return };
                leg.choice.handle_report(&report);
                receiver.copies = if leg.red { leg.choice.copies() } else { Copies::None };
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

/// A packet of at most so many octets carries no sound: discontinuous transmission of Opus
/// (RFC 6716 section 3.2.1 with RFC 7587 section 3.1.3).
const PAUSE_SIZE_MAX: usize = 2;

/// Reports that wait for control; more are dropped, as newer ones will tell the state.
const OUTPUTS_MAX: usize = 256;
