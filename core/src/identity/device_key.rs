//! A device's private key: made here, kept in one file, never copied or printed.

use std::{fmt, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use rcgen::{PKCS_ED25519, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    domain::Domain,
    file::{self, Access},
    identity::node_id::NodeId,
};

/// An ed25519 key pair. Its `Debug` shows the public half only.
pub struct DeviceKey {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    node: NodeId,
}

/// A device key could not be made, read or written.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system's random generator or the cryptographic library failed.
    #[error("cannot make a device key: the cryptographic library failed; try again")]
    Generate,
    /// The bytes are no ed25519 key in PKCS #8.
    #[error("not an ed25519 key in PKCS #8 form; enrol again to make a new key")]
    Malformed,
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] file::FileError),
}

impl DeviceKey {
    /// Makes a new key whose public half can also stand in a DNS name.
    ///
    /// # Errors
    /// `KeyError::Generate` if the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        for _ in 0..ATTEMPTS_MAX {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
                .map_err(|_| KeyError::Generate)?;
            let key = Self::from_pkcs8(pkcs8.as_ref())?;
            if key.node.server_name().is_some() {
                return Ok(key);
            }
        }
        Err(KeyError::Generate)
    }

    /// Reads a key from PKCS #8 DER, version 1 or 2.
    ///
    /// # Errors
    /// `KeyError::Malformed` if the bytes are anything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyError::Malformed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()), node: NodeId(public) })
    }

    /// Reads a key from a PEM file that only its owner can read.
    ///
    /// # Errors
    /// `KeyError` if the file is missing, open to others, or holds no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem = Zeroizing::new(file::read(path, Access::OwnerOnly)?);
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| KeyError::Malformed)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// Writes the key to a PEM file of mode 0600.
    ///
    /// # Errors
    /// `KeyError::File` if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let pem = Zeroizing::new(file::pem("PRIVATE KEY", &self.pkcs8));
        Ok(file::write(path, pem.as_bytes(), Access::OwnerOnly)?)
    }

    /// Returns the public key.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Signs `parts`, framed for `domain`.
    #[must_use]
    pub fn sign(&self, domain: Domain, parts: &[&[u8]]) -> [u8; 64] {
        let signature = self.pair.sign(&domain.frame(parts));
        signature.as_ref().try_into().expect("an ed25519 signature has 64 bytes")
    }

    /// Returns the private key in PKCS #8 DER.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Returns a copy for rustls and quinn, which own their keys.
    pub(crate) fn to_private_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.node)
    }
}

impl PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        &self.node.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

/// Checks a signature that `DeviceKey::sign` made.
#[must_use]
pub(crate) fn is_signed(node: &NodeId, domain: Domain, parts: &[&[u8]], signature: &[u8]) -> bool {
    is_signed_raw(node, &domain.frame(parts), signature)
}

/// Checks a signature over bytes that carry their own framing, such as DER.
pub(crate) fn is_signed_raw(node: &NodeId, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, node.0).verify(message, signature).is_ok()
}

/// Tries for a key with a DNS name; one in three million has none, so two would do.
const ATTEMPTS_MAX: usize = 8;
