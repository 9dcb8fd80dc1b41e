//! The CA on QUIC.
//!
//! Clients are not authenticated by TLS here: they have no certificate yet. Their addresses are
//! validated by a retry before anything is kept, then counted.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use serde_bytes::ByteBuf;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{
    ca::{
        CA_ALPN, CaRefusal,
        authority::Authority,
        authority_error::AuthorityError,
        callers::Callers,
        message::{CaAnswer, CaRequest},
        proof::{Nonce, Redemption, Renewal},
    },
    identity::{DeviceKey, KeyError},
    message::codec::Message,
    quic::{self, ConfigError, Peer},
    unix_time::{Clock, UnixTime},
};

/// A CA that listens.
pub struct CaServer {
    endpoint: Endpoint,
    authority: Arc<Authority>,
    clock: Clock,
    key: DeviceKey,
    callers: Callers,
    places: Arc<Semaphore>,
}

/// The CA cannot listen.
#[derive(Debug, Error)]
pub enum CaServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No key for the server could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The server's certificate could not be signed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS does not take the certificate.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl CaServer {
    /// Listens on `address`; nothing is answered before `run`.
    ///
    /// # Errors
    /// `CaServerError` if the address cannot be used, or no certificate made for the server.
    pub fn bind(
        address: SocketAddr,
        authority: Arc<Authority>,
        clock: Clock,
    ) -> Result<Self, CaServerError> {
        let endpoint =
            quic::bind(address).map_err(|source| CaServerError::Bind { address, source })?;
        let server = Self {
            endpoint,
            callers: Callers::new(authority.settings().connections_per_minute_max),
            authority,
            clock,
            key: DeviceKey::generate()?,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        };
        server.renew_certificate()?;
        Ok(server)
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    /// The system's, if the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Returns a handle that ends `run` when it is closed.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Serves until the endpoint is closed.
    pub async fn run(mut self) {
        let mut renewed = self.clock.now();
        while let Some(incoming) = self.endpoint.accept().await {
            let now = self.clock.now();
            if now.since(renewed) >= RENEWAL_INTERVAL {
                renewed = now;
                if let Err(error) = self.renew_certificate() {
                    tracing::error!(%error, "the CA server's certificate could not be renewed");
                }
            }
            self.admit(now, incoming);
        }
    }

    fn admit(&mut self, now: UnixTime, incoming: Incoming) {
        if !incoming.remote_address_validated() {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return;
        }
        let place = self.places.clone().try_acquire_owned();
        let is_welcome = self.callers.admit(now, incoming.remote_address().ip());
        let (true, Ok(place)) = (is_welcome, place) else {
            tracing::warn!(peer = %incoming.remote_address(), "CA connection over limit refused");
            return incoming.refuse();
        };
        let (authority, clock) = (self.authority.clone(), self.clock.clone());
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else { return };
            let served = serve(&authority, &clock, &connection);
            if tokio::time::timeout(CONNECTION_TIMEOUT, served).await.is_err() {
                connection.close(0u32.into(), b"a connection to the CA lasts at most a minute");
            }
            drop(place);
        });
    }

    fn renew_certificate(&self) -> Result<(), CaServerError> {
        let chain = self.authority.server_chain(self.clock.now(), &self.key)?;
        let config = quic::anonymous_server_config(&self.clock, chain, &self.key, CA_ALPN)?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
}

async fn serve(authority: &Arc<Authority>, clock: &Clock, connection: &Connection) {
    let peer = Peer::Authority(connection.remote_address());
    let mut nonce = None;
    for _ in 0..REQUESTS_MAX {
        let Ok((send, receive)) = connection.accept_bi().await else { return };
        let answer = answer(authority, clock, receive, peer, &mut nonce).await;
        if reply(send, &answer, peer).await.is_none() {
            return;
        }
    }
    connection.close(0u32.into(), b"too many requests on one connection");
}

async fn answer(
    authority: &Arc<Authority>,
    clock: &Clock,
    receive: RecvStream,
    peer: Peer,
    nonce: &mut Option<Nonce>,
) -> CaAnswer {
    let request = match quic::read_message::<CaRequest>(receive, peer).await {
        Ok(request) => request,
        Err(error) => return CaRefusal::BadRequest(error.to_string()).into(),
    };
    if request == (CaRequest::Nonce {}) {
        let mut fresh = [0; 32];
        if rand::fill(&mut fresh).is_err() {
            return CaRefusal::Internal.into();
        }
        *nonce = Some(fresh);
        return CaAnswer::Nonce { nonce: fresh };
    }
    let spent = if matches!(request, CaRequest::RequestOtp { .. }) { None } else { nonce.take() };
    let (authority, now) = (authority.clone(), clock.now());
    let decided =
        tokio::task::spawn_blocking(move || decide(&authority, now, &request, spent)).await;
    match decided {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => {
            tracing::info!(%refusal, ?peer, "CA request refused");
            refusal.into()
        }
        Err(error) => {
            tracing::error!(%error, "a CA request failed inside");
            CaRefusal::Internal.into()
        }
    }
}

fn decide(
    authority: &Authority,
    now: UnixTime,
    request: &CaRequest,
    nonce: Option<Nonce>,
) -> Result<CaAnswer, CaRefusal> {
    let nonce = nonce.as_ref().ok_or(CaRefusal::NonceMissing);
    let chain = match request {
        CaRequest::RequestOtp { user } => {
            authority.request_otp(now, user)?;
            return Ok(CaAnswer::OtpSent {});
        }
        CaRequest::Redeem { user, otp, csr, proof, mixer } => {
            let nonce = nonce?;
            authority.redeem(now, &Redemption { user, otp, csr, proof, nonce, mixer: *mixer })?
        }
        CaRequest::Renew { chain, proof } => {
            let chain: Vec<_> =
                chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
            authority.renew(now, &Renewal { chain: &chain, proof, nonce: nonce? })?
        }
        CaRequest::Nonce {} => return Err(CaRefusal::Internal),
    };
    Ok(CaAnswer::Issued { chain: chain.iter().map(|der| ByteBuf::from(der.to_vec())).collect() })
}

async fn reply(mut send: SendStream, answer: &CaAnswer, peer: Peer) -> Option<()> {
    let bytes = match answer.encode() {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an answer of the CA is over its limit");
            return None;
        }
    };
    quic::write_message(&mut send, &bytes, peer).await.ok()
}

/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// Requests on one connection; enrolment takes three.
const REQUESTS_MAX: usize = 16;
/// How long one connection may last; typing a password happens between connections.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the server's certificate is made anew; it is valid for 30 days.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(86_400);
