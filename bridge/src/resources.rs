//! What all bridges of a shard share: kept packets, and memory for those who talk.

use std::time::Duration;

use sabha_media::lookback::LookbackStore;
use sabha_media::pool::Pool;

use crate::slot::Talk;

/// How much a shard's bridges may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Talkers that are forwarded at once. Each takes about 11 KiB.
    pub talkers_max: usize,
    /// Packets kept before gates open. Each takes 0.2 KiB, or 1.3 if its payload is longer than a
    /// quiet room's.
    pub kept_max: usize,
}

impl Default for ResourceLimits {
    /// Four talkers in each of a thousand conferences; 10 MiB of kept packets.
    fn default() -> Self {
        Self { talkers_max: 4_096, kept_max: 49_152 }
    }
}

/// What all bridges of a shard share.
pub struct BridgeResources {
    pub(crate) kept: LookbackStore,
    pub(crate) talks: Pool<Box<Talk>>,
    gather: Duration,
}

impl BridgeResources {
    /// Makes empty pools; they grow with use, to `limits`, and never shrink.
    pub fn new(limits: ResourceLimits) -> Self {
        Self {
            kept: LookbackStore::new(limits.kept_max),
            talks: Pool::new(limits.talkers_max),
            gather: Duration::ZERO,
        }
    }

    /// Sets how long every bridge gathers packets from now on, at most `GATHER_MAX`; zero sends
    /// each at once.
    pub fn set_gather(&mut self, gather: Duration) {
        self.gather = gather.min(GATHER_MAX);
    }

    /// Returns how long packets are gathered now.
    pub fn gather(&self) -> Duration {
        self.gather
    }
}

/// The longest that packets are gathered: half a packet, so that each talker is in it at most once.
pub const GATHER_MAX: Duration = Duration::from_millis(10);
