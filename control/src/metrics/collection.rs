//! Collects the figures, at most once a second however many ask.
//!
//! Who asks within that second, or while a collection is under way, gets what the others get: so
//! the shards' threads are not disturbed by how often somebody looks.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::catalogue;
use super::health::Health;
use super::process::ProcessFigures;
use super::reading::Reading;
use super::registry::Registry;
use crate::http::ConnectionsRefused;
use crate::node::{NodeFigures, Observation};

/// Takes the node's figures when somebody asks.
pub(super) struct Collection {
    figures: NodeFigures,
    connections_refused: ConnectionsRefused,
    state: Mutex<State>,
}

/// The newest figures as text, and how the node is.
#[derive(Clone, Debug)]
pub(super) struct Collected {
    /// `None` once the node has ended.
    pub(super) text: Option<Bytes>,
    pub(super) health: Health,
}

struct State {
    /// Made when the number of shards is known.
    registry: Option<Registry>,
    latest: Option<(Instant, Collected)>,
}

impl Collection {
    pub(super) fn new(figures: NodeFigures, connections_refused: ConnectionsRefused) -> Self {
        let state = Mutex::new(State { registry: None, latest: None });
        Self { figures, connections_refused, state }
    }

    pub(super) fn figures(&self) -> &NodeFigures {
        &self.figures
    }

    /// Returns figures that are at most a second old.
    pub(super) async fn latest(self: Arc<Self>) -> Collected {
        // In a task of its own: a caller who hangs up must not make the next one begin anew.
        let collecting = tokio::spawn(async move { self.collect().await });
        collecting.await.unwrap_or_else(|failure| {
            tracing::error!(%failure, "collecting metrics failed");
            Collected { text: None, health: Health::Failed }
        })
    }

    async fn collect(&self) -> Collected {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some((at, latest)) = &state.latest
            && now.duration_since(*at) < COLLECTION_INTERVAL
        {
            return latest.clone();
        }
        let collected = match self.figures.observe(ANSWER_MAX).await {
            Some(node) => {
                let reading = self.read(node);
                let registry = state.registry.get_or_insert_with(|| registry_for(&reading));
                let text = Some(registry.write(&reading).into());
                Collected { text, health: Health::of(&reading.node) }
            }
            None => Collected { text: None, health: Health::Ended },
        };
        state.latest = Some((now, collected.clone()));
        collected
    }

    fn read(&self, node: Observation) -> Reading {
        let process = ProcessFigures::read();
        let process = process.inspect_err(|error| tracing::debug!(%error, "/proc is closed"));
        let connections_refused = self.connections_refused.count();
        Reading { node, process: process.ok(), connections_refused }
    }
}

fn registry_for(reading: &Reading) -> Registry {
    let mut registry = Registry::new();
    catalogue::register(&mut registry, &reading.node);
    registry
}

/// How old figures may be before they are collected anew. Chosen: finer than any usual scrape.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(1);

/// How long a shard may take to answer: fifty ticks; one that takes longer carries no sound.
const ANSWER_MAX: Duration = Duration::from_secs(1);
