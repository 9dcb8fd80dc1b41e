//! Whether a node is alive, for whoever would restart it.

use std::fmt;

use crate::node::Observation;

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Every shard answers.
    Well,
    /// These shards did not answer in time.
    Stuck(Vec<usize>),
    /// The node has ended, and its process should have too.
    Ended,
    /// The figures could not be collected.
    Failed,
}

impl Health {
    pub(super) fn of(node: &Observation) -> Self {
        let shards = node.shards.iter().enumerate();
        let stuck = shards.filter(|(_, shard)| shard.report.is_none()).map(|(index, _)| index);
        match stuck.collect::<Vec<_>>() {
            stuck if stuck.is_empty() => Self::Well,
            stuck => Self::Stuck(stuck),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("ok"),
            Self::Stuck(shards) => write!(f, "media threads do not answer: shards {shards:?}"),
            Self::Ended => f.write_str("the node has ended"),
            Self::Failed => f.write_str("the figures could not be collected; see the log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::ShardObservation;

    #[test]
    fn node_is_well_only_if_every_shard_answers() {
        let answers = ShardObservation { report: Some(Default::default()), ..Default::default() };
        let silent = ShardObservation::default();
        let node = |shards: &[&ShardObservation]| Observation {
            shards: shards.iter().copied().cloned().collect(),
            ..Observation::default()
        };
        assert_eq!(Health::of(&node(&[&answers, &answers])), Health::Well);
        let health = Health::of(&node(&[&answers, &silent]));
        assert_eq!(health.to_string(), "media threads do not answer: shards [1]");
    }
}
