//! Names of legs and streams.
//!
//! A leg is one member's media path to one shard. Who a leg belongs to is control's business.

use std::fmt;

/// Names a leg on one node: shard, slot in the shard, and which use of that slot.
///
/// The generation grows each time a slot is taken, so a stale name never reaches the next tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId {
    /// Index of the shard on its node.
    pub shard: u16,
    /// Slot in the shard's leg table.
    pub index: u16,
    /// Which use of the slot this is; the first is 1.
    pub generation: u32,
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.index, self.generation)
    }
}

/// A synchronisation source identifier. Source: RFC 3550 section 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What a leg is for; decides what an engine expects of it and sends to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LegRole {
    /// Talks and listens.
    #[default]
    Member,
    /// Held warm at a successor: receives nothing until it is promoted.
    Standby,
    /// Carries other nodes' talkers up or down a tree.
    Trunk,
}
