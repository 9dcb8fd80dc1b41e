//! A socket that accepts sessions, opens them, or both.

use std::{
    fmt, io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use quinn::{ClientConfig, Endpoint};
use thiserror::Error;

use crate::{
    fingerprint::Fingerprint,
    identity::{Identity, NodeId},
    quic::{self, ConfigError, LinkError, Peer},
    signalling::{
        ALPN,
        incoming::{Handshakes, IncomingSession, ServerCertificate},
        session::Session,
    },
    unix_time::Clock,
};

/// Limits of an accepting endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignallingSettings {
    /// Sessions at once; further callers are refused before any cryptography.
    pub sessions_max: usize,
    /// Handshakes at once; beyond this many, callers must first prove their address.
    pub handshakes_max: usize,
}

/// A device's certificate and key, made ready for connecting. Clones are cheap.
#[derive(Clone)]
pub struct ClientCredentials {
    config: ClientConfig,
    fingerprint: Fingerprint,
}

/// A socket for sessions. Clones share it.
#[derive(Clone)]
pub struct SignallingEndpoint {
    endpoint: Endpoint,
    server: Option<Arc<Server>>,
}

/// How many callers an endpoint turned away because it had `sessions_max`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct CallersRefused(Arc<AtomicU64>);

/// An endpoint cannot be opened.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket cannot be used.
    #[error("cannot use the socket: {0}; call this within a tokio runtime")]
    Socket(io::Error),
    /// TLS does not take the certificate.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

struct Server {
    clock: Clock,
    settings: SignallingSettings,
    handshakes: Handshakes,
    refused: CallersRefused,
    certificate: RwLock<ServerCertificate>,
}

impl Default for SignallingSettings {
    /// Room for 20,000 sessions; 512 handshakes use about 16 MB while they last.
    fn default() -> Self {
        Self { sessions_max: 20_000, handshakes_max: 512 }
    }
}

impl CallersRefused {
    /// Returns the number so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientCredentials {
    /// Prepares a device's certificate and key for connecting.
    ///
    /// # Errors
    /// `ConfigError` if TLS does not take them.
    pub fn new(clock: &Clock, identity: &Identity) -> Result<Self, ConfigError> {
        let config = quic::mutual_client_config(clock, identity, ALPN)?;
        Ok(Self { config, fingerprint: identity.certificate().fingerprint })
    }
}

impl SignallingEndpoint {
    /// Opens an endpoint that only connects, for any number of devices.
    ///
    /// # Errors
    /// `EndpointError::Bind` if the address cannot be used.
    pub fn client(address: SocketAddr) -> Result<Self, EndpointError> {
        let endpoint =
            quic::bind(address).map_err(|source| EndpointError::Bind { address, source })?;
        Ok(Self { endpoint, server: None })
    }

    /// Opens an endpoint that accepts sessions as `identity`, and can connect too.
    ///
    /// # Errors
    /// `EndpointError` if the address cannot be used, or the certificate.
    pub fn server(
        address: SocketAddr,
        clock: &Clock,
        identity: &Identity,
        settings: SignallingSettings,
    ) -> Result<Self, EndpointError> {
        Self::client(address)?.accepting(clock, identity, settings)
    }

    /// Uses a socket that the caller has tuned, for example with larger buffers; only connects.
    ///
    /// # Errors
    /// `EndpointError::Socket` if tokio does not take it.
    pub fn from_socket(socket: UdpSocket) -> Result<Self, EndpointError> {
        let endpoint = quic::from_socket(socket).map_err(EndpointError::Socket)?;
        Ok(Self { endpoint, server: None })
    }

    /// Makes this endpoint accept sessions as `identity`.
    ///
    /// # Errors
    /// `EndpointError::Config` if TLS does not take the certificate.
    pub fn accepting(
        mut self,
        clock: &Clock,
        identity: &Identity,
        settings: SignallingSettings,
    ) -> Result<Self, EndpointError> {
        let certificate = ServerCertificate::new(clock, identity)?;
        self.endpoint.set_server_config(Some((*certificate.config).clone()));
        let (clock, certificate) = (clock.clone(), RwLock::new(certificate));
        let (handshakes, refused) = (Handshakes::default(), CallersRefused::default());
        self.server = Some(Arc::new(Server { clock, settings, handshakes, refused, certificate }));
        Ok(self)
    }

    /// Shows a renewed certificate to callers from now on; sessions keep the one they began with.
    ///
    /// # Errors
    /// `ConfigError` if TLS does not take the certificate.
    pub fn renew(&self, identity: &Identity) -> Result<(), ConfigError> {
        if let Some(server) = &self.server {
            let renewed = ServerCertificate::new(&server.clock, identity)?;
            *server.certificate.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        Ok(())
    }

    /// Returns the counter of callers turned away; it stays at 0 if this endpoint only connects.
    pub fn refused(&self) -> CallersRefused {
        self.server.as_ref().map_or_else(CallersRefused::default, |server| server.refused.clone())
    }

    /// Waits for the next caller; `None` once closed, or at once if this endpoint only connects.
    ///
    /// Callers over the limits are turned away in here. Cancelling loses nobody.
    pub async fn accept(&self) -> Option<IncomingSession> {
        let server = self.server.as_ref()?;
        loop {
            let incoming = self.endpoint.accept().await?;
            if self.endpoint.open_connections() >= server.settings.sessions_max {
                tracing::warn!(peer = %incoming.remote_address(), "session over limit refused");
                server.refused.0.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
                continue;
            }
            let is_busy = server.handshakes.count() >= server.settings.handshakes_max;
            if is_busy && incoming.may_retry() {
                if let Err(error) = incoming.retry() {
                    error.into_incoming().refuse();
                }
                continue;
            }
            let certificate = server.certificate.read().unwrap_or_else(PoisonError::into_inner);
            return Some(IncomingSession::new(incoming, &server.handshakes, certificate.clone()));
        }
    }

    /// Opens a session with the device `expected` at `address`.
    ///
    /// TLS lets a client finish before the server has seen its certificate, so a server's refusal
    /// of it shows in the session's first request.
    ///
    /// # Errors
    /// `LinkError` says whether nobody answers, or who refuses whom and why.
    pub async fn connect(
        &self,
        credentials: &ClientCredentials,
        address: SocketAddr,
        expected: NodeId,
    ) -> Result<Session, LinkError> {
        let peer = Peer::Device(expected, address);
        let (config, name) = (credentials.config.clone(), expected.dns_name());
        let connection = quic::connect(&self.endpoint, config, address, &name, peer).await?;
        let session = Session::new(connection, credentials.fingerprint, peer)?;
        if session.peer().node != expected {
            return Err(LinkError::PeerRefused { peer, why: quic::CertificateProblem::OtherName });
        }
        Ok(session)
    }

    /// Moves all sessions of this endpoint to another socket; peers follow by themselves.
    ///
    /// # Errors
    /// The system's, if the socket cannot be used.
    pub fn rebind(&self, socket: UdpSocket) -> io::Result<()> {
        self.endpoint.rebind(socket)
    }

    /// Returns the address of the socket.
    ///
    /// # Errors
    /// The system's, if the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Closes all sessions, telling peers why, and lets `accept` return `None`.
    pub fn close(&self, reason: &str) {
        self.endpoint.close(0u32.into(), reason.as_bytes());
    }

    /// Waits until closed sessions have said good-bye.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

impl fmt::Debug for SignallingEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignallingEndpoint({:?})", self.endpoint.local_addr())
    }
}
