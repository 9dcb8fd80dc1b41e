//! Which figures there are: names, meanings, labels.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. Every series is there from the
//! start, with zero, so that a rate has something to begin with.

mod bridge;
mod driver;
mod load;
mod mixer;
mod node;
mod shard;

use metrics::Label;

use super::registry::{Labels, Name, Registry};
use crate::node::Observation;

/// Registers every figure of a node with as many shards, and the same driver.
pub(super) fn register(registry: &mut Registry, node: &Observation) {
    node::register(registry, node.driver);
    for shard in 0..node.shards.len() {
        load::register(registry, shard);
        shard::register(registry, shard);
        mixer::register(registry, shard);
        bridge::register(registry, shard);
        driver::register(registry, shard);
    }
}

/// A figure of each shard, read off `T`.
type Whole<T> = (Name, fn(&T) -> u64);

/// A direction's label: as seen from this node.
const IN: (&str, &str) = ("direction", "in");
const OUT: (&str, &str) = ("direction", "out");

const fn name(name: &'static str, help: &'static str) -> Name {
    Name { name, help }
}

fn of_shard(shard: usize, more: &[(&'static str, &'static str)]) -> Labels {
    let mut labels = vec![Label::new("shard", shard.to_string())];
    labels.extend(labels_of(more));
    labels
}

fn labels_of(pairs: &[(&'static str, &'static str)]) -> Labels {
    pairs.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect()
}
