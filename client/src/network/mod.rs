//! A bad network for one member: delay, jitter, loss, duplicates and stalls, both ways.
//!
//! Stands between an endpoint and its socket and sees whole datagrams, sealed as they are. Pure and
//! repeatable: time is an argument, chance comes from a seed. Nothing of it is on a packet's way
//! unless asked for.

mod conditions;
mod impaired;
mod link;
mod losses;
mod plan;

pub use conditions::{NetworkConditions, NetworkError};
pub use impaired::ImpairedEndpoint;
pub use link::{LINK_DATAGRAMS_MAX, LinkCounters};
pub use losses::Losses;
pub use plan::{NetworkChange, NetworkPlan};
