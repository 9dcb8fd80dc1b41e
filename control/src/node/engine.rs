//! The engine of a conference, whichever its mode asks for, and what both kinds share of a shard.

use std::time::Duration;

use sabha_bridge::{Bridge, BridgeCounters, BridgeGauges, BridgeResources};
use sabha_media::codec::opus::Opus;
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
};
use sabha_media::outbox::Outbox;
use sabha_media::time::Instant;
use sabha_mixer::{Effort, Mixer, MixerCounters, MixerGauges, MixerResources};

/// One conference's engine.
pub enum ConferenceEngine {
    /// Decodes, mixes, encodes.
    Mixer(Mixer<Opus>),
    /// Forwards.
    Bridge(Bridge),
}

impl ConferenceEngine {
    /// Returns whether packets are forwarded rather than mixed.
    pub fn is_bridge(&self) -> bool {
        matches!(self, Self::Bridge(_))
    }
}

/// Pools of a shard, for conferences of both kinds.
pub struct ConferenceResources {
    mixer: MixerResources<Opus>,
    bridge: BridgeResources,
}

/// What engines did, over any number of conferences.
#[derive(Clone, Debug, Default)]
pub struct EngineFigures {
    /// Mixing.
    pub mixing: MixerCounters,
    /// Forwarding.
    pub bridging: BridgeCounters,
}

/// What engines have in use now, over any number of conferences.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineGauges {
    /// Mixers.
    pub mixing: MixerGauges,
    /// Bridges.
    pub bridging: BridgeGauges,
    /// Conferences that are forwarded.
    pub bridges: u64,
}

impl EngineFigures {
    /// Adds an engine's counts.
    pub fn count(&mut self, engine: &ConferenceEngine) {
        match engine {
            ConferenceEngine::Mixer(mixer) => self.mixing.add(mixer.counters()),
            ConferenceEngine::Bridge(bridge) => self.bridging.add(bridge.counters()),
        }
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.mixing.add(&other.mixing);
        self.bridging.add(&other.bridging);
    }
}

impl EngineGauges {
    /// Adds what an engine has in use.
    pub fn count(&mut self, engine: &ConferenceEngine) {
        match engine {
            ConferenceEngine::Mixer(mixer) => self.mixing.add(&mixer.gauges()),
            ConferenceEngine::Bridge(bridge) => {
                self.bridging.add(&bridge.gauges());
                self.bridges += 1;
            }
        }
    }
}

impl ConferenceResources {
    /// Makes empty pools; they grow with use.
    pub fn new() -> Self {
        Self {
            mixer: MixerResources::new(Opus, sabha_mixer::ResourceLimits::default()),
            bridge: BridgeResources::new(sabha_bridge::ResourceLimits::default()),
        }
    }

    /// Sets what mixes may spend, and how long bridges gather packets.
    pub fn set_load(&mut self, effort: Effort, gather: Duration) {
        self.mixer.set_effort(effort);
        self.bridge.set_gather(gather);
    }
}

impl Default for ConferenceResources {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for ConferenceEngine {
    type Resources = ConferenceResources;

    fn receive_streams(&self) -> usize {
        match self {
            Self::Mixer(mixer) => mixer.receive_streams(),
            Self::Bridge(bridge) => bridge.receive_streams(),
        }
    }

    fn add_leg(&mut self, now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        match self {
            Self::Mixer(mixer) => mixer.add_leg(now, leg),
            Self::Bridge(bridge) => bridge.add_leg(now, leg),
        }
    }

    fn remove_leg(&mut self, now: Instant, leg: LegKey, resources: &mut ConferenceResources) {
        match self {
            Self::Mixer(mixer) => mixer.remove_leg(now, leg, &mut resources.mixer),
            Self::Bridge(bridge) => bridge.remove_leg(now, leg, &mut resources.bridge),
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        leg: LegKey,
        packet: &IncomingPacket<'_>,
        resources: &mut ConferenceResources,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        match self {
            Self::Mixer(mixer) => mixer.handle_rtp(now, leg, packet, &mut resources.mixer, outbox),
            Self::Bridge(bridge) => {
                bridge.handle_rtp(now, leg, packet, &mut resources.bridge, outbox)
            }
        }
    }

    fn handle_input(&mut self, now: Instant, input: EngineInput) {
        match self {
            Self::Mixer(mixer) => mixer.handle_input(now, input),
            Self::Bridge(bridge) => bridge.handle_input(now, input),
        }
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        resources: &mut ConferenceResources,
        outbox: &mut Outbox,
    ) {
        match self {
            Self::Mixer(mixer) => mixer.handle_timeout(now, &mut resources.mixer, outbox),
            Self::Bridge(bridge) => bridge.handle_timeout(now, &mut resources.bridge, outbox),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Mixer(mixer) => mixer.poll_timeout(),
            Self::Bridge(bridge) => bridge.poll_timeout(),
        }
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        match self {
            Self::Mixer(mixer) => mixer.poll_output(),
            Self::Bridge(bridge) => bridge.poll_output(),
        }
    }
}
