//! Everything that figures are read from, at one moment.

use super::process::ProcessFigures;
use crate::node::{Observation, ShardObservation, ShardReport};

/// A node and its process at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) node: Observation,
    /// `None` if the kernel does not tell.
    pub(super) process: Option<ProcessFigures>,
    /// Connections that the metrics' own server closed for want of room.
    pub(super) connections_refused: u64,
}

impl Reading {
    /// Returns what is known of a shard.
    pub(super) fn shard(&self, index: usize) -> Option<&ShardObservation> {
        self.node.shards.get(index)
    }

    /// Returns a shard's own figures, if it answered.
    pub(super) fn report(&self, index: usize) -> Option<&ShardReport> {
        self.shard(index)?.report.as_ref()
    }
}
