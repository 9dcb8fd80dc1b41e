//! The one root that a node believes, and rustls' stock verifiers built from it.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::CertificateDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use thiserror::Error;

use crate::{
    certificate::peer_certificate::{CERTIFICATE_LEN_MAX, PeerCertificate, PeerCertificateError},
    fingerprint::Fingerprint,
    provider::crypto_provider,
    unix_time::UnixTime,
};

/// A root certificate that is believed. Clones share one copy.
#[derive(Clone)]
pub struct TrustRoot(Arc<Inner>);

struct Inner {
    der: CertificateDer<'static>,
    fingerprint: Fingerprint,
    is_test_network: bool,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
}

/// A chain does not lead to the root, or not now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// The bytes are no root certificate.
    #[error("the root certificate cannot be used: {0}; fetch it again from the CA")]
    Root(String),
    /// No certificate, too many, or one too long.
    #[error(
        "a chain has 1 to {CHAIN_LEN_MAX} certificates of at most {CERTIFICATE_LEN_MAX} bytes; this one has not"
    )]
    Shape,
    /// The leaf or its CA is expired, or not valid yet.
    #[error(
        "the certificate is not valid at {0}: expired or not begun; renew it, and check the clock"
    )]
    Expired(UnixTime),
    /// Another CA, or nobody, signed it.
    #[error("the certificate comes from another CA than the one with root {0}; enrol at that CA")]
    OtherAuthority(Fingerprint),
    /// Any other finding of the verifier.
    #[error("the certificate is refused: {0}; the device must enrol again")]
    Invalid(String),
    /// Verified, but not a device's.
    #[error(transparent)]
    Peer(#[from] PeerCertificateError),
}

impl TrustRoot {
    /// Prepares a root for verifying.
    ///
    /// # Errors
    /// `ChainError::Root` if the bytes are no certificate.
    pub fn new(der: CertificateDer<'static>) -> Result<Self, ChainError> {
        if der.len() > CERTIFICATE_LEN_MAX {
            return Err(ChainError::Shape);
        }
        let refused = |error: &dyn fmt::Display| ChainError::Root(error.to_string());
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).map_err(|error| refused(&error))?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), crypto_provider())
            .build()
            .map_err(|error| refused(&error))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, crypto_provider())
            .build()
            .map_err(|error| refused(&error))?;
        let (fingerprint, is_test_network) = (Fingerprint::of(&der), is_of_test_network(&der));
        Ok(Self(Arc::new(Inner { der, fingerprint, is_test_network, clients, servers })))
    }

    /// Verifies a device's chain, leaf first, as it is at `now`.
    ///
    /// # Errors
    /// `ChainError` says why the chain is not believed.
    pub fn verify_device<C: AsRef<[u8]>>(
        &self,
        now: UnixTime,
        chain: &[C],
    ) -> Result<PeerCertificate, ChainError> {
        let has_lengths = chain.iter().all(|der| der.as_ref().len() <= CERTIFICATE_LEN_MAX);
        if chain.is_empty() || chain.len() > CHAIN_LEN_MAX || !has_lengths {
            return Err(ChainError::Shape);
        }
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        self.0
            .clients
            .verify_client_cert(&chain[0], &chain[1..], now.pki())
            .map_err(|error| self.refusal(now, &error))?;
        Ok(PeerCertificate::parse(&chain[0])?)
    }

    /// Returns the root's DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// Returns the root's fingerprint, as join links carry it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Returns whether this is the root of a network for tests, which has its name from that.
    #[must_use]
    pub fn is_test_network(&self) -> bool {
        self.0.is_test_network
    }

    pub(crate) fn clients(&self) -> Arc<dyn ClientCertVerifier> {
        self.0.clients.clone()
    }

    pub(crate) fn servers(&self) -> Arc<WebPkiServerVerifier> {
        self.0.servers.clone()
    }

    fn refusal(&self, now: UnixTime, error: &rustls::Error) -> ChainError {
        use CertificateError as E;
        match error {
            rustls::Error::InvalidCertificate(
                E::Expired
                | E::ExpiredContext { .. }
                | E::NotValidYet
                | E::NotValidYetContext { .. },
            ) => ChainError::Expired(now),
            rustls::Error::InvalidCertificate(E::UnknownIssuer | E::BadSignature) => {
                ChainError::OtherAuthority(self.fingerprint())
            }
            other => ChainError::Invalid(other.to_string()),
        }
    }
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustRoot({})", self.fingerprint())
    }
}

/// A root's subject is signed by itself and covered by its fingerprint, so it cannot change later.
fn is_of_test_network(root: &[u8]) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(root) else { return false };
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().and_then(|name| name.as_str().ok());
    name.is_some_and(|name| name.starts_with(TEST_ROOT_NAME))
}

/// How the common name of a test network's root begins; no other root is given it.
pub(crate) const TEST_ROOT_NAME: &str = "Sabha Test Network Root CA";
/// Most certificates in a chain: leaf, issuing CA and, from the CA's own server, the root.
pub(crate) const CHAIN_LEN_MAX: usize = 3;
