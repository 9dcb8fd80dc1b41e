//! Trust by fingerprint: the stock verifier, with the root taken from the server's own chain.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{certificate::TrustRoot, fingerprint::Fingerprint, provider::crypto_provider};

/// Believes exactly the root with this fingerprint, which the server must send.
#[derive(Debug)]
pub(crate) struct PinnedRoot {
    expected: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedRoot {
    pub(crate) fn new(expected: Fingerprint) -> Self {
        Self { expected, algorithms: crypto_provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let sent = intermediates.iter().take(INTERMEDIATES_MAX);
        let Some(root) = sent.into_iter().find(|der| Fingerprint::of(der) == self.expected) else {
            return Err(unknown);
        };
        let root = TrustRoot::new(root.clone().into_owned()).map_err(|_| unknown)?;
        root.servers().verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is never used".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Certificates behind the leaf that are looked at: issuing CA and root.
const INTERMEDIATES_MAX: usize = 4;
