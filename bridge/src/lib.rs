//! The bridging engine: forwards the loudest few to everybody else without decoding them.
//!
//! Pure: time is an argument, packets come in as `IncomingPacket` and leave through the caller's
//! `Outbox`. On a packet's way this crate is step 3, between the shard's unprotect and protect. It
//! knows no codec, no socket, no key, no address and no other engine; a payload passes unchanged.

mod bridge;
mod counters;
mod dominant;
mod fan_out;
mod gate;
mod history;
mod hold;
mod legs;
mod passing;
mod resources;
mod settings;
mod slot;
mod talkers;

pub use bridge::Bridge;
pub use counters::{BridgeCounters, BridgeGauges};
pub use fan_out::WAITING_MAX;
pub use resources::{BridgeResources, GATHER_MAX, ResourceLimits};
pub use settings::{BridgeSettings, SettingsError};
