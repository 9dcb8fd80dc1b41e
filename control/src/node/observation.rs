//! What a running node looks like at one moment, for metrics and probes.

use std::time::Duration;

use sabha_transport::{Counters, DriverName};

use super::{NodeFigures, RequestCounts, ShardReport};

/// A node at one moment.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Its shards, in their order.
    pub shards: Vec<ShardObservation>,
    /// Signalling sessions.
    pub sessions: usize,
    /// Callers turned away because there were too many sessions.
    pub callers_refused: u64,
    /// What runs the shards' threads.
    pub driver: Option<DriverName>,
    /// What became of requests since the node began.
    pub requests: RequestCounts,
}

/// A shard at one moment.
#[derive(Clone, Debug, Default)]
pub struct ShardObservation {
    /// Its figures; `None` if it did not answer in time.
    pub report: Option<ShardReport>,
    /// What its driver counted.
    pub driver: Counters,
}

impl NodeFigures {
    /// Asks all shards for their figures at once; `None` if the node has ended.
    ///
    /// A shard that does not answer within `patience` has none.
    pub async fn observe(&self, patience: Duration) -> Option<Observation> {
        let inner = self.0.upgrade()?;
        Some(Observation {
            shards: inner.shards.observe(patience).await,
            sessions: inner.sessions.len(),
            callers_refused: inner.callers_refused.count(),
            driver: inner.shards.driver(),
            requests: inner.requests.counts(),
        })
    }

    /// Returns why newcomers had better go elsewhere just now; `None` if they are welcome.
    pub fn unready(&self) -> Option<String> {
        let Some(inner) = self.0.upgrade() else { return Some("the node has ended".into()) };
        inner.unready()
    }
}
