//! Proofs of possession: what a device signs to enrol or renew, and how the CA checks it.
//!
//! Each covers a nonce that the CA made for this connection, so no recorded proof is of use.

use rustls::pki_types::CertificateDer;

use crate::{
    domain::Domain,
    identity::{DeviceKey, NodeId, UserId, device_key::is_signed},
};

/// A nonce of the CA's server.
pub type Nonce = [u8; 32];

/// A request to exchange a one-time password for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Redemption<'a> {
    /// Who asks.
    pub user: &'a UserId,
    /// The password as typed.
    pub otp: &'a str,
    /// PKCS #10 request in DER; only its key is used.
    pub csr: &'a [u8],
    /// Signature by the device key over nonce, user and request.
    pub proof: &'a [u8],
    /// The fresh nonce that the server gave.
    pub nonce: &'a Nonce,
    /// Whether the device asks for the mixer mark.
    pub mixer: bool,
}

/// A request to renew the certificate of a key.
#[derive(Clone, Copy, Debug)]
pub struct Renewal<'a> {
    /// The present chain, leaf first.
    pub chain: &'a [CertificateDer<'a>],
    /// Signature by the device key over nonce and leaf.
    pub proof: &'a [u8],
    /// The fresh nonce that the server gave.
    pub nonce: &'a Nonce,
}

impl Redemption<'_> {
    /// Signs what `is_proven` checks.
    #[must_use]
    pub fn prove(key: &DeviceKey, nonce: &Nonce, user: &UserId, csr: &[u8]) -> [u8; 64] {
        key.sign(Domain::ENROL, &[nonce, user.as_str().as_bytes(), csr])
    }

    /// Returns whether the device with this key made the proof for this request.
    #[must_use]
    pub fn is_proven(&self, node: &NodeId) -> bool {
        let parts: [&[u8]; 3] = [self.nonce, self.user.as_str().as_bytes(), self.csr];
        is_signed(node, Domain::ENROL, &parts, self.proof)
    }
}

impl Renewal<'_> {
    /// Signs what `is_proven` checks.
    #[must_use]
    pub fn prove(key: &DeviceKey, nonce: &Nonce, leaf: &[u8]) -> [u8; 64] {
        key.sign(Domain::RENEW, &[nonce, leaf])
    }

    /// Returns whether the device with this key made the proof for its present certificate.
    #[must_use]
    pub fn is_proven(&self, node: &NodeId) -> bool {
        let leaf = self.chain.first().map_or(&[][..], AsRef::as_ref);
        is_signed(node, Domain::RENEW, &[self.nonce, leaf], self.proof)
    }
}
