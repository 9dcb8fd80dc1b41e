//! A caller between its first packet and its verified certificate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use quinn::{Incoming, ServerConfig};

use crate::{
    fingerprint::Fingerprint,
    identity::Identity,
    quic::{self, ConfigError, LinkError, Peer},
    signalling::{ALPN, session::Session},
    unix_time::Clock,
};

/// A caller whose handshake has not begun; dropping it refuses the caller.
pub struct IncomingSession {
    incoming: Incoming,
    certificate: ServerCertificate,
    place: Place,
}

/// The certificate shown to callers. Its fingerprint goes into media keys, so both stay together.
#[derive(Clone)]
pub(crate) struct ServerCertificate {
    pub config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

/// Counts handshakes under way.
#[derive(Default)]
pub(crate) struct Handshakes(Arc<AtomicUsize>);

/// One handshake's place in the count, given back on drop.
struct Place(Arc<AtomicUsize>);

impl IncomingSession {
    pub(crate) fn new(
        incoming: Incoming,
        handshakes: &Handshakes,
        certificate: ServerCertificate,
    ) -> Self {
        handshakes.0.fetch_add(1, Ordering::Relaxed);
        Self { incoming, certificate, place: Place(handshakes.0.clone()) }
    }

    /// Returns where the caller calls from.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Completes the handshake, which verifies the caller's certificate. Run it in its own task.
    ///
    /// # Errors
    /// `LinkError` says who refused whom and why.
    pub async fn handshake(self) -> Result<Session, LinkError> {
        let peer = Peer::Caller(self.incoming.remote_address());
        let ServerCertificate { config, fingerprint } = self.certificate;
        let failed = |error| LinkError::handshake(peer, error);
        let connecting = self.incoming.accept_with(config).map_err(failed)?;
        let connection = quic::within_handshake_timeout(connecting).await;
        drop(self.place);
        Session::new(connection.map_err(failed)?, fingerprint, peer)
    }
}

impl ServerCertificate {
    pub(crate) fn new(clock: &Clock, identity: &Identity) -> Result<Self, ConfigError> {
        let config = Arc::new(quic::mutual_server_config(clock, identity, ALPN)?);
        Ok(Self { config, fingerprint: identity.certificate().fingerprint })
    }
}

impl Handshakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
