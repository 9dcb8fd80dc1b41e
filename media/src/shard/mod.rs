//! One thread's share of the media plane: legs, keys, conferences.
//!
//! Steps 2 and 4 of a packet's way: finds the leg, unprotects in place, hands the packet to the
//! leg's engine, and protects what the engine queued straight into send slots. A packet that does
//! not authenticate changes nothing but a counter.

mod bitrate;
mod conferences;
mod counters;
mod error;
mod events;
mod inbound;
mod keep_alive;
mod leg;
mod orders;
mod outbound;
mod random;
mod reports;
mod table;
mod tick_lateness;
mod timers;

use std::sync::Arc;
use std::time::Duration;

pub use bitrate::BitrateOrder;
pub use conferences::PROMOTED_MAX;
pub use counters::{ReceptionSums, ShardCounters};
pub use error::ShardError;
pub use events::ShardEvent;
pub use keep_alive::{
    KEEP_ALIVE_LEN, KEEP_ALIVE_NAME, KEEP_ALIVE_SUBTYPE, KeepAlive, MediaEpoch, OwnVoice,
    UplinkOrder, keep_alive,
};
pub use leg::{LegGrant, LegReport, LegRequest, RemoteReception};
pub use orders::{PROMOTION_HOLD, PROMOTION_LEVEL};
pub use reports::ntp;
pub use tick_lateness::{TICK_LATENESS_BUCKETS, TickLateness};

use crate::engine::{Engine, EngineInput, EngineOutput, LegConfig, LegKey, ReceiveStream};
use crate::leg::LegId;
use crate::outbox::{Outbox, OutboxLimits};
use crate::rtp::SequenceNumber;
use crate::srtp::ProtectTap;
use crate::time::Instant;
use crate::transmit::Transmit;
use conferences::ConferenceTable;
use events::Events;
use leg::Leg;
use random::SplitMix;
use table::{LegTable, receive_ssrc, send_ssrc};
use timers::Timers;

/// Names a conference on a shard; given out again only after it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConferenceKey(pub u32);

/// What a shard is made with.
pub struct ShardConfig {
    /// The shard's index on its node.
    pub index: u16,
    /// Legs that it admits, at most 65,536.
    pub legs_max: usize,
    /// Conferences that it admits.
    pub conferences_max: usize,
    /// Bounds of the outbox.
    pub outbox: OutboxLimits,
    /// Seeds first sequence numbers and timestamps; secret from nobody.
    pub seed: u64,
    /// Told of each use of a key, in tests and demonstrations.
    pub tap: Option<Arc<dyn ProtectTap>>,
}

/// One thread's legs and conferences, all of one kind of engine.
pub struct Shard<E: Engine> {
    config: ShardConfig,
    legs: LegTable,
    conferences: ConferenceTable<E>,
    resources: E::Resources,
    outbox: Outbox,
    timers: Timers,
    events: Events,
    counters: ShardCounters,
    uplink: UplinkOrder,
    bitrate: BitrateOrder,
    random: SplitMix,
    /// Scratch memory: the legs whose turn it is to be sent a report.
    reported: Vec<LegId>,
}

impl<E: Engine> Shard<E> {
    /// Makes an empty shard.
    pub fn new(config: ShardConfig, resources: E::Resources) -> Self {
        Self {
            legs: LegTable::new(config.index, config.legs_max),
            conferences: ConferenceTable::new(config.conferences_max),
            resources,
            outbox: Outbox::new(config.outbox),
            timers: Timers::new(config.conferences_max),
            events: Events::new(),
            counters: ShardCounters::default(),
            uplink: UplinkOrder::default(),
            bitrate: BitrateOrder::OWN,
            random: SplitMix(config.seed),
            reported: Vec::with_capacity(config.legs_max.div_ceil(REPORT_TURNS)),
            config,
        }
    }

    /// Adds a conference.
    ///
    /// # Errors
    /// `ConferencesFull` at the limit.
    pub fn add_conference(
        &mut self,
        engine: E,
        epoch: MediaEpoch,
    ) -> Result<ConferenceKey, ShardError> {
        let key = self.conferences.insert(engine, epoch)?;
        self.reschedule(key);
        Ok(key)
    }

    /// Removes a conference and all its legs; returns its engine. Costs as much as its legs.
    pub fn remove_conference(&mut self, now: Instant, key: ConferenceKey) -> Option<E> {
        while let Some(slot) = self.conferences.get(key)?.legs.last().copied() {
            let Some(id) = self.legs.at(slot).map(|leg| leg.id) else { break };
            self.remove_leg(now, id);
        }
        let conference = self.conferences.remove(key)?;
        self.timers.cancel(key);
        self.events.forget(key);
        Some(conference.engine)
    }

    /// Adds a leg to a conference and allots its SSRCs.
    ///
    /// # Errors
    /// `ShardError`; nothing changed then.
    pub fn add_leg(
        &mut self,
        now: Instant,
        key: ConferenceKey,
        request: &LegRequest,
    ) -> Result<LegGrant, ShardError> {
        let unknown = ShardError::UnknownConference(key);
        let conference = self.conferences.get_mut(key).ok_or(unknown)?;
        let legs_max = self.config.legs_max;
        let id = self.legs.reserve().ok_or(ShardError::LegsFull { legs_max })?;
        let streams = conference.engine.receive_streams();
        let receive = (0..streams)
            .map(|slot| ReceiveStream {
                ssrc: receive_ssrc(id, slot),
                first_sequence_number: SequenceNumber(self.random.next() as u16 >> 1),
                timestamp_offset: self.random.next() as u32,
            })
            .collect();
        let (role, red) = (request.role, request.red);
        let config = LegConfig { id, role, send_ssrc: send_ssrc(id), receive, red };
        let grant = LegGrant {
            id,
            send_ssrc: config.send_ssrc,
            receive_ssrcs: config.receive.iter().map(|stream| stream.ssrc).collect(),
        };
        let made = Leg::new(now, &config, key, request, self.config.tap.clone());
        let mut leg = made.inspect_err(|_| self.legs.release(id))?;
        let added = conference.engine.add_leg(now, config);
        leg.key = added.inspect_err(|_| self.legs.release(id))?;
        leg.place = conference.add_leg(id.index);
        self.legs.fill(leg);
        self.counters.joins += 1;
        self.timers.start_reports(now);
        self.reschedule(key);
        Ok(grant)
    }

    /// Removes a leg; a stale name changes nothing. Returns whether there was one.
    pub fn remove_leg(&mut self, now: Instant, id: LegId) -> bool {
        let Some(leg) = self.legs.leg(id) else { return false };
        let (home, key, place, is_talking) =
            (leg.conference, leg.key, leg.place, leg.orders.is_talking);
        self.legs.release(id);
        self.counters.leaves += 1;
        self.counters.talkers -= u64::from(is_talking);
        if let Some(conference) = self.conferences.get_mut(home) {
            conference.engine.remove_leg(now, key, &mut self.resources);
            let moved = conference.remove_leg(place);
            if let Some(moved) = moved.and_then(|slot| self.legs.at_mut(slot)) {
                moved.place = place;
            }
        }
        self.reschedule(home);
        true
    }

    /// Passes a change on to the engine of a leg's conference; `input` is told the engine's key.
    pub fn handle_input(
        &mut self,
        now: Instant,
        id: LegId,
        input: impl FnOnce(LegKey) -> EngineInput,
    ) -> bool {
        let Some(leg) = self.legs.leg(id) else { return false };
        let (conference, input) = (leg.conference, input(leg.key));
        if let Some(conference) = self.conferences.get_mut(conference) {
            conference.engine.handle_input(now, input);
        }
        self.reschedule(conference);
        true
    }

    /// Does what is due: engines' ticks, deferred packets, reports.
    pub fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        while let Some((key, deadline)) = self.timers.pop_due(now) {
            if let Some(conference) = self.conferences.get_mut(key) {
                self.counters.tick_lateness.record(now.saturating_since(deadline));
                conference.engine.handle_timeout(now, &mut self.resources, &mut self.outbox);
                self.drain(now, transmit);
            }
            self.reschedule(key);
            // An engine that does not move on from its deadline holds up nobody but itself.
            if self.timers.deadline(key).is_some_and(|next| next <= deadline) {
                self.timers.set(key, Some(now + STUCK_PAUSE));
                self.counters.deadlines_stuck += 1;
            }
        }
        self.drain(now, transmit);
        while let Some(turn) = self.timers.pop_reports(now) {
            self.send_reports(now, turn, transmit);
            if self.legs.len() == 0 {
                self.timers.stop_reports();
            }
        }
    }

    /// Returns when `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.outbox.poll_timeout()].into_iter().flatten().min()
    }

    /// Returns the next event, until there is none.
    pub fn poll_event(&mut self) -> Option<ShardEvent> {
        self.events.pop()
    }

    /// Returns the engine of a conference.
    pub fn engine(&self, key: ConferenceKey) -> Option<&E> {
        self.conferences.get(key).map(|conference| &conference.engine)
    }

    /// Gives every engine.
    pub fn engines(&self) -> impl Iterator<Item = &E> {
        self.conferences.iter().map(|conference| &conference.engine)
    }

    /// Returns the pools that all engines share, for change.
    pub fn resources_mut(&mut self) -> &mut E::Resources {
        &mut self.resources
    }

    /// Returns one leg's figures.
    pub fn leg_report(&self, id: LegId) -> Option<LegReport> {
        self.legs.leg(id).map(Leg::report)
    }

    /// Returns the number of legs.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> ShardCounters {
        ShardCounters {
            outbox_refused: self.outbox.refused(),
            events_dropped: self.events.refused(),
            ..self.counters.clone()
        }
    }

    /// Takes an engine's reports and its next deadline.
    fn reschedule(&mut self, key: ConferenceKey) {
        let Some(conference) = self.conferences.get_mut(key) else { return };
        while let Some(output) = conference.engine.poll_output() {
            let change = match output {
                EngineOutput::TalkerStarted(id) => Some((id, true)),
                EngineOutput::TalkerStopped(id) => Some((id, false)),
                EngineOutput::DominantTalker(_) => None,
            };
            if let Some((id, is_talking)) = change
                && let Some(leg) = self.legs.leg_mut(id)
            {
                self.counters.talkers -= u64::from(leg.orders.is_talking);
                self.counters.talkers += u64::from(is_talking);
                leg.orders.is_talking = is_talking;
            }
            self.events.push(ShardEvent::Engine(key, output));
        }
        self.timers.set(key, conference.engine.poll_timeout());
    }
}

/// After so long without an authentic packet a member is taken for gone: two keep-alives, and six
/// level probes.
pub const MEDIA_TIMEOUT: Duration = Duration::from_secs(30);

/// Parts of the least report interval; in each, one part of the legs is sent its compound, if it is due.
const REPORT_TURNS: usize = 50;

/// When an engine is called again that did not move on from its deadline. Chosen: its thread stays
/// free for others, and what it forgot is little late.
const STUCK_PAUSE: Duration = Duration::from_millis(1);
