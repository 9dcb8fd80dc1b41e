//! TLS and transport settings.
//!
//! TLS 1.3 only, no resumption, no early data: every session verifies every certificate anew.

use std::{
    error::Error,
    sync::{Arc, LazyLock},
    time::Duration,
};

use quinn::{
    AckFrequencyConfig, ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    client::Resumption, pki_types::CertificateDer, server::NoServerSessionStorage, version::TLS13,
};
use thiserror::Error;

use crate::{
    fingerprint::Fingerprint,
    identity::{DeviceKey, Identity},
    provider::crypto_provider,
    quic::pinned::PinnedRoot,
    unix_time::Clock,
};

/// TLS does not take a key or certificate.
#[derive(Debug, Error)]
#[error("TLS cannot be set up: {0}; check that certificate and key belong together")]
pub struct ConfigError(String);

/// Settings of a server that authenticates nobody: the CA's.
pub(crate) fn anonymous_server_config(
    clock: &Clock,
    chain: Vec<CertificateDer<'static>>,
    key: &DeviceKey,
    alpn: &[u8],
) -> Result<ServerConfig, ConfigError> {
    let tls = server_builder(clock)?
        .with_no_client_auth()
        .with_single_cert(chain, key.to_private_der())
        .map_err(refused)?;
    quic_server(tls, alpn)
}

/// Settings of a server whose clients must have certificates of the same root.
pub(crate) fn mutual_server_config(
    clock: &Clock,
    identity: &Identity,
    alpn: &[u8],
) -> Result<ServerConfig, ConfigError> {
    let tls = server_builder(clock)?
        .with_client_cert_verifier(identity.root().clients())
        .with_single_cert(owned_chain(identity), identity.key().to_private_der())
        .map_err(refused)?;
    quic_server(tls, alpn)
}

/// Settings of a client with a certificate, towards servers of the same root.
pub(crate) fn mutual_client_config(
    clock: &Clock,
    identity: &Identity,
    alpn: &[u8],
) -> Result<ClientConfig, ConfigError> {
    let tls = client_builder(clock)?
        .with_webpki_verifier(identity.root().servers())
        .with_client_auth_cert(owned_chain(identity), identity.key().to_private_der())
        .map_err(refused)?;
    quic_client(tls, alpn, usize::from(identity.node().0[0]))
}

/// Settings of a client without a certificate that knows the root by its fingerprint.
pub(crate) fn pinned_client_config(
    clock: &Clock,
    root: Fingerprint,
    alpn: &[u8],
) -> Result<ClientConfig, ConfigError> {
    let tls = client_builder(clock)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedRoot::new(root)))
        .with_no_client_auth();
    quic_client(tls, alpn, 0)
}

fn server_builder(
    clock: &Clock,
) -> Result<rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier>, ConfigError> {
    rustls::ServerConfig::builder_with_details(crypto_provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)
}

fn client_builder(
    clock: &Clock,
) -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>, ConfigError> {
    rustls::ClientConfig::builder_with_details(crypto_provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)
}

fn quic_server(mut tls: rustls::ServerConfig, alpn: &[u8]) -> Result<ServerConfig, ConfigError> {
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(refused)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(SERVER_TRANSPORT.clone()).migration(true);
    Ok(config)
}

/// Clients of different `variant` keep alive in different rhythms.
fn quic_client(
    mut tls: rustls::ClientConfig,
    alpn: &[u8],
    variant: usize,
) -> Result<ClientConfig, ConfigError> {
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let tls = QuicClientConfig::try_from(tls).map_err(refused)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(CLIENT_TRANSPORTS[variant % KEEP_ALIVE_VARIANTS].clone());
    Ok(config)
}

/// Transport settings are shared: ten thousand sessions of one process need no copy each.
static SERVER_TRANSPORT: LazyLock<Arc<TransportConfig>> = LazyLock::new(|| Arc::new(transport()));

/// One for each rhythm of keeping alive, so that clients which an event woke all at once do not
/// answer in step for ever after.
static CLIENT_TRANSPORTS: LazyLock<[Arc<TransportConfig>; KEEP_ALIVE_VARIANTS]> =
    LazyLock::new(|| {
        std::array::from_fn(|variant| {
            let mut transport = transport();
            let interval = KEEP_ALIVE_MIN + KEEP_ALIVE_STEP * variant as u32;
            transport.keep_alive_interval(Some(interval));
            // A server that answers a sign of life at once need not wake again a moment later.
            let mut acknowledging = AckFrequencyConfig::default();
            acknowledging.ack_eliciting_threshold(VarInt::from_u32(0));
            transport.ack_frequency_config(Some(acknowledging));
            Arc::new(transport)
        })
    });

/// No search for larger packets: messages are small, and its probes took a fifth of a join's CPU.
/// No segmentation offload: it leaves a buffer of ten packets on each session.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(EVENTS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .datagram_receive_buffer_size(None);
    transport
}

/// Returns a copy for rustls, which owns its certificates.
fn owned_chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    identity.chain().into_iter().map(CertificateDer::into_owned).collect()
}

fn refused(error: impl Error) -> ConfigError {
    ConfigError(error.to_string())
}

/// How often a client shows that it is there, at the most; each time costs either side some 60 µs.
/// Below the 30 s after which many address translators forget (RFC 9000 section 10.1.2).
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(25);
/// How far the rhythms lie apart.
const KEEP_ALIVE_STEP: Duration = Duration::from_millis(500);
/// How many rhythms there are; the slowest is 28.5 s.
const KEEP_ALIVE_VARIANTS: usize = 8;
/// When a silent connection is given up, in milliseconds: later than media, whose silence tells of a
/// lost member first, and half as long again as the slowest rhythm, for QUIC to repeat what is lost.
const IDLE_TIMEOUT_MS: u32 = 45_000;
/// Requests under way at once on a connection.
const REQUESTS_MAX: u32 = 8;
/// Events under way at once on a connection.
const EVENTS_MAX: u32 = 32;
/// Bytes in flight on one stream: messages are small, but for a permit list.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes in flight on a connection; 10,000 connections may then hold 1.3 GB at the very worst.
const CONNECTION_WINDOW: u32 = 128 * 1024;
