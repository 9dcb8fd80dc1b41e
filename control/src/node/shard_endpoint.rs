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
    /// Conferences that are forwarded.
    bridges: usize,
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
        let ended = EngineFigures::default();
        Self { shard, events, events_lost: 0, ended, bridges: 0, watch }
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
                let is_bridge = engine.is_bridge();
                let added = self.shard.add_conference(*engine, epoch);
                self.bridges += usize::from(is_bridge && added.is_ok());
                let _ = reply.send(added);
            }
            ShardCommand::RemoveConference(key) => {
                if let Some(engine) = self.shard.remove_conference(now, key) {
                    self.bridges -= usize::from(engine.is_bridge());
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

    fn patience(&self) -> Duration {
        let figures = self.watch.figures();
        let forwards = self.bridges > 0;
        if forwards && figures.gather.is_zero() {
            Duration::ZERO
        } else if forwards || figures.busy_share < PATIENT_FROM {
            PATIENCE
        } else {
            Duration::MAX
        }
    }
}

/// How long a packet may wait to be read on a shard with little to do, or with bridges that let it
/// wait for others to the same member anyway: a tenth of that, and a twentieth of a frame.
const PATIENCE: Duration = Duration::from_millis(1);

/// A thread that is busy for so much of its time and only mixes reads as rarely as it may. Chosen
/// above what a dozen members cost: with 4 ms one listener of the demo heard a line a frame later.
const PATIENT_FROM: f64 = 0.15;

#[cfg(test)]
mod tests {
    use sabha_bridge::{Bridge, BridgeSettings};
    use sabha_media::codec::opus::Opus;
    use sabha_media::outbox::OutboxLimits;
    use sabha_media::shard::ShardConfig;
    use sabha_mixer::{ListenerPacketSetting, Mixer, MixerSettings};

    use super::super::engine::ConferenceResources;
    use super::super::load::{LadderSettings, RungSettings};
    use super::*;

    struct Nowhere;

    impl Transmit for Nowhere {
        fn transmit(&mut self, _to: std::net::SocketAddr, _write: impl FnOnce(&mut [u8]) -> usize) {
        }
    }

    fn add(endpoint: &mut ShardEndpoint, engine: ConferenceEngine) -> ConferenceKey {
        let (reply, mut added) = oneshot::channel();
        let epoch = MediaEpoch { counter: 1, rank: 0 };
        let command = ShardCommand::AddConference { engine: Box::new(engine), epoch, reply };
        endpoint.handle_command(Instant::ZERO, command, &mut Nowhere);
        added.try_recv().unwrap().unwrap()
    }

    #[test]
    fn shard_waits_for_more_datagrams_while_it_forwards_nothing_and_longer_if_it_is_busy() {
        let config = ShardConfig {
            index: 0,
            legs_max: 8,
            conferences_max: 8,
            outbox: OutboxLimits { bodies_max: 8, packets_max: 8, deferred_bodies_max: 0 },
            seed: 7,
            tap: None,
        };
        let packet = ListenerPacketSetting::Auto;
        let rungs = RungSettings { complexity_max: 9, complexity_min: 0, packet };
        let settings = LadderSettings { rungs, load_max: 0.85 };
        let (events, _taken) = mpsc::channel(8);
        let watch = LoadWatch::new(&settings, std::sync::Arc::default());
        let shard = Shard::new(config, ConferenceResources::new());
        let mut endpoint = ShardEndpoint::new(shard, events, watch);
        let mixer = Mixer::<Opus>::new(MixerSettings::default()).unwrap();
        add(&mut endpoint, ConferenceEngine::Mixer(mixer));
        assert_eq!(endpoint.patience(), PATIENCE);
        let busy = Load {
            interval: Duration::from_millis(250),
            busy: Duration::from_millis(60),
            ..Load::default()
        };
        endpoint.handle_load(Instant::from_millis(250), &busy);
        assert_eq!(endpoint.patience(), Duration::MAX);
        for at in [500, 750, 1_000] {
            let idle = Load { busy: Duration::ZERO, ..busy };
            endpoint.handle_load(Instant::from_millis(at), &idle);
        }
        let bridges = [(); 2].map(|()| {
            let bridge = Bridge::new(BridgeSettings::default()).unwrap();
            add(&mut endpoint, ConferenceEngine::Bridge(bridge))
        });
        for bridge in bridges {
            assert_eq!(endpoint.patience(), Duration::ZERO);
            let removed = ShardCommand::RemoveConference(bridge);
            endpoint.handle_command(Instant::ZERO, removed, &mut Nowhere);
        }
        assert_eq!(endpoint.patience(), PATIENCE);
    }
}
