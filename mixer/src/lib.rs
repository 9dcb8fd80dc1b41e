//! The mixing engine: decodes those who talk, sums them, and encodes what each member hears.
//!
//! Pure: time is an argument, packets come in as `IncomingPacket` and leave through the caller's
//! `Outbox`. On a packet's way this crate is step 3, between the shard's unprotect and protect. It
//! knows no socket, no key, no address and no other engine.

mod counters;
mod levels;
mod limiter;
mod lookback;
mod mixer;
mod output;
mod pool;
mod ranking;
mod settings;
mod squelch;
mod talker;

pub use counters::{MixerCounters, TickHistogram};
pub use limiter::CEILING;
pub use mixer::Mixer;
pub use pool::{MixerResources, ResourceLimits};
pub use settings::{MixerSettings, SettingsError, SquelchSettings};
