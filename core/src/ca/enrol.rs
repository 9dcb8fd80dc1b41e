//! What a newcomer calls: ask for a password, exchange it for a certificate, renew that later.
//!
//! The CA is believed only if its chain holds the root whose fingerprint the caller was given.

use std::{io, net::SocketAddr, sync::Arc};

use quinn::Connection;
use rustls::pki_types::CertificateDer;
use serde_bytes::ByteBuf;
use thiserror::Error;

use crate::{
    ca::{
        CA_ALPN, CA_SERVER_NAME, CaCode, csr,
        message::{CaAnswer, CaRequest},
        proof::{Nonce, Redemption, Renewal},
    },
    certificate::{ChainError, TrustRoot},
    fingerprint::Fingerprint,
    identity::{DeviceKey, Identity, IdentityError, NodeId, UserId},
    quic::{self, ConfigError, LinkError, Peer},
    unix_time::Clock,
};

/// Enrolment failed.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// No socket could be opened.
    #[error("cannot open a socket towards {address}: {source}; check the network")]
    Socket {
        /// Where to.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The CA cannot be reached, or the connection broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Another CA answers at that address.
    #[error(
        "the CA at {address} does not have the root {expected}; check address and fingerprint with whoever gave them to you"
    )]
    OtherRoot {
        /// The address.
        address: SocketAddr,
        /// The fingerprint that was expected.
        expected: Fingerprint,
    },
    /// The CA said no.
    #[error("the CA refused: {message}")]
    Refused {
        /// For programs.
        code: CaCode,
        /// The CA's words.
        message: String,
    },
    /// The CA answered something else than was asked.
    #[error("the CA answered something unexpected; upgrade this program or the CA")]
    Unexpected,
    /// The CA's certificate is for somebody else.
    #[error(
        "the CA sent a certificate for {user} on {node} instead of the one asked for; tell its operator"
    )]
    OtherSubject {
        /// The user that it names.
        user: UserId,
        /// The device that it names.
        node: NodeId,
    },
    /// The certificate does not fit the key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The CA's root is not usable.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// TLS could not be set up.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The signing request could not be made.
    #[error("cannot make a certificate signing request: {0}; make a new device key")]
    Csr(rcgen::Error),
}

/// Asks the CA to mail a one-time password to `user`.
///
/// # Errors
/// `EnrolError`; `Refused` carries the CA's reason.
pub async fn request_otp(
    clock: &Clock,
    address: SocketAddr,
    root: Fingerprint,
    user: &UserId,
) -> Result<(), EnrolError> {
    let ca = Ca::connect(clock, address, root).await?;
    match ca.ask(&CaRequest::RequestOtp { user: user.clone() }).await? {
        CaAnswer::OtpSent {} => Ok(()),
        _ => Err(EnrolError::Unexpected),
    }
}

/// Exchanges a one-time password for a certificate of `key`; with `mixer`, one with the mixer mark.
///
/// # Errors
/// `EnrolError`; `Refused` carries the CA's reason.
pub async fn redeem(
    clock: &Clock,
    address: SocketAddr,
    root: Fingerprint,
    user: &UserId,
    otp: &str,
    key: Arc<DeviceKey>,
    mixer: bool,
) -> Result<Identity, EnrolError> {
    let csr = csr::create(&key).map_err(EnrolError::Csr)?;
    let ca = Ca::connect(clock, address, root).await?;
    let proof = Redemption::prove(&key, &ca.nonce().await?, user, &csr);
    let request = CaRequest::Redeem {
        user: user.clone(),
        otp: otp.to_owned(),
        csr: ByteBuf::from(csr),
        proof: ByteBuf::from(proof),
        mixer,
    };
    ca.issued(clock, &request, key, user).await
}

/// Renews the certificate of a device while it is still valid; key and mixer mark stay.
///
/// # Errors
/// `EnrolError`; `Refused` carries the CA's reason.
pub async fn renew(
    clock: &Clock,
    address: SocketAddr,
    identity: &Identity,
) -> Result<Identity, EnrolError> {
    let ca = Ca::connect(clock, address, identity.root().fingerprint()).await?;
    let proof = Renewal::prove(identity.key(), &ca.nonce().await?, &identity.chain()[0]);
    let chain = identity.chain().iter().map(|der| ByteBuf::from(der.to_vec())).collect();
    let request = CaRequest::Renew { chain, proof: ByteBuf::from(proof) };
    ca.issued(clock, &request, identity.key().clone(), identity.user()).await
}

/// An open connection to a CA that has the expected root.
struct Ca {
    connection: Connection,
    peer: Peer,
    root: TrustRoot,
}

impl Ca {
    async fn connect(
        clock: &Clock,
        address: SocketAddr,
        expected: Fingerprint,
    ) -> Result<Self, EnrolError> {
        let endpoint = quic::bind(quic::any_address_for(address))
            .map_err(|source| EnrolError::Socket { address, source })?;
        let config = quic::pinned_client_config(clock, expected, CA_ALPN)?;
        let peer = Peer::Authority(address);
        let connection = match quic::connect(&endpoint, config, address, CA_SERVER_NAME, peer).await
        {
            Ok(connection) => connection,
            Err(LinkError::PeerRefused { why, .. }) if why.is_other_authority() => {
                return Err(EnrolError::OtherRoot { address, expected });
            }
            Err(error) => return Err(error.into()),
        };
        let root = quic::peer_chain(&connection)
            .into_iter()
            .find(|der| Fingerprint::of(der) == expected)
            .ok_or(EnrolError::OtherRoot { address, expected })?;
        Ok(Self { connection, peer, root: TrustRoot::new(root)? })
    }

    async fn ask(&self, request: &CaRequest) -> Result<CaAnswer, EnrolError> {
        match quic::ask(&self.connection, request, self.peer).await? {
            CaAnswer::Refused { code, message } => Err(EnrolError::Refused { code, message }),
            answer => Ok(answer),
        }
    }

    async fn nonce(&self) -> Result<Nonce, EnrolError> {
        match self.ask(&CaRequest::Nonce {}).await? {
            CaAnswer::Nonce { nonce } => Ok(nonce),
            _ => Err(EnrolError::Unexpected),
        }
    }

    async fn issued(
        &self,
        clock: &Clock,
        request: &CaRequest,
        key: Arc<DeviceKey>,
        user: &UserId,
    ) -> Result<Identity, EnrolError> {
        let CaAnswer::Issued { chain } = self.ask(request).await? else {
            return Err(EnrolError::Unexpected);
        };
        let chain = chain.into_iter().map(|der| CertificateDer::from(der.into_vec())).collect();
        let identity = Identity::new(clock.now(), key, chain, self.root.clone())?;
        if identity.user() != user {
            let (user, node) = (identity.user().clone(), identity.node());
            return Err(EnrolError::OtherSubject { user, node });
        }
        Ok(identity)
    }
}
