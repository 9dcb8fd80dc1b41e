//! What a node tells about itself over HTTP: figures for Prometheus, and two probes.
//!
//! `/metrics` is the text format of Prometheus, `/healthz` says whether the media threads turn, and
//! `/readyz` whether newcomers are welcome. Anyone who reaches the address may read them, so they
//! hold no name of a user or conference. Nothing can be changed here, and no packet passes.

mod catalogue;
mod collection;
mod exact;
mod health;
mod pages;
mod process;
mod reading;
mod registry;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use thiserror::Error;

use collection::Collection;

use crate::http::{HttpLimits, HttpListener, HttpServer};
use crate::node::NodeFigures;

/// The address for metrics, taken and not served yet.
#[derive(Debug)]
pub struct MetricsListener(HttpListener);

/// Serves a node's figures until it is dropped.
#[derive(Debug)]
pub struct MetricsServer(HttpServer);

/// The address for metrics cannot be had.
#[derive(Debug, Error)]
#[error(
    "cannot serve metrics on {address} (TCP): {reason}; free the address or give --metrics another"
)]
pub struct MetricsError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub reason: io::Error,
}

impl MetricsListener {
    /// Takes an address; port 0 takes any port that is free.
    ///
    /// # Errors
    /// `MetricsError` if the address cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, MetricsError> {
        let listener = HttpListener::bind(address).await;
        listener.map(Self).map_err(|reason| MetricsError { address, reason })
    }

    /// Serves the figures of a node.
    pub fn serve(self, figures: NodeFigures) -> MetricsServer {
        self.serve_within(figures, HttpLimits::default())
    }

    /// Serves the figures of a node to callers who may hold no more than that.
    pub fn serve_within(self, figures: NodeFigures, limits: HttpLimits) -> MetricsServer {
        let collection = Arc::new(Collection::new(figures, self.0.refused()));
        let answer = move |request: Request<Incoming>| {
            let (head, _) = request.into_parts();
            pages::answer(collection.clone(), head)
        };
        MetricsServer(self.0.serve(limits, answer))
    }
}

impl MetricsServer {
    /// Returns where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}
