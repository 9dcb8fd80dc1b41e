//! What the CA's server and signalling share: endpoints, TLS settings, streams and their errors.

pub mod certificate_problem;
mod config;
pub mod link_error;
mod pinned;
mod stream;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, udp::UdpSocketState,
};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

pub use self::{
    certificate_problem::CertificateProblem,
    config::ConfigError,
    link_error::{LinkError, Peer},
};
pub(crate) use self::{
    config::{
        anonymous_server_config, mutual_client_config, mutual_server_config, pinned_client_config,
    },
    stream::{MESSAGE_TIMEOUT, MessageReader, ask, read_message, timed_out, write_message},
};

/// Opens an endpoint on a new socket; it neither accepts nor connects before it is configured.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let state = UdpSocketState::new((&socket).into())?;
    // The system grants as much of it as it allows; with less, a crowd is slower to come in.
    let _ = state.set_recv_buffer_size((&socket).into(), RECEIVE_BUFFER);
    from_socket(socket)
}

/// Opens an endpoint on a socket that the caller has tuned.
pub(crate) fn from_socket(socket: UdpSocket) -> io::Result<Endpoint> {
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("no tokio runtime"))?;
    Endpoint::new(EndpointConfig::default(), None, socket, runtime)
}

/// Returns the unspecified address of the same family, with any port.
pub(crate) fn any_address_for(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Connects and completes the handshake.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    config: ClientConfig,
    address: SocketAddr,
    name: &str,
    peer: Peer,
) -> Result<Connection, LinkError> {
    let connecting = endpoint
        .connect_with(config, address, name)
        .map_err(|error| LinkError::Address { peer, reason: error.to_string() })?;
    within_handshake_timeout(connecting).await.map_err(|error| LinkError::handshake(peer, error))
}

/// Gives a handshake less time than a session may be silent: whoever calls wants to try elsewhere,
/// and whoever is called keeps nobody's half-open connection for long.
pub(crate) async fn within_handshake_timeout(
    handshake: impl Future<Output = Result<Connection, ConnectionError>>,
) -> Result<Connection, ConnectionError> {
    timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or(Err(ConnectionError::TimedOut))
}

/// Returns the chain that the other side's verified certificate came with, leaf first.
pub(crate) fn peer_chain(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection.peer_identity();
    let chain = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map_or_else(Vec::new, |chain| *chain)
}

/// How long a handshake may take; a round trip or two, with losses a few seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Receive buffer of a socket, in bytes. Chosen: the first packets of some 500 callers at once, which
/// take 2.3 KiB each in the kernel, and as much again.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
