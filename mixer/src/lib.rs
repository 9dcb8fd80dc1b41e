//! The mixing engine: decodes those who talk, sums them, and encodes what each member hears.
//!
//! Pure: time is an argument, packets come in as `IncomingPacket` and leave through the caller's
//! `Outbox`. On a packet's way this crate is step 3, between the shard's unprotect and protect. It
//! knows no socket, no key, no address and no other engine.

mod cohorts;
mod counters;
mod effort;
mod encodes;
mod fan_out;
mod legs;
mod levels;
mod mixer;
mod output;
mod phase;
mod pool;
mod ranking;
mod recent;
mod settings;
mod sources;
mod squelch;
mod talker;
mod tick;

pub use counters::{MixerCounters, MixerGauges, TickHistogram};
pub use effort::{Effort, ListenerPacket, ListenerPacketSetting};
pub use mixer::Mixer;
pub use pool::{MixerResources, ResourceLimits};
pub use sabha_media::squelch::SquelchSettings;
pub use settings::{MixerSettings, SettingsError};
