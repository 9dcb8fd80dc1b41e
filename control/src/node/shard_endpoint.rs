//! A shard on its driver's thread: commands come in by the driver's queue, events go out.

use std::time::Duration;

use sabha_media::engine::EngineInput;
use sabha_media::leg::LegId;
use sabha_media::shard::{
    ConferenceKey, LegGrant, LegRequest, MediaEpoch, Shard, ShardCounters, ShardError, ShardEvent,
};
use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_transport::{Endpoint, Load};
use tokio::sync::{mpsc, oneshot};

use super::engine::{ConferenceEngine, EngineFigures, EngineGauges};
use super::load::{LoadFigures, LoadWatch};

/// What control orders of a shard.
pub enum ShardCommand {
    /// Add a conference.
    AddConference {
        /// Its engine.
        engine: Box<ConferenceEngine>,
        /// Its epoch.
        epoch: MediaEpoch,
        /// Where the key goes.
        reply: oneshot::Sender<Result<ConferenceKey, ShardError>>,
    },
    /// Remove a conference with all its legs.
    RemoveConference(ConferenceKey),
    /// Add a leg.
    AddLeg {
        /// The conference.
        conference: ConferenceKey,
        /// Role and keys.
        request: Box<LegRequest>,
        /// Where the grant goes.
        reply: oneshot::Sender<Result<LegGrant, ShardError>>,
    },
    /// Remove a leg.
    RemoveLeg(LegId),
    /// Mute a leg, or let it speak.
    SetMuted(LegId, bool),
    /// Report the figures.
    Report(oneshot::Sender<ShardReport>),
}

/// One shard's figures.
#[derive(Clone, Debug, Default)]
pub struct ShardReport {
    /// Packets.
    pub counters: ShardCounters,
    /// What engines did, over all conferences, ended ones included.
    pub engines: EngineFigures,
    /// What engines have in use now.
    pub in_use: EngineGauges,
    /// Legs now.
    pub legs: usize,
    /// Conferences now.
    pub conferences: usize,
    /// How busy the thread is, and what was given up for it.
    pub load: LoadFigures,
}

/// A shard with its way to control.
pub struct ShardEndpoint {
    shard: Shard<ConferenceEngine>,
    events: mpsc::Sender<ShardEvent>,
    events_lost: u64,
    /// Counters of conferences that have ended.
    ended: EngineFigures,
    watch: LoadWatch,
}

impl ShardEndpoint {
    /// Wraps a shard; its events go to `events`, and are counted if nobody takes them in time.
    pub(crate) fn new(
        mut shard: Shard<ConferenceEngine>,
        events: mpsc::Sender<ShardEvent>,
        watch: LoadWatch,
    ) -> Self {
        shard.resources_mut().set_load(watch.effort(), Duration::ZERO);
        Self { shard, events, events_lost: 0, ended: EngineFigures::default(), watch }
    }

    /// Returns the figures.
    pub fn report(&self) -> ShardReport {
        let (mut engines, mut in_use) = (self.ended.clone(), EngineGauges::default());
        for engine in self.shard.engines() {
            engines.count(engine);
            in_use.count(engine);
        }
        let mut counters = self.shard.counters();
        counters.events_dropped += self.events_lost;
        let (legs, conferences) = (self.shard.legs(), self.shard.engines().count());
        let load = self.watch.figures();
        ShardReport { counters, engines, in_use, legs, conferences, load }
    }

    fn pass_events_on(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            self.events_lost += u64::from(self.events.try_send(event).is_err());
        }
    }
}

impl Endpoint for ShardEndpoint {
    type Command = ShardCommand;

    fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) {
        self.shard.handle_datagram(now, datagram, transmit);
        self.pass_events_on();
    }

    fn handle_command(
        &mut self,
        now: Instant,
        command: ShardCommand,
        _transmit: &mut impl Transmit,
    ) {
        match command {
            // A reply that nobody waits for any more is none the worse for it: control removes
            // what it did not learn of when the session or the conference ends.
            ShardCommand::AddConference { engine, epoch, reply } => {
                let _ = reply.send(self.shard.add_conference(*engine, epoch));
            }
            ShardCommand::RemoveConference(key) => {
                if let Some(engine) = self.shard.remove_conference(now, key) {
                    self.ended.count(&engine);
                }
            }
            ShardCommand::AddLeg { conference, request, reply } => {
                let granted = self.shard.add_leg(now, conference, &request);
                if let Err(Ok(grant)) = reply.send(granted) {
                    self.shard.remove_leg(now, grant.id);
                }
            }
            ShardCommand::RemoveLeg(leg) => {
                self.shard.remove_leg(now, leg);
            }
            ShardCommand::SetMuted(leg, muted) => {
                self.shard.handle_input(now, leg, |leg| EngineInput::SetMuted { leg, muted });
            }
            ShardCommand::Report(reply) => {
                let _ = reply.send(self.report());
            }
        }
        self.pass_events_on();
    }

    fn handle_timeout(&mut self, now: Instant, transmit: &mut impl Transmit) {
        self.shard.handle_timeout(now, transmit);
        self.pass_events_on();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    fn handle_sent(&mut self, _now: Instant) {}

    fn handle_load(&mut self, now: Instant, load: &Load) {
        let figures = self.watch.handle_load(now, load, self.shard.legs());
        self.shard.resources_mut().set_load(figures.effort, figures.gather);
        self.shard.set_uplink_order(figures.uplink);
        self.shard.set_bitrate_order(figures.bitrate);
    }
}
